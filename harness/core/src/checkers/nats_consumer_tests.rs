//! What the checker of consumers says of small histories.

use super::*;
use crate::checkers::testing::{attempt, history, message as stored_message, stream as dump};
use crate::history::Outcome;

fn ack(sequence: u64, begin: u64, outcome: Outcome) -> Attempt {
    let op = Operation::NatsAck { stream: "S".into(), consumer: "C".into(), sequence, delivery: 1 };
    attempt(op, begin, Some(begin + 5), outcome, (outcome == Outcome::Ok).then_some(Reply::NatsAck))
}

fn floor(floor: u64, begin: u64) -> Attempt {
    let op = Operation::NatsFloor { stream: "S".into(), consumer: "C".into() };
    attempt(op, begin, Some(begin + 5), Outcome::Ok, Some(Reply::NatsFloor { floor }))
}

fn end(undelivered: u64, unacknowledged: u64) -> Observation {
    Observation::NatsConsumer { stream: "S".into(), consumer: "C".into(), floor: 0, undelivered, unacknowledged }
}

/// A history whose stream holds messages 1 to `stored` and was read to its end.
fn judge(attempts: Vec<Attempt>, stored: u64, end: Observation) -> Report {
    judge_excusing(attempts, stored, end, &[])
}

fn judge_excusing(attempts: Vec<Attempt>, stored: u64, end: Observation, excused: &[Span]) -> Report {
    let messages = (1..=stored).map(|sequence| stored_message(sequence, &sequence.to_string())).collect();
    let mut history = history(attempts, messages, dump());
    history.observations.push(end);
    check(&history, "S", "C", 0, excused)
}

#[test]
fn everything_given_once_and_acknowledged_is_clean() {
    let report = judge(vec![ack(1, 0, Outcome::Ok), floor(1, 10), ack(2, 20, Outcome::Ok), floor(2, 30)], 2, end(0, 0));
    assert_eq!(report.conclude(), Conclusion::Clean);
    assert_eq!(report.confirmed, 2);
}

#[test]
fn message_that_comes_again_after_its_acknowledgement_was_confirmed_is_redelivered() {
    let report = judge(vec![ack(1, 0, Outcome::Ok), ack(1, 10, Outcome::Ok)], 1, end(0, 0));
    assert!(matches!(&report.redelivered[..], [Finding::Redelivered { at_us: 10, .. }]));
    assert!(matches!(report.conclude(), Conclusion::Found(_)));
}

#[test]
fn acknowledgement_confirmed_in_an_excused_time_may_be_undone_once() {
    let excused = [Span { from_us: 0, to_us: 8 }];
    let once = vec![ack(1, 0, Outcome::Ok), ack(1, 10, Outcome::Ok)];
    let report = judge_excusing(once.clone(), 1, end(0, 0), &excused);
    assert_eq!((report.conclude(), report.forgotten), (Conclusion::Clean, 1));
    let elsewhere = [Span { from_us: 6, to_us: 8 }];
    assert!(matches!(judge_excusing(once.clone(), 1, end(0, 0), &elsewhere).conclude(), Conclusion::Found(_)));
    let twice = once.into_iter().chain([ack(1, 20, Outcome::Ok)]).collect();
    let report = judge_excusing(twice, 1, end(0, 0), &excused);
    assert!(matches!(&report.redelivered[..], [Finding::Redelivered { at_us: 20, .. }]), "{report:?}");
}

#[test]
fn what_was_told_or_confirmed_in_an_excused_time_binds_once_it_was_not_undone() {
    let excused = [Span { from_us: 0, to_us: 18 }];
    let undone = vec![ack(1, 0, Outcome::Ok), floor(1, 10), floor(0, 20), ack(1, 30, Outcome::Ok)];
    assert_eq!(judge_excusing(undone, 1, end(0, 0), &excused).conclude(), Conclusion::Clean);
    // Another server may tell where it stands before it has learned of the confirmation, but not once it goes on.
    let not_yet_known = vec![ack(1, 0, Outcome::Ok), floor(0, 20), ack(2, 30, Outcome::Ok), floor(2, 40)];
    assert_eq!(judge_excusing(not_yet_known, 2, end(0, 0), &excused).conclude(), Conclusion::Clean);
    let not_undone = vec![ack(1, 0, Outcome::Ok), ack(2, 30, Outcome::Ok), floor(0, 40)];
    assert!(matches!(judge_excusing(not_undone, 2, end(0, 0), &excused).conclude(), Conclusion::Found(_)));
    let after = vec![ack(1, 0, Outcome::Ok), ack(1, 30, Outcome::Ok), floor(0, 40)];
    assert!(matches!(judge_excusing(after, 1, end(0, 0), &excused).conclude(), Conclusion::Found(_)));
}

#[test]
fn message_whose_acknowledgement_is_unknown_may_come_again() {
    let report = judge(vec![ack(1, 0, Outcome::Unknown), ack(1, 10, Outcome::Ok)], 1, end(0, 0));
    assert_eq!(report.conclude(), Conclusion::Clean);
}

#[test]
fn message_in_the_stream_that_never_came_is_undelivered() {
    for ended in [end(0, 0), end(1, 0)] {
        let report = judge(vec![ack(1, 0, Outcome::Ok)], 2, ended);
        assert!(matches!(&report.findings[..], [Finding::Undelivered { what }] if what == "message 2"));
    }
}

#[test]
fn floor_below_what_was_confirmed_or_told_before_went_back() {
    let below_confirmed = vec![ack(1, 0, Outcome::Ok), ack(2, 10, Outcome::Ok), floor(1, 20)];
    let below_told = vec![ack(1, 0, Outcome::Ok), floor(7, 10), floor(6, 20)];
    for attempts in [below_confirmed, below_told] {
        let report = judge(attempts, 1, end(0, 0));
        assert!(matches!(&report.floors[..], [Finding::FloorWentBack { .. }]), "{report:?}");
        assert!(matches!(report.conclude(), Conclusion::Found(_)));
    }
}

#[test]
fn floor_asked_for_before_a_confirmation_may_lie_below_it() {
    let overlapping = vec![ack(1, 0, Outcome::Ok), floor(0, 3)];
    assert_eq!(judge(overlapping, 1, end(0, 0)).conclude(), Conclusion::Clean);
    let unconfirmed_below = vec![ack(1, 0, Outcome::Unknown), ack(2, 0, Outcome::Ok), floor(0, 20)];
    assert_eq!(judge(unconfirmed_below, 2, end(0, 0)).conclude(), Conclusion::Clean);
}

#[test]
fn consumer_that_was_not_through_or_did_not_tell_proves_nothing() {
    let waiting = judge(vec![ack(1, 0, Outcome::Unknown)], 1, end(0, 1));
    assert!(matches!(waiting.conclude(), Conclusion::Insufficient(_)));
    let silent = check(&history(vec![ack(1, 0, Outcome::Ok)], vec![stored_message(1, "a")], dump()), "S", "C", 0, &[]);
    assert!(matches!(silent.conclude(), Conclusion::Insufficient(_)));
}

#[test]
fn too_few_confirmations_are_insufficient() {
    let history = history(vec![], vec![end(0, 0)], dump());
    assert!(matches!(check(&history, "S", "C", 1, &[]).conclude(), Conclusion::Insufficient(_)));
}
