//! What evictions, drains and steady states come to.

use super::super::super::disruption::{Began, Lacking, Late};
use super::super::super::question::Question;
use super::*;
use crate::verdict::Outcome;

fn evictions(granted: &[u64], refused: bool, limit: u32) -> Evictions {
    let asked = |n: usize, at_us: u64, refused| Eviction { at_us, pod: format!("nats-{n}"), refused };
    let mut all: Vec<Eviction> = granted.iter().enumerate().map(|(n, at)| asked(n, *at, None)).collect();
    if refused {
        all.push(asked(granted.len(), 9_000_000, Some("budget".to_owned())));
    }
    Evictions { promise: "p".into(), workload: "nats".into(), replicas: 3, limit, asked: all, not_back: None }
}

fn judged(question: impl FnOnce(&mut Answer)) -> Answer {
    let mut answer = Answer::default();
    question(&mut answer);
    answer
}

fn told(answer: &Answer) -> Vec<&str> {
    answer.rulings.iter().filter_map(|ruling| ruling.told.as_deref()).collect()
}

fn moments(answer: &Answer) -> Vec<u64> {
    answer.violations.iter().map(|violation| violation.at_ms).collect()
}

#[test]
fn both_a_grant_and_a_refusal_must_be_seen() {
    use Outcome::{Broken, Held, Unknown};
    let two: &[u64] = &[1_000_000, 1_400_000];
    for (granted, refused, limit, expected) in [
        (&two[..1], true, 1, [Held, Held]),
        (two, false, 1, [Broken, Broken]),
        (&[], true, 1, [Broken, Held]),
        (&two[..1], true, 2, [Held, Held]),
        (&two[..1], false, 1, [Held, Unknown]),
        (&[], false, 1, [Unknown, Unknown]),
    ] {
        let answer = judged(|answer| evictions(granted, refused, limit).answer(answer));
        let outcomes: Vec<Outcome> = answer.rulings.iter().map(|ruling| ruling.outcome).collect();
        assert_eq!(outcomes[..2], expected, "{granted:?} {refused} {limit}");
        assert_eq!(outcomes[2], Held);
    }
}

#[test]
fn an_eviction_too_many_is_told_with_its_moment() {
    let answer = judged(|answer| evictions(&[1_000_000, 1_400_000], false, 1).answer(answer));
    assert_eq!(
        told(&answer),
        [
            "2 of 3 nats pods were evicted within 0.4 s; the budget allows 1",
            "2 nats pods were asked to leave at once and none was refused; the budget allows 1"
        ]
    );
    assert_eq!(moments(&answer), [1_400, 1_400]);
    assert_eq!(answer.violations[0].client, None);
}

#[test]
fn pods_that_do_not_come_back_are_told_with_the_end_of_their_time() {
    let late = Late { at_us: 7_000_000, why: "2/3 ready".into() };
    let question = Evictions { not_back: Some(late), ..evictions(&[1_000_000], true, 1) };
    let answer = judged(|answer| question.answer(answer));
    assert_eq!(told(&answer), ["nats was not whole again after 1 of its 3 pods was evicted: 2/3 ready"]);
    assert_eq!(moments(&answer), [7_000]);
}

fn quorum(seen: &[(u64, u32, &str)]) -> Quorum {
    let members = |(at_us, ready, leaving): &(u64, u32, &str)| Members {
        at_us: *at_us,
        ready: *ready,
        leaving: leaving.split_whitespace().map(str::to_owned).collect(),
    };
    let began = |at_us, what: &str| Began { at_us, what: what.into() };
    Quorum {
        promise: "p".into(),
        workload: "nats".into(),
        members: 3,
        floor: 2,
        disturbances: vec![began(0, "the drain of n1"), began(1_000_000, "the drain of n2")],
        seen: seen.iter().map(members).collect(),
    }
}

#[test]
fn only_what_an_eviction_left_counts_for_a_quorum() {
    for (seen, outcome, detail) in [
        (&[(0, 3, ""), (5, 2, "n-0")][..], Outcome::Held, "2 at the lowest"),
        // It failed by itself later.
        (&[(0, 3, ""), (5, 2, "n-0"), (9, 1, "")], Outcome::Held, "2 at the lowest"),
        (&[(0, 3, ""), (5, 2, "n-0"), (9, 1, "n-1")], Outcome::Broken, "an eviction left 1"),
        (&[(0, 2, ""), (5, 1, "n-0")], Outcome::Broken, "an eviction left 1"),
        (&[(0, 3, ""), (5, 2, "")], Outcome::Unknown, "no member was ever seen to leave"),
    ] {
        let answer = judged(|answer| quorum(seen).answer(answer));
        assert_eq!((answer.rulings[0].outcome, answer.rulings[0].detail.as_str()), (outcome, detail), "{seen:?}");
    }
}

#[test]
fn a_lost_quorum_is_told_with_the_moment_of_the_eviction() {
    let seen = [(0, 3, ""), (2_000_000, 2, "n-0"), (13_300_000, 1, "n-1"), (20_000_000, 0, "")];
    let answer = judged(|answer| quorum(&seen).answer(answer));
    assert_eq!(told(&answer), ["12.3 s into the drain of n2 only 1 of 3 nats was ready; 2 are a quorum"]);
    assert_eq!(moments(&answer), [13_300]);
    assert_eq!(answer.figures[0].value, 0.0);
}

#[test]
fn what_was_done_is_judged_again_from_its_line() {
    for question in
        [Question::Evictions(evictions(&[1, 2], false, 1)), Question::Quorum(quorum(&[(0, 3, ""), (5, 1, "n-0")]))]
    {
        let line = serde_json::to_string(&question).unwrap();
        let again: Question = serde_json::from_str(&line).unwrap();
        assert_eq!(again.answer(|_| None), question.answer(|_| None), "{line}");
        assert!(again.clients().is_empty());
    }
}

#[test]
fn a_drain_that_does_not_end_is_told_with_the_end_of_its_time() {
    let drain = |came_to| Drain {
        promise: "p".into(),
        node: "n2".into(),
        within_us: 120_000_000,
        from_us: 1_000_000,
        to_us: 121_000_000,
        came_to,
    };
    let answer = judged(|answer| drain(Drained::Not { why: "still there: a".into() }).answer(answer));
    assert_eq!(told(&answer), ["n2 was not empty 120 s after its drain had begun: still there: a"]);
    assert_eq!(moments(&answer), [121_000]);
    let answer = judged(|answer| drain(Drained::Empty { evicted: 3, refusals: 1 }).answer(answer));
    assert_eq!(answer.rulings[0].detail, "3 pods evicted, 1 refusals");
    assert_eq!((answer.figures[0].value, answer.figures[0].limit), (120.0, Some(120.0)));
}

#[test]
fn a_steady_state_that_is_not_reached_is_told_with_its_deadline() {
    let steady = |seen: &[(u64, &str)]| Steady {
        promise: "p".into(),
        check: "steady again".into(),
        after: "the drain of n2".into(),
        from_us: 1_000_000,
        within_us: 120_000_000,
        seen: seen.iter().map(|(at_us, what)| Lacking { at_us: *at_us, what: (*what).to_owned() }).collect(),
        held: "everything is ready".into(),
    };
    let answer = judged(|answer| steady(&[(2_000_000, "db 2/3 ready"), (9_000_000, "")]).answer(answer));
    assert_eq!(answer.rulings[0].detail, "everything is ready");
    let answer = judged(|answer| steady(&[(2_000_000, "db 2/3 ready")]).answer(answer));
    assert_eq!(answer.rulings[0].detail, "waited 2m for the steady state; last seen: db 2/3 ready");
    assert_eq!(told(&answer), ["the system was not as it has to be 120 s after the drain of n2: db 2/3 ready"]);
    assert_eq!(moments(&answer), [121_000]);
}
