//! Figures of runs kept, shown and held against: what the file and the reports say, and the exit codes.

#[allow(dead_code)] // not every test uses all of it
mod support;

use gauntlet_core::event::{Event, RunHeader};
use gauntlet_core::{Check, Evidence, FaultEvidence, Figure, Observations, Outcome, Record, RunId, Seed};
use support::Place;

fn observations(failover: f64) -> Observations {
    let shown = || Evidence::Shown("seen".into());
    let check = Check {
        promise: "p".into(),
        reference: "guide".into(),
        name: "a replica takes over".into(),
        outcome: Outcome::Held,
        looks: None,
        detail: "in time".into(),
        told: None,
    };
    Observations {
        faults: vec![FaultEvidence { fault: "kill".into(), took_effect: shown(), healed: shown(), control: shown() }],
        checks: vec![check],
        figures: vec![Figure { name: "failover time".into(), value: failover, unit: "s".into(), limit: Some(60.0) }],
        ..Observations::default()
    }
}

/// A run with as many rounds as there are failover times.
fn run(place: &Place, name: &str, number: u16, times: &[f64]) {
    run_of(place, name, number, times, None);
}

fn run_of(place: &Place, name: &str, number: u16, times: &[f64], mutant: Option<&str>) {
    let round = |n: usize| if n == 0 { "redis.failover".to_owned() } else { format!("redis.failover#{}", n + 1) };
    let header = RunHeader {
        run: RunId::new(0, number),
        seed: Seed(1),
        system: "shop".into(),
        overlay: "production".into(),
        mutant: mutant.map(str::to_owned),
        provider: "embedded".into(),
        versions: [].into(),
        scenarios: (0..times.len()).map(round).collect(),
        again: "gauntlet run".into(),
        document: None,
        promises: vec![],
        stand_ins: [].into(),
    };
    let finished = times.iter().enumerate().map(|(n, time)| Event::ScenarioFinished {
        scenario: round(n),
        verdict: observations(*time).judge(),
        observations: observations(*time),
        took_ms: 1,
        again: "gauntlet run".into(),
        evidence: None,
    });
    let events = std::iter::once(Event::RunStarted(header)).chain(finished);
    let lines: String = events.map(|event| Record::new(0, event).to_line().unwrap() + "\n").collect();
    let folder = place.path("reports").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("events.jsonl"), lines).unwrap();
}

const HEALTHY: [f64; 12] = [9.1, 9.6, 9.4, 10.2, 9.9, 9.5, 9.3, 11.0, 9.7, 9.8, 10.1, 9.2];

fn place() -> Place {
    let place = Place::new();
    run(&place, "before", 1, &HEALTHY);
    run(&place, "same", 2, &[9.45, 9.85, 10.0, 9.55, 9.65]);
    run(&place, "slow", 3, &[19.0, 19.4, 21.0, 18.2, 20.3]);
    let ended = place.gauntlet(&["baseline", "add", "before"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    place
}

#[test]
fn the_file_has_a_line_for_each_measurement_and_adding_a_run_twice_changes_nothing() {
    let place = place();
    let file = place.path("baseline.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), HEALTHY.len());
    assert!(
        text.contains(r#""figure":"failover time","unit":"s","run":"19700101-000000-0001","round":12,"value":9.2"#)
    );
    assert_eq!(place.gauntlet(&["baseline", "add", "before"]).code, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let shown = place.gauntlet(&["baseline", "show"]);
    let expected = "shop production on embedded, redis.failover\n  failover time: 9.65 s (9.1 to 11, 12 values); 2 repeats can show";
    assert!(shown.stdout.starts_with(expected), "{}", shown.stdout);
}

#[test]
fn a_doubled_failover_time_fails_where_it_is_to_and_every_report_says_so() {
    let place = place();
    let told = place.gauntlet(&["baseline", "check", "slow"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let failed = place.gauntlet(&["baseline", "check", "slow", "--fail-on-regression"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stdout.contains("failover time of redis.failover regressed: 19.4 s"), "{}", failed.stdout);
    for (file, expected) in
        [("index.html", "but 1 figure regressed against the baseline"), ("junit.xml", "run: baseline")]
    {
        let text = std::fs::read_to_string(place.path("reports").join("slow").join(file)).unwrap();
        assert!(text.contains(expected), "{expected} is not in {file}");
    }
    let again = place.gauntlet(&["report", "slow"]);
    assert!(
        again.stdout.contains("baseline: 1 regressed; against baseline.jsonl, at a level of 5 %"),
        "{}",
        again.stdout
    );
}

#[test]
fn what_is_as_it_was_is_steady_and_one_value_is_too_few() {
    let place = place();
    let same = place.gauntlet(&["baseline", "check", "same", "--fail-on-regression"]);
    assert_eq!(same.code, 0, "{}", same.stderr);
    assert!(same.stdout.contains("0 regressed, 1 steady"), "{}", same.stdout);
    run(&place, "one", 4, &[40.0]);
    let one = place.gauntlet(&["baseline", "check", "one", "--fail-on-regression"]);
    assert_eq!(one.code, 0, "{}", one.stderr);
    assert!(one.stdout.contains("1 too few repeats to tell") && one.stdout.contains("2 repeats could tell"));
    run(&place, "two", 5, &[41.0]);
    let both = place.gauntlet(&["baseline", "check", "one", "two", "--fail-on-regression"]);
    assert_eq!(both.code, 1, "runs that are named together are held against it together: {}", both.stdout);
}

#[test]
fn a_run_of_a_mutant_is_no_baseline_and_is_told_where_it_is_held_against_one() {
    let place = place();
    run_of(&place, "broken", 6, &[40.0, 41.0], Some("redis.failover/no-replicas"));
    let before = std::fs::read_to_string(place.path("baseline.jsonl")).unwrap();
    let refused = place.gauntlet(&["baseline", "add", "broken"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("broken on purpose (redis.failover/no-replicas), which is no baseline"));
    assert_eq!(std::fs::read_to_string(place.path("baseline.jsonl")).unwrap(), before);
    let held = place.gauntlet(&["baseline", "check", "broken"]);
    assert!(held.stdout.contains("broken on purpose (redis.failover/no-replicas)"), "{}", held.stdout);
}

#[test]
fn bad_input_is_named() {
    let place = place();
    std::fs::write(place.path("bad.jsonl"), "{}\n").unwrap();
    std::fs::write(place.path("empty.jsonl"), "").unwrap();
    for (arguments, says) in [
        (&["baseline", "check", "slow", "--baseline", "nowhere.jsonl"][..], "cannot read the baseline nowhere.jsonl"),
        (&["baseline", "check", "slow", "--baseline", "bad.jsonl"], "bad.jsonl, line 1: no measurement"),
        (&["baseline", "check", "slow", "--baseline", "empty.jsonl"], "holds no measurements"),
        (&["baseline", "check", "slow", "--level", "2"], "a level is above 0"),
        (&["baseline", "check", "nothing"], "no run `nothing`"),
        (&["run", "--expect-digest", "system=xyz"], "is no digest"),
        (&["run", "--baseline", "nowhere.jsonl"], "cannot read the baseline nowhere.jsonl"),
        (&["run", "--fail-on-regression"], "--baseline <FILE>"),
    ] {
        let ended = place.gauntlet(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    }
}
