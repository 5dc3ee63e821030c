//! What a durable consumer was given, what it had acknowledged, and where its leader said that it stood.
//!
//! An acknowledgement counts once the server has confirmed it. From then on its message must not come again, and the
//! floor must not be found below it. Both are told apart from what is worse, a message that the consumer never gets:
//! servers confirm before the other replicas know, so the death of a consumer's leader may undo the last few.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::finding::{Conclusion, Finding};
use crate::history::{Attempt, Dump, History, Observation, Operation, Reply};

/// How one consumer fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Messages whose acknowledgement was confirmed.
    pub confirmed: u64,
    /// Messages that were given out again although they were acknowledged.
    pub redelivered: Vec<Finding>,
    /// Times the floor was seen to have gone back.
    pub floors: Vec<Finding>,
    /// By how many messages it went back at the most.
    pub furthest_back: u64,
    /// Messages that the consumer never got.
    pub findings: Vec<Finding>,
    pub insufficient: Vec<String>,
}

impl Report {
    /// The verdict where up to `forgotten` confirmed acknowledgements may be undone by each loss of a leader.
    pub fn conclude(&self, forgotten: u64) -> Conclusion {
        let mut findings = self.findings.clone();
        if self.redelivered.len() as u64 > forgotten {
            findings.extend(self.redelivered.iter().cloned());
        }
        if self.furthest_back > forgotten {
            findings.extend(self.floors.iter().cloned());
        }
        Conclusion::of(&findings, &self.insufficient)
    }
}

/// Judges the consumer; at least `needed` acknowledgements must have been confirmed.
pub fn check(history: &History, stream: &str, consumer: &str, needed: u64) -> Report {
    let mine = |op: &Operation| match op {
        Operation::NatsAck { stream: s, consumer: c, .. } | Operation::NatsFloor { stream: s, consumer: c } => {
            s == stream && c == consumer
        }
        _ => false,
    };
    let attempts: Vec<&Attempt> = history.attempts.iter().filter(|attempt| mine(&attempt.op)).collect();
    let given: Vec<(u64, &Attempt)> = attempts.iter().filter_map(|a| Some((sequence(a)?, *a))).collect();
    let confirmed = confirmed(&given);
    let mut report = Report { confirmed: confirmed.len() as u64, ..Report::default() };
    report.judge_redelivered(&given, &confirmed);
    report.judge_floors(&attempts, &prefixes(&given, &confirmed));
    report.judge_undelivered(history, stream, consumer, &given);
    if report.confirmed < needed {
        let found = report.confirmed;
        report
            .insufficient
            .push(format!("{found} acknowledgements of consumer {consumer} were confirmed, {needed} are needed"));
    }
    report
}

fn sequence(attempt: &Attempt) -> Option<u64> {
    match attempt.op {
        Operation::NatsAck { sequence, .. } => Some(sequence),
        _ => None,
    }
}

fn message(sequence: u64) -> String {
    format!("message {sequence}")
}

/// When the acknowledgement of each message was first confirmed.
fn confirmed(given: &[(u64, &Attempt)]) -> BTreeMap<u64, u64> {
    let mut confirmed: BTreeMap<u64, u64> = BTreeMap::new();
    for (sequence, attempt) in given {
        if let (true, Some(at)) = (attempt.is_ok(), attempt.completed) {
            let first = confirmed.entry(*sequence).or_insert(at.wall_us);
            *first = (*first).min(at.wall_us);
        }
    }
    confirmed
}

/// `(when, up to where)`: from when on everything that the consumer had been given up to a sequence was confirmed.
/// What was given but never confirmed ends it.
fn prefixes(given: &[(u64, &Attempt)], confirmed: &BTreeMap<u64, u64>) -> Vec<(u64, u64)> {
    let all: BTreeSet<u64> = given.iter().map(|(sequence, _)| *sequence).collect();
    let mut since = 0;
    let mut prefixes = Vec::new();
    for sequence in all {
        let Some(at) = confirmed.get(&sequence) else { break };
        since = since.max(*at);
        prefixes.push((since, sequence));
    }
    prefixes
}

impl Report {
    fn judge_redelivered(&mut self, given: &[(u64, &Attempt)], confirmed: &BTreeMap<u64, u64>) {
        let mut told = BTreeSet::new();
        for (sequence, attempt) in given {
            let at_us = attempt.invoked.wall_us;
            if confirmed.get(sequence).is_some_and(|confirmed| *confirmed < at_us) && told.insert(*sequence) {
                self.redelivered.push(Finding::Redelivered { what: message(*sequence), at_us });
            }
        }
    }

    /// A floor must not lie below what was confirmed before it was asked for, nor below a floor that was told before.
    fn judge_floors(&mut self, attempts: &[&Attempt], prefixes: &[(u64, u64)]) {
        let floor = |attempt: &&Attempt| match (attempt.is_ok(), &attempt.reply, attempt.completed) {
            (true, Some(Reply::NatsFloor { floor }), Some(at)) => Some((attempt.invoked.wall_us, at.wall_us, *floor)),
            _ => None,
        };
        let mut floors: Vec<(u64, u64, u64)> = attempts.iter().filter_map(floor).collect();
        floors.sort_unstable();
        for (index, (asked_us, at_us, now)) in floors.iter().enumerate() {
            let known = prefixes[..prefixes.partition_point(|(since, _)| since < asked_us)].last();
            let told = floors[..index].iter().filter(|(_, told_us, _)| told_us < asked_us).map(|(_, _, floor)| *floor);
            let before = told.chain(known.map(|(_, up_to)| *up_to)).max().unwrap_or(0);
            if *now < before {
                self.furthest_back = self.furthest_back.max(before - now);
                self.floors.push(Finding::FloorWentBack { before, now: *now, at_us: *at_us });
            }
        }
    }

    fn judge_undelivered(&mut self, history: &History, stream: &str, consumer: &str, given: &[(u64, &Attempt)]) {
        let end = history.observations.iter().rev().find_map(|seen| match seen {
            Observation::NatsConsumer { stream: s, consumer: c, undelivered, unacknowledged, .. }
                if s == stream && c == consumer =>
            {
                Some((*undelivered, *unacknowledged))
            }
            _ => None,
        });
        let Some((undelivered, unacknowledged)) = end else {
            self.insufficient.push(format!("consumer {consumer} did not tell where it stood in the end"));
            return;
        };
        if !history.is_complete(&Dump::Nats { stream: stream.to_owned() }) {
            self.insufficient.push(format!("stream {stream} was not read to its end"));
        }
        let given: BTreeSet<u64> = given.iter().map(|(sequence, _)| *sequence).collect();
        let stored: BTreeSet<u64> = history.observations.iter().filter_map(|seen| stored(seen, stream)).collect();
        for sequence in stored.difference(&given) {
            self.findings.push(Finding::Undelivered { what: message(*sequence) });
        }
        if self.findings.is_empty() && undelivered + unacknowledged > 0 {
            self.insufficient.push(format!(
                "consumer {consumer} was not through in time: {undelivered} undelivered, {unacknowledged} unacknowledged"
            ));
        }
    }
}

fn stored(seen: &Observation, stream: &str) -> Option<u64> {
    match seen {
        Observation::NatsMessage { stream: of, sequence, .. } if of == stream => Some(*sequence),
        _ => None,
    }
}

#[cfg(test)]
#[path = "nats_consumer_tests.rs"]
mod tests;
