//! From a history to figures per second.

use crate::history::{Attempt, History, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the operations of one client, or of one group of them, fared second by second. All lists are of equal length;
/// entry `n` covers the time from `from_ms + n * step_ms` on.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Series {
    /// The store or pipeline that the client uses.
    pub client: String,
    /// The part of the scenario that the client worked in, such as `control` or `fault`.
    pub part: String,
    /// What fails together, such as a shard; absent for all operations of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub from_ms: u64,
    pub step_ms: u64,
    /// Successes, by when they were acknowledged.
    pub ok: Vec<u32>,
    /// Refusals, by when they were answered.
    pub failed: Vec<u32>,
    /// Unknown outcomes, by when the client gave up; those of a client that died, by when they were begun.
    pub unknown: Vec<u32>,
    /// Latency of successes in milliseconds; none where none succeeded.
    pub p50_ms: Vec<Option<f64>>,
    pub p95_ms: Vec<Option<f64>>,
    pub p99_ms: Vec<Option<f64>>,
}

const STEP_MS: u64 = 1000;

/// The whole client first, then its groups where there is more than one.
pub fn series(history: &History, client: &str, part: &str) -> Vec<Series> {
    let ends = history.attempts.iter().map(end_ms);
    let (Some(first), Some(last)) = (ends.clone().min(), ends.max()) else { return vec![] };
    let from_ms = first / STEP_MS * STEP_MS;
    let steps = usize::try_from((last - from_ms) / STEP_MS + 1).unwrap_or(0);
    let mut by_group: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for attempt in &history.attempts {
        by_group.entry(attempt.group.as_deref().unwrap_or_default()).or_default().push(attempt);
    }
    let all = history.attempts.iter().collect::<Vec<_>>();
    let mut groups = vec![(None, all)];
    if by_group.len() > 1 {
        groups.extend(by_group.into_iter().map(|(name, attempts)| (Some(name.to_owned()), attempts)));
    }
    let of = |(group, attempts): (Option<String>, Vec<&Attempt>)| Series {
        group,
        ..fold(&attempts, client, part, from_ms, steps)
    };
    groups.into_iter().map(of).collect()
}

fn end_ms(attempt: &Attempt) -> u64 {
    attempt.completed.unwrap_or(attempt.invoked).wall_us / 1000
}

fn fold(attempts: &[&Attempt], client: &str, part: &str, from_ms: u64, steps: usize) -> Series {
    let (mut ok, mut failed, mut unknown) = (vec![0_u32; steps], vec![0_u32; steps], vec![0_u32; steps]);
    let mut latencies: Vec<Vec<u64>> = vec![vec![]; steps];
    for attempt in attempts {
        let step = usize::try_from((end_ms(attempt) - from_ms) / STEP_MS).unwrap_or(0).min(steps - 1);
        match attempt.outcome {
            Outcome::Ok => ok[step] += 1,
            Outcome::Failed => failed[step] += 1,
            Outcome::Unknown => unknown[step] += 1,
        }
        if let (Outcome::Ok, Some(completed)) = (attempt.outcome, attempt.completed) {
            latencies[step].push(completed.mono_us.saturating_sub(attempt.invoked.mono_us));
        }
    }
    latencies.iter_mut().for_each(|second| second.sort_unstable());
    let percentile = |percent| latencies.iter().map(|second| quantile_ms(second, percent)).collect();
    Series {
        client: client.to_owned(),
        part: part.to_owned(),
        group: None,
        from_ms,
        step_ms: STEP_MS,
        ok,
        failed,
        unknown,
        p50_ms: percentile(50),
        p95_ms: percentile(95),
        p99_ms: percentile(99),
    }
}

/// The smallest latency that at least `percent` of them do not exceed.
fn quantile_ms(sorted_us: &[u64], percent: usize) -> Option<f64> {
    let rank = (sorted_us.len() * percent).div_ceil(100);
    let us = sorted_us.get(rank.checked_sub(1)?)?;
    Some(*us as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Operation, Stamp};

    fn attempt(id: u64, group: &str, begin_ms: u64, end_ms: Option<u64>, outcome: Outcome) -> Attempt {
        let stamp = |ms: u64| Stamp { mono_us: ms * 1000, wall_us: ms * 1000 };
        Attempt {
            client: "c".into(),
            process: 0,
            id,
            group: Some(group.into()),
            op: Operation::JobSubmit { name: id.to_string() },
            invoked: stamp(begin_ms),
            completed: end_ms.map(stamp),
            outcome,
            reply: None,
            error: None,
        }
    }

    #[test]
    fn operations_count_in_the_second_in_which_they_ended() {
        let attempts = vec![
            attempt(1, "a", 10_100, Some(10_110), Outcome::Ok),
            attempt(2, "b", 10_200, Some(10_230), Outcome::Ok),
            attempt(3, "a", 10_900, Some(12_100), Outcome::Failed),
            attempt(4, "b", 12_500, None, Outcome::Unknown),
        ];
        let series = series(&History { attempts, observations: vec![] }, "redis", "fault");
        let groups: Vec<Option<&str>> = series.iter().map(|s| s.group.as_deref()).collect();
        assert_eq!(groups, [None, Some("a"), Some("b")]);
        let all = &series[0];
        assert_eq!((all.from_ms, all.step_ms), (10_000, 1000));
        assert_eq!((&all.ok[..], &all.failed[..], &all.unknown[..]), (&[2, 0, 0][..], &[0, 0, 1][..], &[0, 0, 1][..]));
        assert_eq!(all.p50_ms, [Some(10.0), None, None]);
        assert_eq!(all.p99_ms, [Some(30.0), None, None]);
        assert_eq!(series[1].ok, [1, 0, 0], "a group has the axis of the whole");
    }

    #[test]
    fn a_history_of_nothing_has_no_series() {
        assert!(series(&History::default(), "redis", "fault").is_empty());
    }

    #[test]
    fn percentiles_are_of_values_that_were_seen() {
        let sorted: Vec<u64> = (1..=100).map(|n| n * 1000).collect();
        for (percent, expected) in [(50, 50.0), (95, 95.0), (99, 99.0)] {
            assert_eq!(quantile_ms(&sorted, percent), Some(expected));
        }
        assert_eq!(quantile_ms(&[7000], 50), Some(7.0));
        assert_eq!(quantile_ms(&[], 50), None);
    }
}
