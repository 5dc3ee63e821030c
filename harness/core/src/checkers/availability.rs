//! The longest time without a success, overall and for each group of operations that fail together.
//!
//! A gap counts only as far as somebody was trying: a client that made no attempt in it has seen nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::{Attempt, History, Outcome};

/// A time without success, in microseconds on the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub from_us: u64,
    pub to_us: u64,
    /// The longest part of it in which no attempt was under way.
    pub untried_us: u64,
}

impl Gap {
    pub fn length_us(&self) -> u64 {
        self.to_us.saturating_sub(self.from_us)
    }
}

/// How one group fared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    pub ok: u64,
    pub failed: u64,
    pub unknown: u64,
    /// The longest time between two successes, counting from the beginning of the span looked at. One that begins in
    /// the span is followed to its end, also beyond the span, and to the end of the history where no success ends it.
    pub longest_gap: Gap,
}

/// How all operations fared, and those of each group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub overall: Availability,
    pub groups: BTreeMap<String, Availability>,
    /// Why the gaps prove less than they seem to.
    pub insufficient: Vec<String>,
}

impl Report {
    /// The group with the longest gap, or the overall figure where there are no groups.
    pub fn worst(&self) -> (Option<&str>, &Availability) {
        let worst = self.groups.iter().max_by_key(|(_, group)| group.longest_gap.length_us());
        match worst {
            Some((name, group)) if group.longest_gap.length_us() >= self.overall.longest_gap.length_us() => {
                (Some(name), group)
            }
            _ => (None, &self.overall),
        }
    }
}

/// Looks at the attempts that `select` picks and the gaps that begin between `from_us` and `to_us` (wall clock). Every
/// group, and the whole, must hold at least `needed` successes in that span.
pub fn check(history: &History, from_us: u64, to_us: u64, needed: u64, select: impl Fn(&Attempt) -> bool) -> Report {
    let inside = |attempt: &&Attempt| {
        let end = attempt.completed.map_or(u64::MAX, |at| at.wall_us);
        select(attempt) && end >= from_us
    };
    let attempts: Vec<&Attempt> = history.attempts.iter().filter(inside).collect();
    let mut by_group: BTreeMap<String, Vec<&Attempt>> = BTreeMap::new();
    for attempt in &attempts {
        if let Some(group) = &attempt.group {
            by_group.entry(group.clone()).or_default().push(attempt);
        }
    }
    let mut report = Report { overall: measure(&attempts, from_us, to_us), ..Report::default() };
    report.groups = by_group.into_iter().map(|(name, attempts)| (name, measure(&attempts, from_us, to_us))).collect();
    let named = report.groups.iter().map(|(name, group)| (name.as_str(), group));
    let reasons: Vec<String> = std::iter::once(("all operations", &report.overall))
        .chain(named)
        .flat_map(|(name, group)| doubts(name, group, needed))
        .collect();
    report.insufficient = reasons;
    report
}

fn doubts(name: &str, group: &Availability, needed: u64) -> Vec<String> {
    let mut doubts = Vec::new();
    if group.ok < needed {
        doubts.push(format!("{name}: {} successes, {needed} are needed", group.ok));
    }
    let untried_us = group.longest_gap.untried_us;
    if untried_us > IDLE_US {
        doubts.push(format!("{name}: nothing was tried for {} ms", untried_us / 1000));
    }
    doubts
}

/// A client that tries nothing for longer than this, in microseconds, is not measuring. Less is the pause that a busy
/// client makes between two attempts.
const IDLE_US: u64 = 2_000_000;

fn measure(attempts: &[&Attempt], from_us: u64, to_us: u64) -> Availability {
    let begun_inside = |attempt: &&&Attempt| attempt.invoked.wall_us <= to_us;
    let inside_with = |outcome| attempts.iter().filter(begun_inside).filter(|a| a.outcome == outcome).count() as u64;
    let mut successes: Vec<u64> = attempts
        .iter()
        .filter(|attempt| attempt.is_ok())
        .filter_map(|attempt| attempt.completed)
        .map(|at| at.wall_us)
        .filter(|at| *at >= from_us)
        .collect();
    successes.sort_unstable();
    let inside = successes.partition_point(|at| *at <= to_us);
    // A gap that begins in the span lasts until the success that ends it, wherever that is.
    let end = successes.get(inside).copied().unwrap_or_else(|| last_activity(attempts).max(to_us));
    let mut longest_gap = Gap { from_us, to_us: from_us, untried_us: 0 };
    let mut last = from_us;
    for next in successes[..inside].iter().copied().chain([end]) {
        if next.saturating_sub(last) > longest_gap.length_us() {
            longest_gap = Gap { from_us: last, to_us: next, untried_us: 0 };
        }
        last = next;
    }
    longest_gap.untried_us = longest_untried(attempts, &longest_gap);
    Availability {
        ok: inside as u64,
        failed: inside_with(Outcome::Failed),
        unknown: inside_with(Outcome::Unknown),
        longest_gap,
    }
}

fn last_activity(attempts: &[&Attempt]) -> u64 {
    let end = |attempt: &&Attempt| attempt.completed.unwrap_or(attempt.invoked).wall_us;
    attempts.iter().map(end).max().unwrap_or(0)
}

fn longest_untried(attempts: &[&Attempt], gap: &Gap) -> u64 {
    let mut under_way: Vec<(u64, u64)> = attempts
        .iter()
        .map(|attempt| (attempt.invoked.wall_us, attempt.completed.map_or(u64::MAX, |at| at.wall_us)))
        .filter(|(begin, end)| *begin < gap.to_us && *end > gap.from_us)
        .collect();
    under_way.sort_unstable();
    let (mut longest, mut tried_until) = (0, gap.from_us);
    for (begin, end) in under_way.into_iter().chain([(gap.to_us, gap.to_us)]) {
        longest = longest.max(begin.saturating_sub(tried_until));
        tried_until = tried_until.max(end);
    }
    longest
}

#[cfg(test)]
#[path = "availability_tests.rs"]
mod tests;
