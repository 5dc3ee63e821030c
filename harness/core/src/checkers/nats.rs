//! Acknowledged JetStream publishes against the messages found in the stream.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::finding::{Conclusion, Finding, Tally};
use crate::history::{Attempt, Dump, History, Observation, Operation, Outcome, Reply};

/// What became of the publishes to one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub published: Tally,
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

/// A span of wall-clock time, in microseconds since the Unix epoch, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from_us: u64,
    pub to_us: u64,
}

/// Judges every publish to `stream`; at least `needed` must have been acknowledged.
pub fn check(history: &History, stream: &str, needed: u64) -> Report {
    let mut report = Report::default();
    let publishes = publishes(history, stream);
    for (_, attempt) in &publishes {
        match attempt.outcome {
            Outcome::Ok => report.published.acked += 1,
            Outcome::Failed => report.failed += 1,
            Outcome::Unknown => report.unknown += 1,
        }
    }
    let complete = history.is_complete(&Dump::Nats { stream: stream.to_owned() });
    let stored = stored(history, stream);
    if complete {
        report.judge_lost(&publishes, &stored);
    } else {
        report.insufficient.push(format!("stream {stream} was not read to its end"));
    }
    report.judge_stored(&publishes, &stored);
    report.judge_order(&publishes, &stored);
    if report.published.acked < needed {
        let acked = report.published.acked;
        report.insufficient.push(format!("{acked} publishes to {stream} were acknowledged, {needed} are needed"));
    }
    report
}

/// Publishes to `stream` that were begun and acknowledged while no quorum existed, according to `without_quorum`. Whoever
/// publishes again what he began before may rightly be told of a duplicate: it was stored while there was a quorum, and its
/// acknowledgement was lost with the server that had it.
pub fn acked_without_quorum(history: &History, stream: &str, without_quorum: &[Span]) -> Vec<Finding> {
    let publishes = publishes(history, stream);
    let mut begun: BTreeMap<&str, u64> = BTreeMap::new();
    for (msg_id, attempt) in &publishes {
        let first = begun.entry(msg_id).or_insert(attempt.invoked.wall_us);
        *first = (*first).min(attempt.invoked.wall_us);
    }
    let finding = |(msg_id, attempt): &(&str, &Attempt)| {
        let at_us = attempt.completed?.wall_us;
        let is_within = |span: &&Span| span.from_us <= attempt.invoked.wall_us && at_us <= span.to_us;
        let span = without_quorum.iter().find(is_within)?;
        let tells_of_before = !is_first_copy(attempt) && begun.get(msg_id).is_some_and(|first| *first < span.from_us);
        (attempt.is_ok() && !tells_of_before).then(|| Finding::AckedWithoutQuorum { what: message(msg_id), at_us })
    };
    publishes.iter().filter_map(finding).collect()
}

fn message(msg_id: &str) -> String {
    format!("message {msg_id}")
}

fn publishes<'a>(history: &'a History, stream: &str) -> Vec<(&'a str, &'a Attempt)> {
    history
        .attempts
        .iter()
        .filter_map(|attempt| match &attempt.op {
            Operation::NatsPublish { stream: of, msg_id, .. } if of == stream => Some((msg_id.as_str(), attempt)),
            _ => None,
        })
        .collect()
}

/// The sequences at which each message id was found, in order. A message seen twice at one sequence was read twice,
/// not stored twice.
fn stored<'a>(history: &'a History, stream: &str) -> BTreeMap<&'a str, Vec<u64>> {
    let mut stored: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for seen in &history.observations {
        if let Observation::NatsMessage { stream: of, sequence, msg_id } = seen
            && of == stream
        {
            stored.entry(msg_id).or_default().push(*sequence);
        }
    }
    for sequences in stored.values_mut() {
        sequences.sort_unstable();
        sequences.dedup();
    }
    stored
}

impl Report {
    /// A message is lost where no message of its id is there, or where another stands at the acknowledged sequence
    /// and its own is nowhere.
    fn judge_lost(&mut self, publishes: &[(&str, &Attempt)], stored: &BTreeMap<&str, Vec<u64>>) {
        let mut judged = HashSet::new();
        for (msg_id, attempt) in publishes.iter().filter(|(_, attempt)| attempt.is_ok()) {
            if !stored.contains_key(msg_id) && judged.insert(*msg_id) {
                self.published.lost += 1;
                let acked_us = attempt.completed.unwrap_or_default().wall_us;
                self.findings.push(Finding::Lost { what: message(msg_id), acked_us, found: None });
            }
        }
    }

    fn judge_stored(&mut self, publishes: &[(&str, &Attempt)], stored: &BTreeMap<&str, Vec<u64>>) {
        let mut refused: HashMap<&str, bool> = HashMap::new();
        for (msg_id, attempt) in publishes {
            // Under one id, one attempt that may have worked explains the message.
            *refused.entry(msg_id).or_insert(true) &= attempt.outcome == Outcome::Failed;
        }
        for (msg_id, sequences) in stored {
            let found = |why: &str| Finding::Phantom { what: format!("sequence {}", sequences[0]), found: why.into() };
            match refused.get(msg_id) {
                None => self.findings.push(found(&format!("{}, which was never published", message(msg_id)))),
                Some(true) => {
                    self.findings.push(found(&format!("{}, whose publish was refused", message(msg_id))));
                }
                Some(false) => {}
            }
            if sequences.len() > 1 {
                self.findings.push(Finding::Duplicate { what: message(msg_id), times: sequences.len() as u32 });
            }
        }
    }

    /// Two messages are out of order where the first was acknowledged before the second was begun and yet has the
    /// greater sequence. Publishes that overlap have no order. One sweep by sequence: it suffices to compare with
    /// the message begun last of those before.
    fn judge_order(&mut self, publishes: &[(&str, &Attempt)], stored: &BTreeMap<&str, Vec<u64>>) {
        let mut seen = HashSet::new();
        let mut placed: Vec<(u64, &str, &Attempt)> = publishes
            .iter()
            .filter(|(msg_id, attempt)| is_first_copy(attempt) && seen.insert(*msg_id))
            .filter_map(|(msg_id, attempt)| Some((*stored.get(msg_id)?.first()?, *msg_id, *attempt)))
            .collect();
        placed.sort_by_key(|(sequence, ..)| *sequence);
        let mut begun_last: Option<(&str, &Attempt)> = None;
        for (_, msg_id, attempt) in placed {
            if let (Some((before_id, before)), Some(completed)) = (begun_last, attempt.completed)
                && completed.wall_us < before.invoked.wall_us
            {
                self.findings.push(Finding::Reordered { earlier: message(msg_id), later: message(before_id) });
            }
            if begun_last.is_none_or(|(_, last)| last.invoked.wall_us < attempt.invoked.wall_us) {
                begun_last = Some((msg_id, attempt));
            }
        }
    }
}

/// An acknowledgement marked as duplicate speaks of an earlier publish, so its times say nothing about order.
fn is_first_copy(attempt: &Attempt) -> bool {
    matches!(attempt.reply, Some(Reply::NatsPublish { duplicate: false, .. })) && attempt.is_ok()
}

#[cfg(test)]
#[path = "nats_tests.rs"]
mod tests;
