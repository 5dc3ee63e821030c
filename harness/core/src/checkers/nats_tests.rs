//! What the JetStream checker says of small histories.

use super::*;
use crate::checkers::testing::{history, message as stored_message, publish, publish_again, stream};

fn judge(attempts: Vec<Attempt>, messages: Vec<Observation>) -> Report {
    check(&history(attempts, messages, stream()), "S", 0)
}

#[test]
fn acknowledged_once_and_in_order_is_clean() {
    let publishes = vec![publish("a", 0, Outcome::Ok), publish("b", 10, Outcome::Ok)];
    let report = judge(publishes, vec![stored_message(1, "a"), stored_message(2, "b")]);
    assert_eq!(report.conclude(), Conclusion::Clean);
    assert_eq!(report.published, Tally { acked: 2, lost: 0 });
}

#[test]
fn missing_message_is_lost() {
    let report = judge(vec![publish("a", 0, Outcome::Ok)], vec![]);
    assert_eq!(report.published, Tally { acked: 1, lost: 1 });
    assert!(matches!(&report.findings[..], [Finding::Lost { .. }]));
}

#[test]
fn message_stored_twice_is_a_duplicate_but_read_twice_is_not() {
    let twice = |first, second| {
        judge(vec![publish("a", 0, Outcome::Ok)], vec![stored_message(first, "a"), stored_message(second, "a")])
    };
    assert!(matches!(&twice(1, 2).findings[..], [Finding::Duplicate { times: 2, .. }]));
    assert_eq!(twice(1, 1).conclude(), Conclusion::Clean);
}

#[test]
fn later_publish_before_an_earlier_one_is_reordered() {
    let publishes = vec![publish("a", 0, Outcome::Ok), publish("b", 10, Outcome::Ok)];
    let report = judge(publishes, vec![stored_message(1, "b"), stored_message(2, "a")]);
    assert!(matches!(&report.findings[..], [Finding::Reordered { earlier, .. }] if earlier == "message a"));
}

#[test]
fn overlapping_publishes_have_no_order() {
    let publishes = vec![publish("a", 0, Outcome::Ok), publish("b", 3, Outcome::Ok)];
    let report = judge(publishes, vec![stored_message(1, "b"), stored_message(2, "a")]);
    assert_eq!(report.conclude(), Conclusion::Clean);
}

#[test]
fn unknown_publish_may_be_there_or_not() {
    for messages in [vec![], vec![stored_message(1, "a")]] {
        assert_eq!(judge(vec![publish("a", 0, Outcome::Unknown)], messages).conclude(), Conclusion::Clean);
    }
}

#[test]
fn refused_or_unheard_of_message_is_a_phantom() {
    let report = judge(vec![publish("a", 0, Outcome::Failed)], vec![stored_message(1, "a"), stored_message(2, "z")]);
    assert!(matches!(&report.findings[..], [Finding::Phantom { .. }, Finding::Phantom { .. }]));
}

#[test]
fn stream_not_read_to_its_end_proves_no_loss() {
    let history = History { attempts: vec![publish("a", 0, Outcome::Ok)], observations: vec![] };
    let report = check(&history, "S", 0);
    assert!(report.findings.is_empty());
    assert!(matches!(report.conclude(), Conclusion::Insufficient(_)));
}

#[test]
fn too_few_publishes_are_insufficient() {
    let report = check(&history(vec![], vec![], stream()), "S", 1);
    assert!(matches!(report.conclude(), Conclusion::Insufficient(_)));
}

#[test]
fn only_a_publish_wholly_within_the_span_was_without_quorum() {
    let publishes =
        vec![publish("early", 8, Outcome::Ok), publish("in", 20, Outcome::Ok), publish("late", 28, Outcome::Ok)];
    let history = history(publishes, vec![], stream());
    let found = acked_without_quorum(&history, "S", &[Span { from_us: 10, to_us: 30 }]);
    assert_eq!(found, vec![Finding::AckedWithoutQuorum { what: "message in".into(), at_us: 25 }]);
}

#[test]
fn a_duplicate_without_quorum_is_as_it_should_be_only_of_what_was_begun_before() {
    for (first, found) in [(8, 0), (12, 1)] {
        let publishes = vec![publish("a", first, Outcome::Unknown), publish_again("a", 20)];
        let history = history(publishes, vec![], stream());
        let findings = acked_without_quorum(&history, "S", &[Span { from_us: 10, to_us: 30 }]);
        assert_eq!(findings.len(), found, "first published at {first}: {findings:?}");
    }
}

#[test]
fn timeout_without_quorum_is_as_it_should_be() {
    let history = history(vec![publish("a", 20, Outcome::Unknown)], vec![], stream());
    assert!(acked_without_quorum(&history, "S", &[Span { from_us: 10, to_us: 30 }]).is_empty());
}

#[test]
fn refused_retry_does_not_make_an_unknown_first_attempt_a_phantom() {
    let publishes = vec![publish("a", 0, Outcome::Unknown), publish("a", 10, Outcome::Failed)];
    assert_eq!(judge(publishes, vec![stored_message(1, "a")]).conclude(), Conclusion::Clean);
}
