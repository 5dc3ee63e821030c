//! The page in a real browser: a recorded run with a broken promise loads without a word on the console, its links lead
//! somewhere, what it shows is what the events say, and keys work.
//!
//! Chromium is installed where that is possible; elsewhere these tests say that they are skipped.

mod support;

use gauntlet_core::Outcome;
use gauntlet_core::event::{Event, Record};
use gauntlet_report::page;
use serde_json::Value;
use std::collections::BTreeSet;
use support::browser::{Browser, Loaded};

fn records() -> Vec<Record> {
    include_str!("runs/failed.jsonl").lines().map(|line| Record::from_line(line).unwrap()).collect()
}

/// The recorded run in a browser, after `script` has run; `None` where there is no browser.
fn load(script: &str) -> Option<Loaded> {
    let browser = Browser::find()?;
    let page = page::render(&records()).unwrap();
    let end = page.rfind("</body>").unwrap();
    Some(browser.load(&format!("{}<script>{script}</script>{}", &page[..end], &page[end..])))
}

/// Values of an attribute, wherever it stands.
fn attributes(dom: &str, name: &str) -> Vec<String> {
    let wanted = format!(" {name}=\"");
    dom.split(&wanted).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn the_page_loads_without_a_word_on_the_console() {
    let Some(loaded) = load("") else { return };
    assert_eq!(loaded.console, Vec::<String>::new());
    assert!(loaded.dom.contains("data-ready=\"yes\""), "the script did not come to its end");
}

#[test]
fn an_error_on_the_console_would_be_seen() {
    let Some(loaded) = load("throw new Error('on purpose')") else { return };
    assert!(loaded.console.iter().any(|line| line.contains("on purpose")), "{:?}", loaded.console);
}

#[test]
fn links_lead_to_elements_of_the_page_or_files_of_the_run() {
    let Some(loaded) = load("") else { return };
    let ids: BTreeSet<String> = attributes(&loaded.dom, "id").into_iter().collect();
    let files: BTreeSet<String> = records()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::EvidenceCollected { file, .. } => Some(file.path),
            _ => None,
        })
        .chain(["events.jsonl".to_owned(), "junit.xml".to_owned(), "data:,".to_owned()])
        .collect();
    let links = attributes(&loaded.dom, "href");
    assert!(links.len() > 20, "{links:?}");
    for link in links {
        match link.strip_prefix('#') {
            Some(id) => assert!(ids.contains(id), "#{id} is nowhere"),
            None => assert!(files.contains(&link), "{link} is no file of the run"),
        }
    }
}

#[test]
fn every_citation_leads_to_what_the_document_says() {
    let script = "const cited = [...document.querySelectorAll('cite')].map((cite) => {
          const link = cite.querySelector('a'), target = link && document.querySelector(`.passage[id='${link.hash.slice(1)}']`);
          return { link: link?.hash, within: cite.closest('section')?.className, says: target?.textContent };
        });
        document.body.dataset.cited = JSON.stringify(cited)";
    let Some(loaded) = load(script) else { return };
    let cited = loaded.json("cited");
    let cited = cited.as_array().unwrap();
    for one in cited {
        assert!(one["says"].as_str().is_some_and(|says| says.contains("Written in")), "{one}");
    }
    for within in ["failures", "scenario failed"] {
        assert!(cited.iter().any(|one| one["within"] == *within), "no citation within {within}: {cited:?}");
    }
    let checks = records().into_iter().find_map(|record| match record.event {
        Event::ScenarioFinished { observations, .. } => Some(observations.checks.len()),
        _ => None,
    });
    let in_checks = cited.iter().filter(|one| one["within"] == *"scenario failed").count();
    assert_eq!(Some(in_checks), checks, "one for each check of the scenario's own table");
}

#[test]
fn figures_on_the_page_equal_those_of_the_events() {
    let Some(loaded) = load("") else { return };
    let mut figures = Vec::new();
    for record in records() {
        if let Event::ScenarioFinished { observations, .. } = record.event {
            figures.extend(observations.figures.iter().map(|figure| figure.value));
        }
    }
    let shown: Vec<f64> =
        loaded.dom.split("<data value=\"").skip(1).filter_map(|rest| rest.split_once('"')?.0.parse().ok()).collect();
    assert!(!figures.is_empty());
    assert_eq!(shown.len(), figures.len());
    for (shown, figure) in shown.iter().zip(figures) {
        assert!((shown - figure).abs() < 0.001, "{shown} is not {figure}");
    }
}

#[test]
fn every_chart_says_what_its_heights_mean() {
    let Some(browser) = Browser::find() else { return };
    let listen = "<script>const draw = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
          if (text) (this.canvas.said ??= []).push(text);
          return draw.call(this, text, ...rest);
        };
        setTimeout(() => {
          const canvases = [...document.querySelectorAll('.timeline canvas')];
          document.body.dataset.said = JSON.stringify(canvases.map((canvas) => (canvas.said ?? []).length));
        }, 2000);</script><script>";
    let page = page::render(&records()).unwrap().replacen("<script>", listen, 1);
    let said = browser.load(&page).json("said");
    let said: Vec<u64> = said.as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert!(said.len() > 4 && said.iter().all(|labels| *labels > 0), "labels on each chart: {said:?}");
}

#[test]
fn charts_draw_what_the_clients_recorded() {
    let script = "const t = Gauntlet.timelines[0]; document.body.dataset.charts = JSON.stringify({
        drawn: t.charts.map((chart) => chart.data.slice(1).map((list) => list.reduce((sum, n) => sum + (n || 0), 0))),
        pods: document.querySelectorAll('.lanes rect.pod').length, faults: document.querySelectorAll('.lanes rect.fault').length,
        moments: document.querySelectorAll('.lanes .moment-line:not(.found)').length })";
    let Some(loaded) = load(script) else { return };
    let seen = loaded.json("charts");
    let succeeded = |wanted: &str| {
        let series = records().into_iter().filter_map(move |record| match record.event {
            Event::WorkloadSeries { series, .. } if series.group.is_none() => Some(series),
            _ => None,
        });
        series.filter(|series| series.client == wanted).flat_map(|series| series.ok).sum::<u32>()
    };
    let drawn: Vec<f64> = seen["drawn"].as_array().unwrap().iter().filter_map(|chart| chart[0].as_f64()).collect();
    for client in ["redis", "nats", "jobs"] {
        assert!(succeeded(client) > 100);
        assert!(drawn.contains(&f64::from(succeeded(client))), "{client}: {} in {drawn:?}", succeeded(client));
    }
    assert_eq!((seen["faults"].as_u64(), seen["moments"].as_u64()), (Some(1), Some(1)), "{seen}");
    assert!(seen["pods"].as_u64().unwrap() > 5, "{seen}");
}

#[test]
fn keys_move_and_zoom_the_timeline() {
    let script = "const t = Gauntlet.timelines[0];
        const press = (key, shiftKey) => t.stage.dispatchEvent(new KeyboardEvent('keydown', { key, shiftKey, bubbles: true }));
        const length = () => t.view.to - t.view.from;
        const seen = { whole: length() };
        press('b'); seen.moment = t.cursor; seen.said = t.readout.textContent; seen.near = length();
        press('+'); seen.closer = length();
        press('ArrowRight'); seen.moved = t.cursor;
        press('0'); seen.again = length();
        document.body.dataset.keys = JSON.stringify(seen);";
    let Some(loaded) = load(script) else { return };
    assert_eq!(loaded.console, Vec::<String>::new());
    let seen = loaded.json("keys");
    let number = |name: &str| seen[name].as_f64().unwrap();
    let (mut zero_ms, mut moment_ms) = (0, 0);
    for record in records() {
        match record.event {
            Event::FaultInjecting { .. } => zero_ms = record.at_ms,
            Event::Violated { violation, .. } => moment_ms = violation.at_ms,
            _ => {}
        }
    }
    assert!((number("moment") - (moment_ms - zero_ms) as f64).abs() < 1.0, "{seen}");
    assert!(seen["said"].as_str().unwrap().starts_with("+12.0 s"), "{seen}");
    assert!(number("near") < number("whole") && number("closer") < number("near"), "{seen}");
    assert!(number("moved") > number("moment"), "{seen}");
    assert!((number("again") - number("whole")).abs() < 1.0, "{seen}");
}

#[test]
fn evidence_can_be_searched() {
    let script = "const field = document.querySelector('.search input'); field.value = 'redis';
        field.dispatchEvent(new Event('input'));
        document.body.dataset.search = JSON.stringify({ said: document.querySelector('.search output').textContent,
            hits: document.querySelectorAll('.hits li').length, marks: document.querySelectorAll('.hits mark').length });";
    let Some(loaded) = load(script) else { return };
    let seen: Value = loaded.json("search");
    let mut lines = 0;
    for record in records() {
        if let Event::EvidenceCollected { file, .. } = record.event {
            lines += file.excerpt.split('\n').filter(|line| line.to_lowercase().contains("redis")).count();
        }
    }
    assert!(lines > 0);
    assert!(seen["said"].as_str().unwrap().starts_with(&format!("{lines} lines in ")), "{lines}: {seen}");
    assert_eq!(seen["hits"], seen["marks"]);
}

#[test]
fn a_search_says_how_much_was_searched_and_where_the_rest_is() {
    let script = "const field = document.querySelector('.scenario .search input'), searched = document.querySelector('.scenario .searched');
        const say = (text) => { field.value = text; field.dispatchEvent(new Event('input')); return { open: searched.open, hidden: searched.hidden }; };
        const seen = { idle: searched.hidden, found: say('redis'), none: say('nowhere to be found') };
        seen.said = document.querySelector('.scenario .search output').textContent;
        seen.parts = [...searched.querySelectorAll('li')].map((part) => [part.textContent, part.querySelector('a').getAttribute('href')]);
        document.body.dataset.searched = JSON.stringify(seen);";
    let Some(loaded) = load(script) else { return };
    let seen = loaded.json("searched");
    assert_eq!(seen["said"], "0 lines in 0 files of what this page holds");
    let states = serde_json::json!([true, { "open": false, "hidden": false }, { "open": true, "hidden": false }]);
    assert_eq!(serde_json::json!([seen["idle"], seen["found"], seen["none"]]), states);
    let parts = seen["parts"].as_array().unwrap();
    let cut = records().into_iter().filter_map(|record| match record.event {
        Event::EvidenceCollected { scenario: Some(_), file } if file.cut => Some(file.path),
        _ => None,
    });
    assert_eq!(parts.iter().filter_map(|part| part[1].as_str()).collect::<Vec<_>>(), cut.collect::<Vec<_>>());
    let pods = parts.iter().find(|part| part[1].as_str().unwrap().ends_with("cordum.pods.json")).unwrap();
    let said = pods[0].as_str().unwrap();
    assert!(said.starts_with("searched ") && said.contains(" of 195.7 KiB of cordum.pods.json"), "{said}");
}

/// Nothing is wider than a phone, so that nothing has to be pushed sideways to be read.
#[test]
fn the_page_fits_a_phone() {
    let Some(browser) = Browser::find() else { return };
    let page = page::render(&records()).unwrap();
    let seen = browser.load_at_width(&page, 390).json("width");
    assert!(seen["page"].as_f64().unwrap() <= 390.0, "{seen}");
    assert!(
        seen["pods"].as_f64().unwrap() > 5.0 && seen["charts"].as_f64().unwrap() > 4.0,
        "nothing was drawn: {seen}"
    );
    let drawn = seen["drawn"].as_f64().unwrap();
    assert!(drawn > 300.0 && drawn <= 390.0, "{seen}");
}

#[test]
fn the_recorded_run_has_what_these_tests_are_about() {
    let broken = records().into_iter().filter(|record| match &record.event {
        Event::Checked { check, .. } => check.outcome == Outcome::Broken,
        _ => false,
    });
    assert!(broken.count() > 0);
}
