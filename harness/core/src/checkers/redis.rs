//! Acknowledged Redis writes against the values read back.
//!
//! Plain writes and writes that `WAIT` confirmed are judged apart: asynchronous replication may lose the former on a
//! failover (Redis Cluster specification, "Write safety"), and it is for the contract to say how many. A `WAIT` that
//! too few replicas answered leaves a plainly acknowledged write.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::finding::{Conclusion, Finding, Tally};
use crate::history::{Attempt, Dump, History, Observation, Operation, Outcome, Reply};

/// What a history must hold before its cleanness means anything.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Plainly acknowledged writes, at the least.
    pub plain: u64,
    /// Writes confirmed by `WAIT`, at the least.
    pub waited: u64,
}

/// What became of the writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Acknowledged without a confirmed `WAIT`.
    pub plain: Tally,
    /// Acknowledged, and confirmed by as many replicas as asked for.
    pub waited: Tally,
    pub failed: u64,
    pub unknown: u64,
    /// Acknowledged writes whose key could not be read back: neither there nor lost.
    pub unread: u64,
    pub lost_plain: Vec<Finding>,
    pub lost_waited: Vec<Finding>,
    /// Values that nobody wrote, or that the system had refused.
    pub phantoms: Vec<Finding>,
    pub insufficient: Vec<String>,
}

impl Report {
    /// The conclusion where at most `allowed_share` (0 to 1) of plainly acknowledged writes may be lost, and no
    /// confirmed one.
    pub fn conclude(&self, allowed_share: f64) -> Conclusion {
        let mut findings = self.lost_waited.clone();
        findings.extend(self.phantoms.iter().cloned());
        if self.plain.share_lost().is_some_and(|share| share > allowed_share) {
            findings.extend(self.lost_plain.iter().cloned());
        }
        Conclusion::of(&findings, &self.insufficient)
    }
}

/// Judges every write of the history against its final state.
pub fn check(history: &History, needs: Needs) -> Report {
    let mut report = Report::default();
    let values = read_back(history);
    for (key, writes) in writes_by_key(history) {
        for write in &writes {
            report.count(write);
        }
        match values.get(key) {
            Some(found) => report.judge_key(key, &writes, found.as_deref()),
            None => report.unread += writes.iter().filter(|write| write.attempt.is_ok()).count() as u64,
        }
    }
    report.phantoms.extend(unwritten_keys(history, &values));
    report.require(needs, history.is_complete(&Dump::Redis));
    report
}

/// One write with what its operation said.
struct Write<'a> {
    attempt: &'a Attempt,
    value: &'a str,
    confirmed: bool,
}

impl Write<'_> {
    /// Acknowledged before `other` was begun, on one client's clock or, between clients, on the wall clock.
    fn precedes(&self, other: &Write<'_>) -> bool {
        let Some(completed) = self.attempt.completed else { return false };
        if self.attempt.client == other.attempt.client {
            completed.mono_us < other.attempt.invoked.mono_us
        } else {
            completed.wall_us < other.attempt.invoked.wall_us
        }
    }
}

fn writes_by_key(history: &History) -> BTreeMap<&str, Vec<Write<'_>>> {
    let mut by_key: BTreeMap<&str, Vec<Write<'_>>> = BTreeMap::new();
    for attempt in &history.attempts {
        if let Operation::RedisWrite { key, value, wait } = &attempt.op {
            let write = Write { attempt, value, confirmed: confirmed(attempt, *wait) };
            by_key.entry(key).or_default().push(write);
        }
    }
    by_key
}

fn confirmed(attempt: &Attempt, wait: Option<u32>) -> bool {
    match (wait, &attempt.reply) {
        (Some(wanted), Some(Reply::RedisWrite { replicas: Some(replicas) })) => *replicas >= wanted && wanted > 0,
        _ => false,
    }
}

/// The last value seen of every key that was read.
fn read_back(history: &History) -> HashMap<&str, Option<String>> {
    let mut values = HashMap::new();
    for seen in &history.observations {
        if let Observation::RedisValue { key, value } = seen {
            values.insert(key.as_str(), value.clone());
        }
    }
    values
}

fn unwritten_keys(history: &History, values: &HashMap<&str, Option<String>>) -> Vec<Finding> {
    let written = writes_by_key(history);
    let mut phantoms: Vec<_> = values
        .iter()
        .filter(|(key, _)| !written.contains_key(*key))
        .filter_map(|(key, value)| {
            let found = value.clone()?;
            Some(Finding::Phantom { what: format!("key {key}"), found })
        })
        .collect();
    phantoms.sort_by_key(ToString::to_string);
    phantoms
}

impl Report {
    fn count(&mut self, write: &Write<'_>) {
        match write.attempt.outcome {
            Outcome::Ok if write.confirmed => self.waited.acked += 1,
            Outcome::Ok => self.plain.acked += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }

    /// The key may hold any value that no acknowledged write surely replaced: an acknowledged write is lost where the
    /// value there was surely written before it, or where nothing is there that could have come after it.
    fn judge_key(&mut self, key: &str, writes: &[Write<'_>], found: Option<&str>) {
        let source = found.map(|value| (value, writes.iter().find(|write| write.value == value)));
        if let Some((value, None)) = source {
            self.phantoms.push(Finding::Phantom { what: format!("key {key}"), found: value.to_owned() });
            return;
        }
        let source = source.and_then(|(_, write)| write);
        if let Some(write) = source
            && write.attempt.outcome == Outcome::Failed
        {
            let found = format!("{}, a write that was refused", write.value);
            self.phantoms.push(Finding::Phantom { what: format!("key {key}"), found });
        }
        for write in writes.iter().filter(|write| write.attempt.is_ok()) {
            let lost = match source {
                None => true,
                // A write without known completion may have taken effect at any later time.
                Some(source) => source.attempt.outcome == Outcome::Ok && source.precedes(write),
            };
            if lost {
                self.lose(key, write, found);
            }
        }
    }

    fn lose(&mut self, key: &str, write: &Write<'_>, found: Option<&str>) {
        let finding = Finding::Lost {
            what: format!("key {key} = {}", write.value),
            acked_us: write.attempt.completed.unwrap_or_default().wall_us,
            found: found.map(str::to_owned),
        };
        if write.confirmed {
            self.waited.lost += 1;
            self.lost_waited.push(finding);
        } else {
            self.plain.lost += 1;
            self.lost_plain.push(finding);
        }
    }

    fn require(&mut self, needs: Needs, complete: bool) {
        let mut say = |text: String| self.insufficient.push(text);
        if !complete {
            say("the final state of redis was not read to its end".into());
        }
        if self.unread > 0 {
            say(format!("{} acknowledged writes were not read back", self.unread));
        }
        if self.plain.acked < needs.plain {
            say(format!("{} plain writes were acknowledged, {} are needed", self.plain.acked, needs.plain));
        }
        if self.waited.acked < needs.waited {
            say(format!("{} writes were confirmed by WAIT, {} are needed", self.waited.acked, needs.waited));
        }
    }
}

#[cfg(test)]
#[path = "redis_tests.rs"]
mod tests;
