//! What the Redis checker says of small histories.

use super::*;
use crate::checkers::testing::{attempt, history, set, set_wait, value};

const NO_NEEDS: Needs = Needs { plain: 0, waited: 0 };

fn judge(attempts: Vec<Attempt>, values: Vec<Observation>) -> Report {
    check(&history(attempts, values, Dump::Redis), NO_NEEDS)
}

#[test]
fn acknowledged_and_present_is_clean() {
    let report = judge(vec![set("a", "1", 0, Outcome::Ok)], vec![value("a", Some("1"))]);
    assert_eq!(report.conclude(0.0), Conclusion::Clean);
    assert_eq!(report.plain, Tally { acked: 1, lost: 0 });
}

#[test]
fn plain_loss_counts_against_the_allowed_share_only() {
    let writes = vec![set("a", "1", 0, Outcome::Ok), set("b", "2", 10, Outcome::Ok)];
    let report = judge(writes, vec![value("a", Some("1")), value("b", None)]);
    assert_eq!(report.plain, Tally { acked: 2, lost: 1 });
    assert_eq!(report.conclude(0.5), Conclusion::Clean);
    assert!(matches!(report.conclude(0.4), Conclusion::Found(found) if found.len() == 1));
}

#[test]
fn confirmed_loss_is_found_whatever_share_is_allowed() {
    let report = judge(vec![set_wait("a", "1", 0, 1)], vec![value("a", None)]);
    assert_eq!(report.waited, Tally { acked: 1, lost: 1 });
    assert!(matches!(report.conclude(1.0), Conclusion::Found(_)));
}

#[test]
fn wait_that_nobody_answered_is_a_plain_write() {
    let report = judge(vec![set_wait("a", "1", 0, 0)], vec![value("a", None)]);
    assert_eq!((report.plain, report.waited), (Tally { acked: 1, lost: 1 }, Tally::default()));
}

#[test]
fn unknown_write_may_be_there_or_not() {
    for found in [None, Some("1")] {
        let report = judge(vec![set("a", "1", 0, Outcome::Unknown)], vec![value("a", found)]);
        assert_eq!(report.conclude(0.0), Conclusion::Clean, "{found:?}");
        assert_eq!((report.plain.acked, report.unknown), (0, 1));
    }
}

#[test]
fn refused_write_that_is_there_is_a_phantom() {
    let report = judge(vec![set("a", "1", 0, Outcome::Failed)], vec![value("a", Some("1"))]);
    assert_eq!(report.phantoms.len(), 1);
}

#[test]
fn value_or_key_that_nobody_wrote_is_a_phantom() {
    let report = judge(vec![set("a", "1", 0, Outcome::Ok)], vec![value("a", Some("9")), value("z", Some("1"))]);
    assert_eq!(report.phantoms.len(), 2);
    assert_eq!(report.plain.lost, 0);
}

#[test]
fn older_value_of_a_key_loses_the_later_write() {
    let writes = || vec![set("a", "1", 0, Outcome::Ok), set("a", "2", 10, Outcome::Ok)];
    assert_eq!(judge(writes(), vec![value("a", Some("1"))]).plain.lost, 1);
    assert_eq!(judge(writes(), vec![value("a", Some("2"))]).plain.lost, 0);
    assert_eq!(judge(writes(), vec![value("a", None)]).plain.lost, 2);
}

#[test]
fn overlapping_writes_have_no_order() {
    let writes = vec![set("a", "1", 0, Outcome::Ok), set("a", "2", 3, Outcome::Ok)];
    assert_eq!(judge(writes, vec![value("a", Some("1"))]).conclude(0.0), Conclusion::Clean);
}

#[test]
fn unknown_write_may_replace_a_later_one() {
    let writes = vec![set("a", "1", 0, Outcome::Unknown), set("a", "2", 10, Outcome::Ok)];
    assert_eq!(judge(writes, vec![value("a", Some("1"))]).conclude(0.0), Conclusion::Clean);
}

#[test]
fn write_that_was_not_read_back_is_insufficient_not_lost() {
    let report = judge(vec![set("a", "1", 0, Outcome::Ok)], vec![]);
    assert_eq!((report.plain.lost, report.unread), (0, 1));
    assert!(matches!(report.conclude(0.0), Conclusion::Insufficient(_)));
}

#[test]
fn too_few_writes_are_insufficient() {
    let history = history(vec![set("a", "1", 0, Outcome::Ok)], vec![value("a", Some("1"))], Dump::Redis);
    let report = check(&history, Needs { plain: 2, waited: 1 });
    assert!(matches!(report.conclude(0.0), Conclusion::Insufficient(reasons) if reasons.len() == 2));
}

#[test]
fn dump_without_end_is_insufficient() {
    let cut_off = History { attempts: vec![set("a", "1", 0, Outcome::Ok)], observations: vec![value("a", Some("1"))] };
    assert!(matches!(check(&cut_off, NO_NEEDS).conclude(0.0), Conclusion::Insufficient(_)));
}

#[test]
fn invocation_without_completion_is_unknown() {
    let op = Operation::RedisWrite { key: "a".into(), value: "1".into(), wait: None };
    let report = judge(vec![attempt(op, 0, None, Outcome::Unknown, None)], vec![value("a", None)]);
    assert_eq!((report.unknown, report.plain), (1, Tally::default()));
}
