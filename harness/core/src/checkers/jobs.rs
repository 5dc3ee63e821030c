//! Accepted jobs against how they ended: every one, once.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::finding::{Conclusion, Finding, Tally};
use crate::history::{Dump, History, Observation, Operation, Outcome, Reply};

/// What became of the jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Accepted jobs; those are lost that the system does not know afterwards.
    pub accepted: Tally,
    pub ended: u64,
    pub failed: u64,
    pub unknown: u64,
    pub findings: Vec<Finding>,
    pub insufficient: Vec<String>,
}

impl Report {
    pub fn conclude(&self) -> Conclusion {
        Conclusion::of(&self.findings, &self.insufficient)
    }
}

/// What is known of one job at the end; a later observation replaces an earlier one, but ends seen stay seen.
#[derive(Default)]
struct End<'a> {
    state: Option<&'a str>,
    terminal: bool,
    ends: u32,
}

/// Judges every submitted job; at least `needed` must have been accepted.
pub fn check(history: &History, needed: u64) -> Report {
    let mut report = Report::default();
    let accepted = report.accept(history);
    let ends = ends(history);
    for (job, acked_us) in &accepted {
        match ends.get(job) {
            Some(end) => report.judge(job, *acked_us, end),
            None => report.insufficient.push(format!("job {job} was accepted and not looked up afterwards")),
        }
    }
    report.judge_strangers(&accepted, &ends);
    if !history.is_complete(&Dump::Jobs) {
        report.insufficient.push("the jobs' final states were not read to their end".into());
    }
    if report.accepted.acked < needed {
        report.insufficient.push(format!("{} jobs were accepted, {needed} are needed", report.accepted.acked));
    }
    report
}

fn ends(history: &History) -> BTreeMap<&str, End<'_>> {
    let mut by_job: BTreeMap<&str, End<'_>> = BTreeMap::new();
    for seen in &history.observations {
        if let Observation::JobState { job, state, terminal, ends } = seen {
            let end = by_job.entry(job).or_default();
            end.state = state.as_deref();
            end.terminal = *terminal;
            end.ends = end.ends.max(*ends);
        }
    }
    by_job
}

impl Report {
    /// Counts submissions and gives the accepted ids with the time of acceptance. One id handed out for two
    /// submissions is a duplicate.
    fn accept<'a>(&mut self, history: &'a History) -> BTreeMap<&'a str, u64> {
        let mut accepted = BTreeMap::new();
        let mut handed_out: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for attempt in &history.attempts {
            let Operation::JobSubmit { name } = &attempt.op else { continue };
            match (attempt.outcome, &attempt.reply) {
                (Outcome::Ok, Some(Reply::JobSubmit { job })) => {
                    accepted.entry(job.as_str()).or_insert(attempt.completed.unwrap_or_default().wall_us);
                    handed_out.entry(job).or_default().insert(name);
                }
                (Outcome::Ok, _) => self.insufficient.push(format!("submission {name} was accepted without an id")),
                (Outcome::Failed, _) => self.failed += 1,
                (Outcome::Unknown, _) => self.unknown += 1,
            }
        }
        self.accepted.acked = accepted.len() as u64;
        for (job, names) in handed_out.iter().filter(|(_, names)| names.len() > 1) {
            let what = format!("id {job} given to different submissions");
            self.findings.push(Finding::Duplicate { what, times: names.len() as u32 });
        }
        accepted
    }

    fn judge(&mut self, job: &str, acked_us: u64, end: &End<'_>) {
        let what = format!("job {job}");
        match end.state {
            None => {
                self.accepted.lost += 1;
                self.findings.push(Finding::Lost { what: what.clone(), acked_us, found: None });
            }
            Some(state) if !end.terminal => {
                self.findings.push(Finding::NotEnded { what: what.clone(), state: state.to_owned() });
            }
            Some(_) => self.ended += 1,
        }
        if end.ends > 1 {
            self.findings.push(Finding::Duplicate { what: format!("the end of {what}"), times: end.ends });
        }
    }

    /// A job that nobody was told of may stem from a submission of unknown outcome; more such jobs than such
    /// submissions were invented.
    fn judge_strangers(&mut self, accepted: &BTreeMap<&str, u64>, ends: &BTreeMap<&str, End<'_>>) {
        let strangers: Vec<_> =
            ends.iter().filter(|(job, end)| !accepted.contains_key(*job) && end.state.is_some()).collect();
        if strangers.len() as u64 > self.unknown {
            let names: Vec<_> = strangers.iter().map(|(job, _)| **job).collect();
            let what = format!("the list of jobs, with {} submissions of unknown outcome,", self.unknown);
            self.findings.push(Finding::Phantom { what, found: names.join(", ") });
        }
        for (job, end) in strangers {
            if end.ends > 1 {
                self.findings.push(Finding::Duplicate { what: format!("the end of job {job}"), times: end.ends });
            }
        }
    }
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
