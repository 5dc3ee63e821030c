//! The page in a real browser, for runs of other kinds than the recorded one: one that died in its set-up, rounds that
//! differ, figures against a baseline; and as people with other screens see it.

mod support;

use gauntlet_core::baseline::{Compared, Comparison, Judgement, Sample};
use gauntlet_core::event::{Event, Record, Stage};
use gauntlet_core::{Outcome, Verdict};
use gauntlet_report::page;
use serde_json::Value;
use support::browser::{Browser, Loaded};

fn records() -> Vec<Record> {
    include_str!("runs/failed.jsonl").lines().map(|line| Record::from_line(line).unwrap()).collect()
}

/// The page of these records after `script` has left what it saw under `seen`; nothing may be said on the console, and
/// no link to a place on the page may lead nowhere.
fn seen(records: &[Record], options: &[&str], script: &str) -> Option<Value> {
    let browser = Browser::find()?;
    let page = page::render(records).unwrap();
    let end = page.rfind("</body>").unwrap();
    let tail = format!(
        "<script>const text = (what) => document.querySelector(what)?.textContent;
        const lost = [...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.hash.slice(1)).filter((id) => !document.getElementById(id));
        document.body.dataset.lost = JSON.stringify(lost); document.body.dataset.seen = JSON.stringify({script});</script>"
    );
    let loaded: Loaded = browser.load_with(&format!("{}{tail}{}", &page[..end], &page[end..]), options);
    assert_eq!(loaded.console, Vec::<String>::new());
    assert_eq!(loaded.json("lost"), serde_json::json!([]), "links that lead nowhere");
    Some(loaded.json("seen"))
}

#[test]
fn a_run_that_died_in_its_set_up_says_why_on_its_first_screen() {
    let trouble = Event::Trouble {
        stage: Stage::Prerequisites,
        message: "cannot create namespace cordum: forbidden".into(),
        hints: vec!["use another context".into()],
    };
    let started: Vec<Record> = records().into_iter().take(8).collect();
    let at_ms = started[7].at_ms;
    let records: Vec<Record> = started.into_iter().chain([Record::new(at_ms, trouble)]).collect();
    let script = "({ badge: text('.verdict .badge'), first: text('.failures li'), bottom: document.querySelector('.failures li').getBoundingClientRect().bottom })";
    let Some(seen) = seen(&records, &["--window-size=1280,800"], script) else { return };
    assert_eq!(seen["badge"], "inconclusive");
    let first = seen["first"].as_str().unwrap();
    for expected in ["could not create what must exist first", "cannot create namespace cordum", "use another context"]
    {
        assert!(first.contains(expected), "{expected} is not in {first}");
    }
    assert!(seen["bottom"].as_f64().unwrap() <= 800.0, "{seen}");
}

/// The recorded scenario, and a second round of it that passed.
fn rounds() -> Vec<Record> {
    let mut rounds = Vec::new();
    for mut record in records() {
        if let Event::RunStarted(header) = &mut record.event {
            header.scenarios.push("redis.failover#2".into());
        }
        let second = match record.event.clone() {
            Event::ScenarioFinished { mut observations, took_ms, again, evidence, .. } => {
                observations.checks.iter_mut().for_each(|check| check.outcome = Outcome::Held);
                let (scenario, verdict) = ("redis.failover#2".into(), observations.judge());
                assert!(matches!(verdict, Verdict::Passed(_)), "{verdict:?}");
                Some(Event::ScenarioFinished { scenario, verdict, observations, took_ms, again, evidence })
            }
            _ => None,
        };
        let at_ms = record.at_ms;
        rounds.push(record);
        rounds.extend(second.map(|event| Record::new(at_ms, event)));
    }
    rounds
}

#[test]
fn rounds_that_differ_stand_side_by_side_and_lead_to_their_scenarios() {
    let script = "({ rate: text('section[aria-labelledby=repeats] p'), rounds: [...document.querySelectorAll('.rounds tbody tr')].map((row) => [row.querySelector('a').hash, row.querySelector('.badge').textContent]) })";
    let Some(seen) = seen(&rounds(), &[], script) else { return };
    assert!(seen["rate"].as_str().unwrap().starts_with("redis.failover: 1 of 2 passed: 50 %"), "{seen}");
    let rounds = serde_json::json!([["#scenario-redis.failover", "failed"], ["#scenario-redis.failover-2", "passed"]]);
    assert_eq!(seen["rounds"], rounds);
}

#[test]
fn figures_against_a_baseline_are_shown_with_their_judgement() {
    let sample = |median| Sample { count: 20, median, least: median - 1.0, most: median + 1.0 };
    let figure = Compared {
        scenario: "redis.failover".into(),
        figure: "failover time".into(),
        unit: "s".into(),
        judgement: Judgement::Regressed,
        before: sample(9.5),
        now: sample(39.0),
        probability: Some(0.001),
        needed: None,
    };
    let comparison = Comparison { baseline: "baseline.jsonl".into(), level: 0.05, fails: true, figures: vec![figure] };
    let compared = Record::new(records().last().unwrap().at_ms, Event::BaselineCompared(comparison));
    let records: Vec<Record> = records().into_iter().chain([compared]).collect();
    let script = "({ told: text('section[aria-labelledby=baseline] p'), row: [...document.querySelectorAll('.compared tbody tr > *')].map((cell) => cell.textContent), visible: document.querySelector('.compared').getBoundingClientRect().height > 20 })";
    let Some(seen) = seen(&records, &[], script) else { return };
    assert!(seen["told"].as_str().unwrap().starts_with("1 regressed; against baseline.jsonl"), "{seen}");
    let row: Vec<&str> = seen["row"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(row[..2], ["regressed", "failover time, redis.failover"]);
    assert!(row[2].starts_with("39 s") && row[3].starts_with("9.5 s") && row[4].contains("4.11 times"), "{row:?}");
    assert_eq!(seen["visible"], true);
}

#[test]
fn what_failed_first_is_told_on_the_first_screen() {
    let script = "(() => { const box = document.querySelector('.failures .what').getBoundingClientRect(); return { top: box.top, bottom: box.bottom, high: innerHeight, says: text('.failures .what') }; })()";
    let Some(seen) = seen(&records(), &["--window-size=1280,800"], script) else { return };
    assert!(seen["high"].as_f64().unwrap() <= 800.0, "{seen}");
    assert!(seen["top"].as_f64().unwrap() > 0.0 && seen["bottom"].as_f64().unwrap() <= 800.0, "{seen}");
    assert!(seen["says"].as_str().unwrap().starts_with("Broken: With cluster-node-timeout 5000"), "{seen}");
}

/// Where the scheme is dark, what is written stands out from what it is written on, in words and in charts.
#[test]
fn a_dark_scheme_is_dark_and_can_be_read() {
    let script = "(() => {
        const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
        const ground = (one) => { for (; one; one = one.parentElement) { const colour = getComputedStyle(one).backgroundColor; if (colour !== 'rgba(0, 0, 0, 0)') return colour; } };
        const contrast = (what) => { const one = document.querySelector(what), [a, b] = [light(getComputedStyle(one).color), light(ground(one))]; return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); };
        const of = Object.fromEntries(['h1', '.failures .what', '.failures .why', '.badge.failed', 'cite a', '.mark.held', '.caveat', '.passage .dim'].map((what) => [what, contrast(what)]));
        return { dark: matchMedia('(prefers-color-scheme: dark)').matches, paper: light(ground(document.body)), ink: palette().ink, of };
    })()";
    let Some(seen) = seen(&records(), &["--blink-settings=preferredColorScheme=0"], script) else { return };
    assert_eq!(seen["dark"], true, "the browser was not asked for a dark scheme: {seen}");
    assert!(seen["paper"].as_f64().unwrap() < 0.05, "{seen}");
    assert_eq!(seen["ink"], "#e3e7ec", "charts are drawn in the colours of the scheme");
    for (what, contrast) in seen["of"].as_object().unwrap() {
        assert!(contrast.as_f64().unwrap() >= 4.5, "{what}: {contrast}");
    }
}
