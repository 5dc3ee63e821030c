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
#[path = "summary_tests.rs"]
pub(crate) mod tests;
