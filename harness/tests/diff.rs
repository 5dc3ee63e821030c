//! Comparing runs from their events.

#[allow(dead_code)] // not every test uses all of it
mod support;

use support::Place;

const RUN: &str = include_str!("../report/tests/runs/failed.jsonl");

/// A place with one recorded run.
fn place() -> Place {
    let place = Place::new();
    let folder = place.path("reports").join("failed");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("events.jsonl"), RUN).expect("a file");
    place
}

#[test]
fn a_run_compared_with_itself_is_the_same() {
    let ended = place().gauntlet(&["diff", "failed", "failed"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("verdict: failed\n") && ended.stdout.contains("checks came to the same"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("held → broken"), "{}", ended.stdout);
}

#[test]
fn a_run_that_does_not_exist_is_bad_input() {
    let ended = place().gauntlet(&["diff", "failed", "nothing"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("no run `nothing`") && ended.stderr.contains("hint:"), "{}", ended.stderr);
}
