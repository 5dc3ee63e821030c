//! A network matrix of some thousand cells in a real browser: what is shown is what the events say, keys and filters find
//! the differences, and it is neither slow nor wider than a phone.

mod support;

use gauntlet_core::Outcome;
use gauntlet_core::contract::network::{Expected, Protocol};
use gauntlet_core::event::{Event, Record};
use gauntlet_core::matrix::{Cell, Matrix, Seen};
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::{Observations, Seed, Verdict};
use gauntlet_report::page;
use support::browser::{Browser, Loaded};

const SOURCES: usize = 40;
const DESTINATIONS: usize = 20;
const PORTS: [u16; 3] = [80, 6379, 9121];
const SCENARIO: &str = "network.matrix";

/// Two cells differ: 7 → 3 on 6379 got through, 30 → 12 on 80 could not be told.
fn cell(from: usize, to: usize, port: u16) -> Cell {
    let (differs, outcome) = match (from, to, port) {
        (7, 3, 6379) => (true, Some(Outcome::Broken)),
        (30, 12, 80) => (true, Some(Outcome::Unknown)),
        (_, _, 9121) => (false, None),
        _ => (false, Some(Outcome::Held)),
    };
    let row = format!("row {port}");
    let (expected, seen) = match port {
        80 => (Expected::Allowed(row), if differs { Seen::Timeout } else { Seen::Open }),
        6379 => (Expected::Denied(row), if differs { Seen::Open } else { Seen::Timeout }),
        _ => (Expected::Open("no row speaks of it".to_owned()), Seen::Timeout),
    };
    Cell {
        from: format!("source-{from}"),
        to: format!("a destination with a long name {to}"),
        port,
        protocol: Protocol::Tcp,
        expected,
        seen: [(seen, 3)].into(),
        outcome,
        detail: if differs { "3 of 3 <b>so</b>".to_owned() } else { String::new() },
        policies: if differs { vec!["ingress of the destination is allowed by web-in".to_owned()] } else { vec![] },
    }
}

fn page() -> String {
    let cells = (0..SOURCES)
        .flat_map(|from| (0..DESTINATIONS).flat_map(move |to| PORTS.map(|port| cell(from, to, port))))
        .collect();
    let scenario = || SCENARIO.to_owned();
    let events = [
        Event::ScenarioStarted {
            scenario: scenario(),
            summary: "everybody tries everything".to_owned(),
            cluster: ClusterNeed::Shared,
            seed: Seed(1),
            deadline_ms: 1,
        },
        Event::MatrixSeen { scenario: scenario(), matrix: Matrix { cells } },
        Event::ScenarioFinished {
            scenario: scenario(),
            verdict: Verdict::trouble("made up"),
            observations: Observations::default(),
            took_ms: 1,
            again: String::new(),
            evidence: None,
        },
    ];
    let records: Vec<Record> = events.into_iter().map(|event| Record::new(1_000, event)).collect();
    page::render(&records).unwrap()
}

/// The page after `script` has left something in `seen`; `None` where there is no browser.
fn load(script: &str) -> Option<Loaded> {
    let browser = Browser::find()?;
    let page = page();
    let end = page.rfind("</body>").unwrap();
    let script = format!(
        "const grid = Gauntlet.matrices[0], seen = {{}}, set = (field, value) => {{ field.value = value; field.dispatchEvent(new Event('input')); }};
         const press = (key) => grid.tds[grid.current[0]][grid.current[1]].dispatchEvent(new KeyboardEvent('keydown', {{ key, bubbles: true }}));
         const where = () => [...grid.current]; const said = () => grid.words.textContent;
         {script}; document.body.dataset.seen = JSON.stringify(seen);"
    );
    let loaded = browser.load(&format!("{}<script>{script}</script>{}", &page[..end], &page[end..]));
    assert_eq!(loaded.console, Vec::<String>::new());
    Some(loaded)
}

#[test]
fn every_cell_stands_in_the_grid_as_it_was_judged() {
    let script = "const shapes = {}; for (const td of document.querySelectorAll('.grid tbody td')) shapes[td.textContent] = (shapes[td.textContent] || 0) + 1;
        seen.shapes = shapes; seen.columns = grid.ports.length; seen.groups = grid.heads.length";
    let Some(loaded) = load(script) else { return };
    let seen = loaded.json("seen");
    let connections = SOURCES * DESTINATIONS;
    let expected = serde_json::json!({
        "columns": DESTINATIONS * PORTS.len(), "groups": DESTINATIONS,
        "shapes": {"●": connections - 1, "·": connections - 1, "✕": 1, "?": 1, "○": connections},
    });
    assert_eq!(seen, expected);
}

#[test]
fn the_first_difference_is_told_at_once_and_keys_find_the_others() {
    let script = "seen.first = where(); seen.said = said();
        press('n'); seen.next = where(); seen.focused = document.activeElement === grid.tds[30][36];
        seen.label = document.activeElement.getAttribute('aria-label');
        press('p'); press('ArrowRight'); seen.right = where(); seen.held = said();
        press('ArrowDown'); seen.down = where(); press('Home'); seen.home = where(); press('End'); seen.end = where();
        seen.reachable = document.querySelectorAll('.grid td[tabindex]').length";
    let Some(loaded) = load(script) else { return };
    let seen = loaded.json("seen");
    assert_eq!(seen["first"], serde_json::json!([7, 10]));
    let said = seen["said"].as_str().unwrap();
    for part in [
        "source-7 → a destination with a long name 3 6379/tcp",
        "expected denied (row 6379), seen open: 3 of 3 ",
        "ingress of the destination is allowed by web-in",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!((&seen["next"], &seen["focused"]), (&serde_json::json!([30, 36]), &true.into()));
    assert!(seen["label"].as_str().unwrap().starts_with("cannot tell: source-30 → "), "{seen}");
    assert_eq!(seen["right"], serde_json::json!([7, 11]));
    assert!(seen["held"].as_str().unwrap().starts_with("left open"), "{seen}");
    assert_eq!(seen["down"], serde_json::json!([8, 11]));
    assert_eq!((&seen["home"], &seen["end"]), (&serde_json::json!([8, 0]), &serde_json::json!([8, 59])));
    assert_eq!(seen["reachable"], 1, "the tab key stops once");
}

#[test]
fn only_differences_are_shown_on_demand_and_names_narrow_it_further() {
    let script = "const shown = () => ({ cells: [...document.querySelectorAll('.grid tbody td')].filter((td) => td.offsetParent).length,
            heads: grid.heads.filter((head) => head.offsetParent).length, words: grid.output.textContent, at: where() });
        grid.only.checked = true; set(grid.only, 'on'); seen.only = shown();
        set(grid.from, 'SOURCE-30'); seen.from = shown();
        grid.only.checked = false; set(grid.only, 'on'); set(grid.to, 'name 12 '); seen.both = shown();
        set(grid.from, 'nobody'); seen.none = grid.places().length; set(grid.from, ''); set(grid.to, ''); seen.all = shown()";
    let Some(loaded) = load(script) else { return };
    let seen = loaded.json("seen");
    let only = serde_json::json!({"cells": 4, "heads": 2, "words": "4 cells shown, 2 differ", "at": [7, 10]});
    assert_eq!(seen["only"], only);
    let from = serde_json::json!({"cells": 1, "heads": 1, "words": "1 cells shown, 1 differ", "at": [30, 36]});
    assert_eq!(seen["from"], from);
    let both = serde_json::json!({"cells": 3, "heads": 1, "words": "3 cells shown, 1 differ", "at": [30, 36]});
    assert_eq!(seen["both"], both);
    assert_eq!(seen["none"], 0);
    assert_eq!((seen["all"]["cells"].as_u64(), seen["all"]["heads"].as_u64()), (Some(2400), Some(20)));
}

/// Filtering thousands of cells must not be felt, and their page must not become a burden to load.
#[test]
fn thousands_of_cells_stay_usable() {
    let bytes = page().len();
    assert!(bytes < 600_000, "{bytes} bytes");
    let script = "const begun = performance.now(); grid.only.checked = true; set(grid.only, 'on');
        for (let n = 0; n < 20; n += 1) { set(grid.from, 'source-' + n); } set(grid.from, '');
        document.body.offsetHeight; seen.each = (performance.now() - begun) / 22";
    let Some(loaded) = load(script) else { return };
    let each = loaded.json("seen")["each"].as_f64().unwrap();
    assert!(each < 1_000.0, "{each} ms");
    eprintln!("{each:.1} ms to filter {} cells", SOURCES * DESTINATIONS * PORTS.len());
}

#[test]
fn a_wide_matrix_does_not_widen_a_phone() {
    let Some(browser) = Browser::find() else { return };
    let seen = browser.load_at_width(&page(), 390).json("width");
    assert!(seen["page"].as_f64().unwrap() <= 390.0, "{seen}");
}
