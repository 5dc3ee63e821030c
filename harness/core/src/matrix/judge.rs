//! What the probes of one cell say of the promise.
//!
//! Silence proves a denial only where the same target answered somebody else, before and after; an answer proves that
//! somebody got through. A refusal by the target's host is an answer too, unless policies themselves refuse here.

use super::Seen;
use crate::contract::network::Expected;
use crate::verdict::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How policies deny, as the canary has shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcement {
    Drops,
    Rejects,
}

/// How a target answered somebody who may reach it. `None`: nobody was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flanks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seen>,
}

/// A probe, and the flanks of its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// `pod → address`, for a person.
    pub way: String,
    pub seen: Seen,
    pub flanks: Flanks,
}

/// What one probe says by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Through,
    Stopped,
    /// It cannot be told; why.
    Unclear(&'static str),
}

fn way(probed: &Probed, enforcement: Enforcement) -> Way {
    match (probed.seen, enforcement) {
        (Seen::Open, _) | (Seen::Refused, Enforcement::Drops) => Way::Through,
        (Seen::Timeout, _) => Way::Stopped,
        (Seen::Refused, Enforcement::Rejects) => match (probed.flanks.before, probed.flanks.after) {
            (Some(Seen::Open), Some(Seen::Open)) => Way::Stopped,
            _ => Way::Unclear("refused, where nobody may listen and policies refuse too"),
        },
        (Seen::Unresolved, _) => Way::Unclear("the name was not resolved"),
        (Seen::ProbeFailed, _) => Way::Unclear("the probe itself failed"),
    }
}

/// The outcome of a cell and why; `None` where the document leaves it open.
pub fn judge(expected: &Expected, probes: &[Probed], enforcement: Enforcement) -> (Option<Outcome>, String) {
    match expected {
        Expected::Open(_) => (None, String::new()),
        _ if probes.is_empty() => (Some(Outcome::Unknown), "nothing was probed".to_owned()),
        Expected::Denied(_) => judged(probes, enforcement, Way::Through, "got through", "stopped"),
        Expected::Allowed(_) => judged(probes, enforcement, Way::Stopped, "got no answer", "through"),
    }
}

fn judged(
    probes: &[Probed],
    enforcement: Enforcement,
    breaks: Way,
    told: &str,
    held: &str,
) -> (Option<Outcome>, String) {
    let ways: Vec<(&Probed, Way)> = probes.iter().map(|probed| (probed, way(probed, enforcement))).collect();
    // An answer needs no control; silence is nobody's word against the target's unless the target answered others.
    let answered = |probed: &Probed| probed.flanks.before.is_some() && probed.flanks.after.is_some();
    let counts = |probed: &Probed, way: Way| way == Way::Through || answered(probed);
    let broken: Vec<&Probed> =
        ways.iter().filter(|(probed, way)| *way == breaks && counts(probed, *way)).map(|(probed, _)| *probed).collect();
    if let Some(first) = broken.first() {
        let detail = format!("{} of {} {told}, {} for one ({})", broken.len(), probes.len(), first.way, first.seen);
        return (Some(Outcome::Broken), detail);
    }
    let unclear = ways.iter().find_map(|(probed, way)| match way {
        Way::Unclear(why) => Some((*probed, *why)),
        way if !counts(probed, *way) => Some((*probed, unanswered(probed.flanks))),
        _ => None,
    });
    match unclear {
        Some((probed, why)) => (Some(Outcome::Unknown), format!("{}: {why}", probed.way)),
        None => (Some(Outcome::Held), format!("{} of {} {held}", probes.len(), probes.len())),
    }
}

fn unanswered(flanks: Flanks) -> &'static str {
    match (flanks.before, flanks.after) {
        (None, None) => "silent, but nobody else was answered either",
        (None, _) => "silent, but nobody else was answered before",
        (_, None) => "silent, but nobody else was answered after",
        _ => "silent",
    }
}

/// The probe that tells most of a cell that differs: one that came to what was not expected, else the first.
pub fn telling(expected: &Expected, probes: &[Probed]) -> Option<usize> {
    let surprising = |probed: &Probed| match expected {
        Expected::Denied(_) => matches!(probed.seen, Seen::Open | Seen::Refused),
        Expected::Allowed(_) | Expected::Open(_) => probed.seen != Seen::Open,
    };
    probes.iter().position(surprising).or((!probes.is_empty()).then_some(0))
}

/// How many probes came to what.
pub fn tally(probes: &[Probed]) -> BTreeMap<Seen, u32> {
    let mut seen = BTreeMap::new();
    for probed in probes {
        *seen.entry(probed.seen).or_insert(0) += 1;
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use Enforcement::{Drops, Rejects};
    use Outcome::{Broken, Held, Unknown};
    use Seen::{Open, ProbeFailed, Refused, Timeout, Unresolved};

    const BOTH: Flanks = Flanks { before: Some(Open), after: Some(Open) };
    const CLOSED: Flanks = Flanks { before: Some(Refused), after: Some(Refused) };
    const NONE: Flanks = Flanks { before: None, after: None };
    const ONLY_BEFORE: Flanks = Flanks { before: Some(Open), after: None };

    fn of(expected: &Expected, probes: &[(Seen, Flanks)], enforcement: Enforcement) -> Option<Outcome> {
        let probes: Vec<Probed> =
            probes.iter().map(|(seen, flanks)| Probed { way: "a → b".into(), seen: *seen, flanks: *flanks }).collect();
        judge(expected, &probes, enforcement).0
    }

    #[test]
    fn a_denial_holds_only_where_the_silent_target_answered_others_before_and_after() {
        let denied = Expected::Denied(String::new());
        for (probes, enforcement, outcome) in [
            (&[(Timeout, BOTH)][..], Drops, Held),
            (&[(Timeout, CLOSED)], Drops, Held),
            (&[(Timeout, NONE)], Drops, Unknown),
            (&[(Timeout, ONLY_BEFORE)], Drops, Unknown),
            (&[(Timeout, BOTH), (Timeout, NONE)], Drops, Unknown),
            (&[(Open, BOTH)], Drops, Broken),
            (&[(Open, NONE)], Drops, Broken),
            (&[(Timeout, BOTH), (Open, BOTH)], Drops, Broken),
            (&[(Refused, BOTH)], Drops, Broken),
            (&[(Refused, BOTH)], Rejects, Held),
            (&[(Refused, CLOSED)], Rejects, Unknown),
            (&[(Unresolved, BOTH)], Drops, Unknown),
            (&[(ProbeFailed, BOTH)], Drops, Unknown),
            (&[(ProbeFailed, BOTH), (Open, BOTH)], Drops, Broken),
            (&[], Drops, Unknown),
        ] {
            assert_eq!(of(&denied, probes, enforcement), Some(outcome), "{probes:?} {enforcement:?}");
        }
    }

    #[test]
    fn what_is_allowed_must_reach_a_target_that_answers_others() {
        let allowed = Expected::Allowed(String::new());
        for (probes, enforcement, outcome) in [
            (&[(Open, NONE)][..], Drops, Held),
            (&[(Refused, CLOSED)], Drops, Held),
            (&[(Refused, BOTH)], Rejects, Broken),
            (&[(Timeout, BOTH)], Drops, Broken),
            (&[(Timeout, NONE)], Drops, Unknown),
            (&[(Open, BOTH), (Timeout, BOTH)], Drops, Broken),
            (&[(Unresolved, BOTH)], Drops, Unknown),
            (&[(ProbeFailed, BOTH)], Drops, Unknown),
        ] {
            assert_eq!(of(&allowed, probes, enforcement), Some(outcome), "{probes:?} {enforcement:?}");
        }
    }

    #[test]
    fn what_the_document_leaves_open_is_never_judged() {
        let open = Expected::Open(String::new());
        assert_eq!(of(&open, &[(Open, BOTH)], Drops), None);
        assert_eq!(of(&open, &[(Timeout, BOTH)], Drops), None);
    }
}
