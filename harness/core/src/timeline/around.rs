//! The operations around a moment, as a person reads them.

use crate::history::{Attempt, History, Operation, Outcome, Reply};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Operations in order of their invocation.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Operations {
    pub shown: Vec<OperationSeen>,
    /// How many of the same client and group lie between those that are shown.
    pub left_out: u64,
}

#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct OperationSeen {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Absent where the client never learned of an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What was tried.
    pub what: String,
    pub outcome: Outcome,
    /// What was answered, or what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// The last success before `at_us` (wall clock), `each_side` operations before and after, and the first success after,
/// of those that `select` picks.
pub fn around(history: &History, at_us: u64, each_side: usize, select: impl Fn(&Attempt) -> bool) -> Operations {
    let mut picked: Vec<&Attempt> = history.attempts.iter().filter(|attempt| select(attempt)).collect();
    picked.sort_by_key(|attempt| attempt.invoked.wall_us);
    let middle = picked.partition_point(|attempt| attempt.invoked.wall_us < at_us);
    let near = middle.saturating_sub(each_side)..(middle + each_side).min(picked.len());
    let acked_before = |attempt: &&Attempt| attempt.is_ok() && attempt.completed.is_some_and(|at| at.wall_us <= at_us);
    let last_ok = picked[..near.start].iter().rposition(acked_before);
    let next_ok = picked[near.end..].iter().position(|attempt| attempt.is_ok()).map(|n| n + near.end);
    let chosen: Vec<usize> = last_ok.into_iter().chain(near).chain(next_ok).collect();
    let span = chosen.last().zip(chosen.first()).map_or(0, |(last, first)| last - first + 1);
    Operations { left_out: (span - chosen.len()) as u64, shown: chosen.into_iter().map(|n| seen(picked[n])).collect() }
}

fn seen(attempt: &Attempt) -> OperationSeen {
    let took = attempt.completed.map(|at| at.mono_us.saturating_sub(attempt.invoked.mono_us));
    OperationSeen {
        at_ms: attempt.invoked.wall_us / 1000,
        took_ms: took.map(|us| us as f64 / 1000.0),
        group: attempt.group.clone(),
        what: what(&attempt.op),
        outcome: attempt.outcome,
        said: attempt.error.clone().or_else(|| attempt.reply.as_ref().map(said)),
    }
}

/// Names are long and begin alike; their ends tell them apart.
fn ending(name: &str) -> String {
    const KEPT: usize = 24;
    let skipped = name.chars().count().saturating_sub(KEPT);
    if skipped == 0 { name.to_owned() } else { format!("…{}", name.chars().skip(skipped).collect::<String>()) }
}

fn what(operation: &Operation) -> String {
    match operation {
        Operation::RedisWrite { key, wait: None, .. } => format!("SET {}", ending(key)),
        Operation::RedisWrite { key, wait: Some(n), .. } => format!("SET {}, WAIT {n}", ending(key)),
        Operation::NatsPublish { subject, msg_id, .. } => format!("publish {} to {}", ending(msg_id), ending(subject)),
        Operation::NatsFetch { consumer, .. } => format!("fetch for {}", ending(consumer)),
        Operation::NatsAck { sequence, delivery, .. } => format!("acknowledge {sequence}, delivery {delivery}"),
        Operation::NatsFloor { consumer, .. } => format!("ask where {} stands", ending(consumer)),
        Operation::JobSubmit { name } => format!("submit job {}", ending(name)),
        Operation::HttpProbe { target } => format!("GET {target}"),
    }
}

fn said(reply: &Reply) -> String {
    match reply {
        Reply::RedisWrite { replicas: None } => "OK".to_owned(),
        Reply::RedisWrite { replicas: Some(n) } => format!("OK, on {n} replicas"),
        Reply::NatsPublish { sequence, duplicate } => {
            format!("sequence {sequence}{}", if *duplicate { ", a duplicate" } else { "" })
        }
        Reply::NatsFetch { messages } => format!("{messages} messages"),
        Reply::NatsAck => "confirmed".to_owned(),
        Reply::NatsFloor { floor } => format!("acknowledged up to {floor}"),
        Reply::JobSubmit { job } => format!("job {}", ending(job)),
        Reply::HttpProbe { status } => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Stamp;

    fn history(outcomes: &[Outcome]) -> History {
        let attempt = |(n, outcome): (usize, &Outcome)| {
            let at = |ms: u64| Stamp { mono_us: ms * 1000, wall_us: ms * 1000 };
            Attempt {
                client: "c".into(),
                process: 0,
                id: n as u64,
                group: None,
                op: Operation::JobSubmit { name: n.to_string() },
                invoked: at(n as u64 * 10),
                completed: Some(at(n as u64 * 10 + 2)),
                outcome: *outcome,
                reply: None,
                error: None,
            }
        };
        History { attempts: outcomes.iter().enumerate().map(attempt).collect(), observations: vec![] }
    }

    fn names(operations: &Operations) -> Vec<&str> {
        operations.shown.iter().map(|o| o.what.trim_start_matches("submit job ")).collect()
    }

    #[test]
    fn a_gap_is_shown_with_the_successes_that_bound_it() {
        let mut outcomes = vec![Outcome::Failed; 20];
        (outcomes[1], outcomes[18]) = (Outcome::Ok, Outcome::Ok);
        let found = around(&history(&outcomes), 100_000, 2, |_| true);
        assert_eq!(names(&found), ["1", "8", "9", "10", "11", "18"]);
        assert_eq!(found.left_out, 12);
    }

    #[test]
    fn the_ends_of_a_history_are_no_trouble() {
        for (at_us, expected) in [(0, vec!["0", "1"]), (u64::MAX, vec!["1", "2"])] {
            assert_eq!(names(&around(&history(&[Outcome::Ok; 3]), at_us, 1, |_| true))[..1], expected[..1]);
        }
        assert_eq!(around(&history(&[]), 5, 3, |_| true), Operations::default());
    }

    #[test]
    fn long_names_keep_the_end_that_tells_them_apart() {
        assert_eq!(ending(&format!("{}-7", "x".repeat(40))), format!("…{}-7", "x".repeat(22)));
        assert_eq!(ending("short"), "short");
    }
}
