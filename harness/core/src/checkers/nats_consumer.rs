//! What a durable consumer was given, what it had acknowledged, and where its leader said that it stood.
//!
//! An acknowledgement counts once the server has confirmed it. From then on its message must not come again, and the
//! floor must not be found below it. Excused is what a leader confirmed that could not, or not yet, tell its peers: servers
//! confirm before the other replicas know, so losing a consumer's leader undoes its last moments, and one that is left
//! without its peers goes on confirming until it notices. When that was only the caller knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::finding::{Conclusion, Finding};
use super::nats::Span;
use crate::history::{Attempt, Dump, History, Observation, Operation, Reply};

/// How one consumer fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Messages whose acknowledgement was confirmed.
    pub confirmed: u64,
    /// Messages that were given out again although they were acknowledged.
    pub redelivered: Vec<Finding>,
    /// Messages that were given out again although they were acknowledged, when that is excused.
    pub forgotten: u64,
    /// Times the floor was seen to have gone back.
    pub floors: Vec<Finding>,
    /// Messages that the consumer never got.
    pub findings: Vec<Finding>,
    pub insufficient: Vec<String>,
}

impl Report {
    pub fn conclude(&self) -> Conclusion {
        let findings: Vec<Finding> =
            self.findings.iter().chain(&self.redelivered).chain(&self.floors).cloned().collect();
        Conclusion::of(&findings, &self.insufficient)
    }
}

/// Judges the consumer; at least `needed` acknowledgements must have been confirmed. What was confirmed or told in the
/// `excused` times may be undone.
pub fn check(history: &History, stream: &str, consumer: &str, needed: u64, excused: &[Span]) -> Report {
    let mine = |op: &Operation| match op {
        Operation::NatsAck { stream: s, consumer: c, .. } | Operation::NatsFloor { stream: s, consumer: c } => {
            s == stream && c == consumer
        }
        _ => false,
    };
    let attempts: Vec<&Attempt> = history.attempts.iter().filter(|attempt| mine(&attempt.op)).collect();
    let given: Vec<(u64, &Attempt)> = attempts.iter().filter_map(|a| Some((sequence(a)?, *a))).collect();
    let confirmed = confirmed(&given, excused);
    let mut report = Report { confirmed: confirmed.len() as u64, ..Report::default() };
    report.judge_redelivered(&given, &confirmed);
    report.judge_floors(&attempts, &prefixes(&given, &confirmed), excused);
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

/// What is known of the acknowledgement of a message.
#[derive(Clone, Copy)]
struct Confirmed {
    /// When it was first confirmed.
    first_us: u64,
    /// When it was first confirmed without excuse; the same unless that was undone.
    binding_us: Option<u64>,
}

/// When the acknowledgement of each message was confirmed.
fn confirmed(given: &[(u64, &Attempt)], excused: &[Span]) -> BTreeMap<u64, Confirmed> {
    let mut times: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (sequence, attempt) in given {
        if let (true, Some(at)) = (attempt.is_ok(), attempt.completed) {
            times.entry(*sequence).or_default().push(at.wall_us);
        }
    }
    let is_binding = |at: &u64| !is_excused(*at, excused);
    let of = |at: Vec<u64>| {
        let first_us = at.iter().copied().min()?;
        Some(Confirmed { first_us, binding_us: at.iter().copied().filter(is_binding).min() })
    };
    times.into_iter().filter_map(|(sequence, at)| Some((sequence, of(at)?))).collect()
}

fn is_excused(at_us: u64, excused: &[Span]) -> bool {
    excused.iter().any(|span| span.from_us <= at_us && at_us <= span.to_us)
}

/// `(when, up to where)`: from when on everything that the consumer had been given up to a sequence was confirmed.
/// What was given but never confirmed ends it. An excused confirmation whose message never came again counts once a later
/// message was confirmed without excuse: until then another server may tell where it stands, and has yet to learn of it.
fn prefixes(given: &[(u64, &Attempt)], confirmed: &BTreeMap<u64, Confirmed>) -> Vec<(u64, u64)> {
    let mut deliveries: BTreeMap<u64, u64> = BTreeMap::new();
    for (sequence, _) in given {
        *deliveries.entry(*sequence).or_default() += 1;
    }
    let mut since = 0;
    let mut prefixes = Vec::new();
    for (sequence, times) in deliveries {
        match confirmed.get(&sequence).map(|of| of.binding_us) {
            Some(Some(at)) => {
                since = since.max(at);
                prefixes.push((since, sequence));
            }
            Some(None) if times == 1 => {}
            _ => break,
        }
    }
    prefixes
}

impl Report {
    fn judge_redelivered(&mut self, given: &[(u64, &Attempt)], confirmed: &BTreeMap<u64, Confirmed>) {
        let (mut told, mut forgotten) = (BTreeSet::new(), BTreeSet::new());
        for (sequence, attempt) in given {
            let at_us = attempt.invoked.wall_us;
            let Some(confirmed) = confirmed.get(sequence).filter(|confirmed| confirmed.first_us < at_us) else {
                continue;
            };
            if confirmed.binding_us.is_none_or(|binding_us| binding_us >= at_us) {
                forgotten.insert(*sequence);
            } else if told.insert(*sequence) {
                self.redelivered.push(Finding::Redelivered { what: message(*sequence), at_us });
            }
        }
        self.forgotten = forgotten.len() as u64;
    }

    /// A floor must not lie below what was confirmed before it was asked for, nor below a floor that was told before.
    fn judge_floors(&mut self, attempts: &[&Attempt], prefixes: &[(u64, u64)], excused: &[Span]) {
        let floor = |attempt: &&Attempt| match (attempt.is_ok(), &attempt.reply, attempt.completed) {
            (true, Some(Reply::NatsFloor { floor }), Some(at)) => Some((attempt.invoked.wall_us, at.wall_us, *floor)),
            _ => None,
        };
        let mut floors: Vec<(u64, u64, u64)> = attempts.iter().filter_map(floor).collect();
        floors.sort_unstable();
        for (index, (asked_us, at_us, now)) in floors.iter().enumerate() {
            let known = prefixes[..prefixes.partition_point(|(since, _)| since < asked_us)].last();
            let counts = |told_us: &u64| told_us < asked_us && !is_excused(*told_us, excused);
            let told = floors[..index].iter().filter(|(_, told_us, _)| counts(told_us)).map(|(_, _, floor)| *floor);
            let before = told.chain(known.map(|(_, up_to)| *up_to)).max().unwrap_or(0);
            if *now < before {
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
