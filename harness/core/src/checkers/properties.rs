//! Properties over random histories: what is clean stays clean, and whatever is broken into one is found.

use proptest::prelude::*;

use super::testing::{history, job, message, publish, set, set_wait, stream, submit, value};
use super::{Conclusion, jobs, nats, redis};
use crate::history::{Attempt, Dump, History, Observation, Outcome};

const NO_NEEDS: redis::Needs = redis::Needs { plain: 0, waited: 0 };

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Waited,
    UnknownDone,
    UnknownNotDone,
    Failed,
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        4 => Just(Kind::Plain),
        4 => Just(Kind::Waited),
        1 => Just(Kind::UnknownDone),
        1 => Just(Kind::UnknownNotDone),
        1 => Just(Kind::Failed),
    ];
    // The first two make sure that there is something to lose.
    prop::collection::vec(kind, 0..60).prop_map(|rest| [vec![Kind::Plain, Kind::Waited], rest].concat())
}

fn outcome(kind: Kind) -> Outcome {
    match kind {
        Kind::Plain | Kind::Waited => Outcome::Ok,
        Kind::UnknownDone | Kind::UnknownNotDone => Outcome::Unknown,
        Kind::Failed => Outcome::Failed,
    }
}

fn took_effect(kind: Kind) -> bool {
    matches!(kind, Kind::Plain | Kind::Waited | Kind::UnknownDone)
}

fn redis_history(kinds: &[Kind]) -> History {
    let write = |(n, kind): (usize, &Kind)| -> Attempt {
        let (key, text, begin) = (format!("k{n}"), format!("v{n}"), n as u64 * 10);
        match kind {
            Kind::Waited => set_wait(&key, &text, begin, 1),
            kind => set(&key, &text, begin, outcome(*kind)),
        }
    };
    let seen = |(n, kind): (usize, &Kind)| value(&format!("k{n}"), took_effect(*kind).then_some(&*format!("v{n}")));
    let attempts = kinds.iter().enumerate().map(write).collect();
    history(attempts, kinds.iter().enumerate().map(seen).collect(), Dump::Redis)
}

fn nats_history(kinds: &[Kind]) -> History {
    let attempts = kinds.iter().enumerate().map(|(n, kind)| publish(&format!("m{n}"), n as u64 * 10, outcome(*kind)));
    let stored: Vec<_> = kinds.iter().enumerate().filter(|(_, kind)| took_effect(**kind)).collect();
    let messages = stored.iter().enumerate().map(|(place, (n, _))| message(place as u64 + 1, &format!("m{n}")));
    history(attempts.collect(), messages.collect(), stream())
}

fn job_history(kinds: &[Kind]) -> History {
    let attempts = kinds
        .iter()
        .enumerate()
        .map(|(n, kind)| submit(&format!("n{n}"), &format!("j{n}"), n as u64 * 10, outcome(*kind)));
    let jobs = kinds
        .iter()
        .enumerate()
        .filter(|(_, kind)| took_effect(**kind))
        .map(|(n, _)| job(&format!("j{n}"), Some("SUCCEEDED"), true, 1));
    history(attempts.collect(), jobs.collect(), Dump::Jobs)
}

/// The n-th (modulo their number) of the acknowledged operations.
fn acked(kinds: &[Kind], pick: usize) -> usize {
    let acked: Vec<_> = (0..kinds.len()).filter(|n| outcome(kinds[*n]) == Outcome::Ok).collect();
    acked[pick % acked.len()]
}

proptest! {
    #[test]
    fn clean_histories_are_clean(kinds in kinds()) {
        prop_assert_eq!(redis::check(&redis_history(&kinds), NO_NEEDS).conclude(0.0), Conclusion::Clean);
        prop_assert_eq!(nats::check(&nats_history(&kinds), "S", 0).conclude(), Conclusion::Clean);
        prop_assert_eq!(jobs::check(&job_history(&kinds), 0).conclude(), Conclusion::Clean);
    }

    #[test]
    fn lost_write_is_found_and_nothing_else(kinds in kinds(), pick: usize) {
        let victim = acked(&kinds, pick);
        let mut history = redis_history(&kinds);
        history.observations[victim] = value(&format!("k{victim}"), None);
        let report = redis::check(&history, NO_NEEDS);
        prop_assert_eq!(report.plain.lost + report.waited.lost, 1);
        prop_assert!(report.phantoms.is_empty());
        prop_assert!(matches!(report.conclude(0.0), Conclusion::Found(found) if found.len() == 1));
    }

    #[test]
    fn lost_message_is_found_and_nothing_else(kinds in kinds(), pick: usize) {
        let victim = format!("m{}", acked(&kinds, pick));
        let mut history = nats_history(&kinds);
        history.observations.retain(|seen| !matches!(seen, Observation::NatsMessage { msg_id, .. } if *msg_id == victim));
        let count = history.observations.len() as u64 - 1;
        *history.observations.last_mut().unwrap() = Observation::DumpComplete { dump: stream(), count };
        let report = nats::check(&history, "S", 0);
        prop_assert_eq!(report.published.lost, 1);
        prop_assert_eq!(report.findings.len(), 1);
    }

    #[test]
    fn repeated_message_is_found_and_nothing_else(kinds in kinds(), pick: usize) {
        let victim = format!("m{}", acked(&kinds, pick));
        let mut history = nats_history(&kinds);
        history.observations.push(message(10_000, &victim));
        let report = nats::check(&history, "S", 0);
        let duplicate = matches!(&report.findings[..], [super::Finding::Duplicate { times: 2, .. }]);
        prop_assert!(duplicate);
    }

    #[test]
    fn swapped_messages_are_found(kinds in kinds(), pick: usize) {
        let (first, second) = (acked(&kinds, pick), acked(&kinds, pick.wrapping_add(1)));
        prop_assume!(first != second);
        let mut history = nats_history(&kinds);
        for seen in &mut history.observations {
            if let Observation::NatsMessage { msg_id, .. } = seen {
                if *msg_id == format!("m{first}") {
                    *msg_id = format!("m{second}");
                } else if *msg_id == format!("m{second}") {
                    *msg_id = format!("m{first}");
                }
            }
        }
        let report = nats::check(&history, "S", 0);
        let reordered = report.findings.iter().any(|found| matches!(found, super::Finding::Reordered { .. }));
        prop_assert!(reordered);
        prop_assert_eq!(report.published.lost, 0);
    }

    #[test]
    fn lost_or_twice_ended_job_is_found_and_nothing_else(kinds in kinds(), pick: usize, twice: bool) {
        let victim = format!("j{}", acked(&kinds, pick));
        let mut history = job_history(&kinds);
        for seen in &mut history.observations {
            if matches!(seen, Observation::JobState { job, .. } if *job == victim) {
                *seen = if twice { job(&victim, Some("SUCCEEDED"), true, 2) } else { job(&victim, None, false, 0) };
            }
        }
        let report = jobs::check(&history, 0);
        prop_assert_eq!(report.findings.len(), 1);
        prop_assert_eq!(report.accepted.lost, u64::from(!twice));
    }
}
