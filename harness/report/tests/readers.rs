//! What we write for machines, read by parsers that others use: JUnit by the schema of Jenkins and by junitparser, events
//! by a validator of JSON schemas.

mod support;

use gauntlet_core::event::{Event, Record, json_schema};
use gauntlet_report::{Summary, junit};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use support::python;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn records() -> Vec<Record> {
    include_str!("runs/failed.jsonl").lines().map(|line| Record::from_line(line).unwrap()).collect()
}

/// What the parsers see of these records' JUnit file.
fn junit_of(records: &[Record]) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("junit.xml");
    std::fs::write(&file, junit::render(&Summary::of(records), Path::new("reports/r")).unwrap()).unwrap();
    python::read(&[Path::new("junit"), &here("tests/readers/junit-10.xsd"), &file])
}

#[test]
fn jenkins_accepts_the_file_and_parsers_find_the_whole_failure() {
    let Some(seen) = junit_of(&records()) else { return };
    assert_eq!(seen["problems"], serde_json::json!([]));
    assert_eq!(seen["counts"], serde_json::json!([1, 1, 0, 0]));
    let case = &seen["cases"][0];
    assert_eq!((case["name"].as_str(), case["classname"].as_str()), (Some("redis.failover"), Some("gauntlet.cordum")));
    let failure = &case["results"][0];
    assert_eq!(failure["kind"], "Failure");
    let text = failure["text"].as_str().unwrap();
    for record in records() {
        if let Event::Checked { check, .. } = record.event
            && check.outcome == gauntlet_core::Outcome::Broken
        {
            assert!(text.contains(&check.name) && text.contains(&check.detail), "{} is not in {text}", check.name);
        }
    }
    assert!(text.contains("again: gauntlet run "), "{text}");
    let attached = |line: &str| line.starts_with("[[ATTACHMENT|/") && line.ends_with("/reports/r/index.html]]");
    assert!(case["out"].as_str().unwrap().lines().any(attached), "{case}");
}

#[test]
fn a_run_that_died_in_its_set_up_is_an_accepted_file_with_an_error() {
    let started: Vec<Record> = records().into_iter().take(2).collect();
    let trouble = Event::Trouble {
        stage: gauntlet_core::event::Stage::Cluster,
        message: "not root".into(),
        hints: vec!["use sudo".into()],
    };
    let records: Vec<Record> = started.into_iter().chain([Record::new(1, trouble)]).collect();
    let Some(seen) = junit_of(&records) else { return };
    assert_eq!((&seen["problems"], &seen["counts"]), (&serde_json::json!([]), &serde_json::json!([2, 0, 2, 0])));
    let names: BTreeSet<&str> = seen["cases"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["redis.failover", "run: bring up the cluster (1)"]));
    assert!(seen["cases"][1]["results"][0]["text"].as_str().unwrap().contains("not root\nuse sudo"), "{seen}");
}

/// Where the schema is published, by the version of the lines.
fn published() -> PathBuf {
    here(&format!("../../reports/schema/events-{}.schema.json", gauntlet_core::event::SCHEMA))
}

/// `UPDATE_SCHEMA=1 cargo test -p gauntlet-report` writes it anew. A change that makes readers of older lines misunderstand
/// newer ones raises the version instead.
#[test]
fn the_published_schema_is_that_of_the_events() {
    let text = format!("{}\n", serde_json::to_string_pretty(&json_schema()).unwrap());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(published(), &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(published()).unwrap(), text, "run with UPDATE_SCHEMA=1 to publish it");
}

#[test]
fn the_schema_names_every_kind_of_event() {
    let text = json_schema().to_string();
    for record in records() {
        let line: Value = serde_json::from_str(&record.to_line().unwrap()).unwrap();
        let kind = line["event"].as_str().unwrap();
        assert!(text.contains(&format!("\"const\":\"{kind}\"")), "{kind}");
    }
}

fn events(lines: &str) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    std::fs::write(&file, lines).unwrap();
    python::read(&[Path::new("events"), &published(), &file])
}

#[test]
fn a_recorded_run_keeps_to_the_published_schema() {
    let more = r#"{"schema":1,"at_ms":5,"event":"interrupted"}
{"schema":1,"at_ms":5,"event":"waiting","what":"a","last_seen":"b","waited_ms":1,"deadline_ms":2}
{"schema":1,"at_ms":5,"event":"action","text":"eviction","field of a later version":1}
{"schema":1,"at_ms":5,"event":"trouble","stage":"cluster","message":"m","hints":[]}
"#;
    let Some(seen) = events(&format!("{}{more}", include_str!("runs/failed.jsonl"))) else { return };
    assert_eq!(seen["wrong"], serde_json::json!([]));
    assert!(seen["kinds"].as_array().unwrap().len() > 18, "{seen}");
}

#[test]
fn what_is_no_event_does_not_keep_to_the_schema() {
    let lines = r#"{"schema":1,"at_ms":5,"event":"no-such-event"}
{"schema":2,"at_ms":5,"event":"interrupted"}
{"schema":1,"event":"interrupted"}
{"schema":1,"at_ms":5,"event":"action"}
{"schema":1,"at_ms":"now","event":"interrupted"}
"#;
    let Some(seen) = events(lines) else { return };
    assert_eq!(seen["wrong"], serde_json::json!([0, 1, 2, 3, 4]));
}
