//! Events folded into what a report says of a run.

use crate::times::Times;
use gauntlet_core::event::{Event, Record, RunHeader, Stage};
use gauntlet_core::{ExitCode, Observations, Verdict};
use std::collections::BTreeMap;

/// What is known of a run so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub header: Option<RunHeader>,
    pub started_ms: u64,
    pub outcomes: Vec<ScenarioOutcome>,
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

    /// Planned scenarios of which no verdict is on record: the run was killed.
    pub fn unjudged(&self) -> Vec<&str> {
        let planned = self.header.iter().flat_map(|header| &header.scenarios);
        planned.map(String::as_str).filter(|name| !self.outcomes.iter().any(|o| o.scenario == *name)).collect()
    }

    /// How many outcomes have the word of a verdict.
    pub fn count(&self, word: &str) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict.word() == word).count()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use gauntlet_core::event::Promised;
    use gauntlet_core::{Check, Evidence, FaultEvidence, Figure, Outcome, RunId, Seed};

    pub(crate) fn header(scenarios: &[&str]) -> Event {
        Event::RunStarted(RunHeader {
            run: RunId::new(0, 7),
            seed: Seed(42),
            system: "shop".into(),
            overlay: "production".into(),
            provider: "embedded".into(),
            versions: [("redis-server".to_owned(), "7.0.15".to_owned())].into(),
            scenarios: scenarios.iter().map(|s| (*s).to_owned()).collect(),
            again: "gauntlet run --seed 42".into(),
            promises: vec![Promised {
                id: "redis.failover".into(),
                says: "A replica takes over".into(),
                reference: "guide, chapter 5".into(),
            }],
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
                detail: "after 9.1 s, allowed are 12 s <&> \u{1b}[31m".into(),
            }],
            figures: vec![Figure { name: "failover time".into(), value: 9.1, unit: "s".into(), limit: Some(12.0) }],
        }
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

    #[test]
    fn scenarios_without_a_verdict_are_known() {
        let held = observations(Outcome::Held);
        let events = [header(&["a", "b"]), finished("a", held.judge(), held)];
        assert_eq!(Summary::of(&events.map(|event| Record::new(0, event))).unjudged(), ["b"]);
    }
}
