//! Events folded into what a report says of a run.

use crate::broken::{self, Broken};
use crate::times::Times;
use gauntlet_core::baseline::{Comparison, Measurement, Origin};
use gauntlet_core::digest::Digest;
use gauntlet_core::event::{Event, Record, RunHeader, Stage};
use gauntlet_core::{Check, ExitCode, Observations, Outcome, Verdict};
use std::collections::BTreeMap;

/// What is known of a run so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub header: Option<RunHeader>,
    pub started_ms: u64,
    /// What was deployed, and what of it was not as expected.
    pub deployed: Option<(Digest, Vec<String>)>,
    /// Images of which a program of another release ran, and which one.
    pub other_releases: BTreeMap<String, String>,
    pub outcomes: Vec<ScenarioOutcome>,
    /// The figures against those of earlier runs.
    pub compared: Option<Comparison>,
    pub troubles: Vec<StageTrouble>,
    pub interrupted: bool,
    pub finished: Option<Finished>,
    pub times: Times,
    /// Evidence of scenarios that have not finished yet.
    files: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioOutcome {
    pub scenario: String,
    pub verdict: Verdict,
    pub observations: Observations,
    pub took_ms: u64,
    pub again: String,
    pub evidence: Option<String>,
    /// Files of the evidence, relative to the run's folder.
    pub files: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTrouble {
    pub stage: Stage,
    pub message: String,
    pub hints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    pub exit: ExitCode,
    pub took_ms: u64,
}

impl Summary {
    /// What the records of a run say.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut summary = Self::default();
        records.into_iter().for_each(|record| summary.add(record));
        summary
    }

    pub fn add(&mut self, record: &Record) {
        self.times.add(record);
        match &record.event {
            Event::RunStarted(header) => {
                self.header = Some(header.clone());
                self.started_ms = record.at_ms;
            }
            Event::BaselineCompared(comparison) => self.compared = Some(comparison.clone()),
            Event::Digested { digest, differs } => self.deployed = Some((digest.clone(), differs.clone())),
            Event::OtherReleases { images } => self.other_releases = images.clone(),
            Event::ScenarioFinished { scenario, verdict, observations, took_ms, again, evidence } => {
                self.outcomes.push(ScenarioOutcome {
                    scenario: scenario.clone(),
                    verdict: verdict.clone(),
                    observations: observations.clone(),
                    took_ms: *took_ms,
                    again: again.clone(),
                    evidence: evidence.clone(),
                    files: self.files.remove(scenario).unwrap_or_default(),
                });
            }
            Event::EvidenceCollected { scenario: Some(scenario), file } => {
                self.files.entry(scenario.clone()).or_default().push(file.path.clone());
            }
            Event::Trouble { stage, message, hints } => {
                self.troubles.push(StageTrouble { stage: *stage, message: message.clone(), hints: hints.clone() });
            }
            Event::Interrupted => self.interrupted = true,
            Event::RunFinished { exit, took_ms } => {
                self.finished = Some(Finished { exit: *exit, took_ms: *took_ms });
            }
            Event::StageStarted { .. }
            | Event::StageFinished { .. }
            | Event::Waiting { .. }
            | Event::Note { .. }
            | Event::ClusterReady { .. }
            | Event::ScenarioStarted { .. }
            | Event::PhaseStarted { .. }
            | Event::FaultInjecting { .. }
            | Event::FaultProven { .. }
            | Event::FaultHealed { .. }
            | Event::Measured { .. }
            | Event::Checked { .. }
            | Event::WorkloadSeries { .. }
            | Event::PodChanged { .. }
            | Event::KubernetesEvent { .. }
            | Event::Action { .. }
            | Event::EvidenceCollected { scenario: None, .. }
            | Event::Violated { .. }
            | Event::MatrixSeen { .. } => {}
        }
    }

    /// What was not as the command expected of what is deployed.
    pub fn unexpected(&self) -> impl Iterator<Item = &str> {
        self.deployed.iter().flat_map(|(_, differs)| differs).map(String::as_str)
    }

    /// The command that runs all this again.
    pub fn again(&self) -> Option<String> {
        let again = &self.header.as_ref()?.again;
        Some(self.deployed.as_ref().map_or(again.clone(), |(digest, _)| format!("{again} {}", digest.option())))
    }

    /// What can be compared of the figures, of scenarios that came to one of those verdicts.
    pub fn measurements(&self, verdicts: &[&str]) -> Vec<Measurement> {
        let Some(origin) = self.header.as_ref().map(Origin::of) else { return vec![] };
        let wanted = self.outcomes.iter().filter(|outcome| verdicts.contains(&outcome.verdict.word()));
        wanted.flat_map(|outcome| origin.measurements(&outcome.scenario, &outcome.observations.figures)).collect()
    }

    /// Planned scenarios of which no verdict is on record: the run was killed.
    pub fn unjudged(&self) -> Vec<&str> {
        let planned = self.header.iter().flat_map(|header| &header.scenarios);
        planned.map(String::as_str).filter(|name| !self.outcomes.iter().any(|o| o.scenario == *name)).collect()
    }

    /// What a reader has to know of everything that is said of the run: what is promised by nobody, and what did not run.
    pub fn caveats(&self) -> Vec<String> {
        let Some(header) = &self.header else { return vec![] };
        let (guesses, all) = (header.guesses(), header.promises.len());
        let mut caveats = Vec::new();
        if let Some(mutant) = header.deployed_mutant() {
            let overlay = &header.overlay;
            caveats.push(format!("what was deployed is not {overlay}, but {overlay} broken on purpose: {mutant}"));
        }
        if !guesses.is_empty() {
            let whole = if guesses.len() == all { "nothing that was looked at counts: " } else { "" };
            let ids = guesses.join(", ");
            caveats.push(format!("{whole}{} of {all} promises are unconfirmed guesses: {ids}", guesses.len()));
        }
        if !header.stand_ins.is_empty() {
            let list: Vec<String> = header.stand_ins.iter().map(|(image, runs)| format!("{image}: {runs}")).collect();
            caveats.push(format!("the real programs of these images were not run: {}", list.join("; ")));
        }
        if !self.other_releases.is_empty() {
            let list: Vec<String> =
                self.other_releases.iter().map(|(image, ran)| format!("{ran} for {image}")).collect();
            caveats.push(format!("of these images programs of another release were run: {}", list.join("; ")));
        }
        caveats
    }

    /// How many outcomes have the word of a verdict.
    pub fn count(&self, word: &str) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict.word() == word).count()
    }
}

impl ScenarioOutcome {
    /// Why it did not pass, for a text that people read: broken promises first in words, then check by check.
    pub fn reasons(&self, summary: &Summary) -> Vec<String> {
        match self.verdict {
            Verdict::Failed { .. } => broken::of(summary, self, |_| false).iter().flat_map(Broken::lines).collect(),
            _ => self.verdict.reasons(),
        }
    }

    /// What was seen of promises that are only guessed: what does not look held in full, the rest as a number.
    pub fn guesses(&self) -> Vec<String> {
        let checks = self.observations.checks.iter().filter(|check| check.outcome == Outcome::Unconfirmed);
        let (held, others): (Vec<&Check>, Vec<&Check>) = checks.partition(|check| check.looks == Some(Outcome::Held));
        let tell = |check: &Check| format!("{}: {} ({}): {}", check.word(), check.name, check.promise, check.detail);
        let mut told: Vec<String> = others.into_iter().map(tell).collect();
        if !held.is_empty() {
            let what = if held.len() == 1 { "1 check looks".to_owned() } else { format!("{} checks look", held.len()) };
            told.push(format!("unconfirmed: {what} held, under promises that are only guessed"));
        }
        told
    }
}

#[cfg(test)]
pub(crate) mod tests {
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
            let (junit, page) =
                (crate::junit::render(&summary, folder).unwrap(), crate::page::render(&records).unwrap());
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
}
