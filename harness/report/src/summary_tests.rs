//! What reports are made of, from events.

use super::*;
use gauntlet_core::digest::Expected;
use gauntlet_core::event::Promised;
use gauntlet_core::{Evidence, FaultEvidence, Figure, RunId, Seed};

pub(crate) fn header(scenarios: &[&str]) -> Event {
    Event::RunStarted(RunHeader {
        run: RunId::new(0, 7),
        seed: Seed(42),
        system: "shop".into(),
        overlay: "production".into(),
        mutant: None,
        provider: "embedded".into(),
        versions: [("redis-server".to_owned(), "7.0.15".to_owned())].into(),
        scenarios: scenarios.iter().map(|s| (*s).to_owned()).collect(),
        again: "gauntlet run --seed 42".into(),
        document: None,
        promises: vec![Promised {
            id: "redis.failover".into(),
            says: "A replica takes over".into(),
            reference: "guide, chapter 5".into(),
            at: None,
            quote: None,
            guessed: false,
        }],
        stand_ins: BTreeMap::new(),
    })
}

pub(crate) fn observations(outcome: Outcome) -> Observations {
    let shown = Evidence::Shown("seen".into());
    Observations {
        faults: vec![FaultEvidence {
            fault: "kill a".into(),
            took_effect: shown.clone(),
            healed: shown.clone(),
            control: shown,
        }],
        checks: vec![Check {
            promise: "redis.failover".into(),
            reference: "guide, chapter 5".into(),
            name: "a replica takes over".into(),
            outcome,
            looks: None,
            detail: "after 9.1 s, allowed are 12 s <&> \u{1b}[31m".into(),
            told: None,
        }],
        figures: vec![Figure { name: "failover time".into(), value: 9.1, unit: "s".into(), limit: Some(12.0) }],
        ..Observations::default()
    }
}

/// The overlay is not what was expected.
pub(crate) fn digested() -> Event {
    let digest = Digest { system: "5".repeat(64), overlay: "0123456789abcdef".repeat(4) };
    let expected: Expected = "system=55555555,overlay=99999999".parse().unwrap();
    Event::Digested { differs: expected.differences(&digest), digest }
}

pub(crate) fn finished(scenario: &str, verdict: Verdict, observations: Observations) -> Event {
    Event::ScenarioFinished {
        scenario: scenario.into(),
        verdict,
        observations,
        took_ms: 61_500,
        again: format!("gauntlet run --seed 42 --exact {scenario}"),
        evidence: None,
    }
}

/// One scenario of each verdict.
pub(crate) fn every_verdict() -> Summary {
    let (held, broken) = (observations(Outcome::Held), observations(Outcome::Broken));
    let events = [
        header(&["a.passed", "b.failed", "c.inconclusive", "d.skipped"]),
        finished("a.passed", held.judge(), held),
        finished("b.failed", broken.judge(), broken),
        finished("c.inconclusive", Verdict::trouble("lost the cluster"), Observations::default()),
        finished("d.skipped", Verdict::Skipped { reason: "no power to".into() }, Observations::default()),
        Event::RunFinished { exit: ExitCode::Failed, took_ms: 90_000 },
    ];
    Summary::of(&events.map(|event| Record::new(1_000, event)))
}

/// A run that broke a guess, and nothing else was looked at.
pub(crate) fn a_guess_looks_broken() -> Summary {
    let records = a_guess_looks_broken_events().into_iter().map(|event| Record::new(1_000, event));
    Summary::of(&records.collect::<Vec<Record>>())
}

pub(crate) fn a_guess_looks_broken_events() -> Vec<Event> {
    let Event::RunStarted(mut header) = header(&["a"]) else { unreachable!("a header") };
    header.promises[0].guessed = true;
    header.stand_ins.insert("shop/web".into(), "a stand-in that answers on 80 and does nothing".into());
    let mut guessed = observations(Outcome::Broken);
    guessed.checks = guessed.checks.into_iter().map(Check::unconfirmed).collect();
    vec![
        Event::RunStarted(header),
        finished("a", guessed.judge(), guessed),
        Event::RunFinished { exit: ExitCode::Inconclusive, took_ms: 1 },
    ]
}

#[test]
fn guesses_and_stand_ins_are_told_of_every_run_that_has_them() {
    assert_eq!(every_verdict().caveats(), Vec::<String>::new());
    let summary = a_guess_looks_broken();
    assert_eq!(
        summary.caveats(),
        [
            "nothing that was looked at counts: 1 of 1 promises are unconfirmed guesses: redis.failover",
            "the real programs of these images were not run: shop/web: a stand-in that answers on 80 and does nothing",
        ]
    );
    let guesses = summary.outcomes[0].guesses();
    assert!(guesses[0].starts_with("unconfirmed, looks broken: a replica takes over"), "{guesses:?}");
}

#[test]
fn a_mutant_is_told_of_in_every_report() {
    let Event::RunStarted(header) = header(&["a"]) else { unreachable!("a header") };
    let header = RunHeader { mutant: Some("redis.failover/no-replicas".into()), ..header };
    let held = observations(Outcome::Held);
    let events = [Event::RunStarted(header), finished("a", held.judge(), held)];
    let records = events.map(|event| Record::new(0, event));
    let (summary, folder) = (Summary::of(&records), std::path::Path::new("r"));
    for report in [
        crate::table::render(&summary, folder, false),
        crate::markdown::render(&summary),
        crate::page::render(&records).unwrap(),
    ] {
        assert!(report.to_lowercase().contains("what was deployed is not production"), "{report}");
        assert!(report.contains("on purpose: redis.failover/no-replicas"), "{report}");
    }
    let junit = crate::junit::render(&summary, folder).unwrap();
    assert!(junit.contains(r#"name="mutant" value="redis.failover/no-replicas""#), "{junit}");
}

#[test]
fn programs_of_another_release_are_told_of_in_every_report() {
    const SAYS: &str = "7.0.15 for redis:7.2";
    let held = observations(Outcome::Held);
    let images = [("redis:7.2".to_owned(), "7.0.15".to_owned())].into();
    let events = [header(&["a"]), Event::OtherReleases { images }, finished("a", held.judge(), held)];
    let records = events.map(|event| Record::new(0, event));
    let (summary, folder) = (Summary::of(&records), std::path::Path::new("r"));
    for report in [
        crate::table::render(&summary, folder, false),
        crate::markdown::render(&summary),
        crate::page::render(&records).unwrap(),
    ] {
        assert!(report.contains(SAYS), "{report}");
    }
    let junit = crate::junit::render(&summary, folder).unwrap();
    assert!(junit.contains(r#"name="other release.redis:7.2" value="7.0.15""#), "{junit}");
}

#[test]
fn another_deployment_than_expected_is_pointed_out_in_every_report_and_changes_no_verdict() {
    const SAYS: &str = "rendered overlay is not what it was: expected 99999999, found 0123456789ab";
    let held = observations(Outcome::Held);
    let events = [header(&["a"]), digested(), finished("a", held.judge(), held)];
    let records = events.map(|event| Record::new(0, event));
    let (summary, folder) = (Summary::of(&records), std::path::Path::new("r"));
    for report in [
        crate::table::render(&summary, folder, false),
        crate::markdown::render(&summary),
        crate::junit::render(&summary, folder).unwrap(),
        crate::page::render(&records).unwrap(),
    ] {
        assert_eq!(report.matches(SAYS).count(), 1, "{report}");
    }
    assert_eq!(summary.count("passed"), 1);
    let again = summary.again().unwrap();
    assert_eq!(again, "gauntlet run --seed 42 --expect-digest system=555555555555,overlay=0123456789ab");
}

#[test]
fn a_regression_is_told_in_every_report_and_fails_where_it_is_to() {
    let held = observations(Outcome::Held);
    for fails in [false, true] {
        let comparison = crate::baseline::tests::comparison(fails);
        let events = [
            header(&["a.passed"]),
            finished("a.passed", held.judge(), held.clone()),
            Event::BaselineCompared(comparison.clone()),
        ];
        let records = events.map(|event| Record::new(0, event));
        let (summary, folder) = (Summary::of(&records), std::path::Path::new("r"));
        let (junit, page) = (crate::junit::render(&summary, folder).unwrap(), crate::page::render(&records).unwrap());
        for report in
            [&crate::table::render(&summary, folder, false), &crate::markdown::render(&summary), &junit, &page]
        {
            assert!(report.contains("19.1 s (18.1 to 20.1, 5 values)"), "{report}");
        }
        assert_eq!(junit.contains("failures=\"1\""), fails, "{junit}");
        assert_eq!(page.contains("but 1 figure regressed against the baseline"), fails);
    }
}

#[test]
fn only_scenarios_of_the_wanted_verdicts_are_measured() {
    let summary = every_verdict();
    let of = |verdicts: &[&str]| -> Vec<String> {
        summary.measurements(verdicts).into_iter().map(|one| one.scenario).collect()
    };
    assert_eq!(of(&["passed"]), ["a.passed"]);
    assert_eq!(of(&["passed", "failed"]), ["a.passed", "b.failed"]);
}

#[test]
fn scenarios_without_a_verdict_are_known() {
    let held = observations(Outcome::Held);
    let events = [header(&["a", "b"]), finished("a", held.judge(), held)];
    assert_eq!(Summary::of(&events.map(|event| Record::new(0, event))).unjudged(), ["b"]);
}
