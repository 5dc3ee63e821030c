//! What the availability checker says of small histories.

use super::*;
use crate::checkers::testing::{attempt, set};
use crate::history::Operation;

const SECOND: u64 = 1_000_000;

fn in_group(mut attempt: Attempt, group: &str) -> Attempt {
    attempt.group = Some(group.into());
    attempt
}

fn judge(attempts: Vec<Attempt>, to_us: u64) -> Report {
    check(&History { attempts, observations: vec![] }, 0, to_us, 1, |_| true)
}

fn hanging(begin: u64, end: u64, outcome: Outcome) -> Attempt {
    attempt(Operation::HttpProbe { target: "t".into() }, begin, Some(end), outcome, None)
}

#[test]
fn gap_lies_between_two_successes() {
    let report = judge(
        vec![
            set("a", "1", 95, Outcome::Ok),
            hanging(100, 500, Outcome::Failed),
            set("a", "2", 500, Outcome::Ok),
            set("a", "3", 600, Outcome::Ok),
        ],
        610,
    );
    assert_eq!(report.overall.longest_gap, Gap { from_us: 100, to_us: 505, untried_us: 0 });
    assert_eq!((report.overall.ok, report.overall.failed), (3, 1));
    assert!(report.insufficient.is_empty());
}

#[test]
fn time_before_the_first_and_after_the_last_success_counts() {
    let late = judge(vec![hanging(0, 300, Outcome::Ok)], 310);
    assert_eq!((late.overall.longest_gap.from_us, late.overall.longest_gap.to_us), (0, 300));
    let early = judge(vec![hanging(0, 10, Outcome::Ok), hanging(10, 300, Outcome::Unknown)], 310);
    assert_eq!((early.overall.longest_gap.from_us, early.overall.longest_gap.to_us), (10, 310));
}

#[test]
fn gap_that_outlasts_the_span_is_measured_to_its_end() {
    let attempts =
        || vec![set("a", "1", 0, Outcome::Ok), hanging(5, 900, Outcome::Failed), hanging(900, 950, Outcome::Ok)];
    let report = judge(attempts(), 300);
    assert_eq!((report.overall.longest_gap.from_us, report.overall.longest_gap.to_us), (5, 950));
    assert_eq!((report.overall.ok, report.overall.failed), (1, 1));
    let mut never_again = attempts();
    never_again.pop();
    assert_eq!(judge(never_again, 300).overall.longest_gap.to_us, 900);
}

#[test]
fn one_shard_out_of_reach_shows_although_others_answer() {
    let mut attempts = vec![in_group(set("a", "1", 0, Outcome::Ok), "shard a")];
    for begin in (0..1000).step_by(10) {
        attempts.push(in_group(set("b", "1", begin, Outcome::Ok), "shard b"));
    }
    attempts.push(in_group(hanging(5, 900, Outcome::Unknown), "shard a"));
    attempts.push(in_group(hanging(900, 995, Outcome::Ok), "shard a"));
    let report = judge(attempts, 1000);
    assert!(report.overall.longest_gap.length_us() <= 15);
    assert_eq!(report.worst().0, Some("shard a"));
    assert_eq!(report.groups["shard a"].longest_gap.length_us(), 990);
}

#[test]
fn gap_in_which_nobody_tried_is_insufficient() {
    let idle = vec![set("a", "1", 0, Outcome::Ok), set("a", "2", 9 * SECOND, Outcome::Ok)];
    let report = judge(idle, 9 * SECOND + 5);
    assert_eq!(report.overall.longest_gap.untried_us, 9 * SECOND - 5);
    assert!(matches!(&report.insufficient[..], [reason] if reason.contains("nothing was tried")));
}

#[test]
fn no_success_at_all_is_one_long_gap_and_insufficient() {
    let report = judge(vec![hanging(0, 1000, Outcome::Failed)], 1000);
    assert_eq!(report.overall.longest_gap.length_us(), 1000);
    assert!(!report.insufficient.is_empty());
}

#[test]
fn attempts_outside_the_span_or_not_selected_do_not_count() {
    let attempts = vec![set("a", "1", 0, Outcome::Ok), set("a", "2", 500, Outcome::Ok)];
    let history = History { attempts, observations: vec![] };
    assert_eq!(check(&history, 100, 600, 0, |_| true).overall.ok, 1);
    assert_eq!(check(&history, 0, 600, 0, |_| false).overall.ok, 0);
}

#[test]
fn attempt_never_completed_is_under_way_to_the_end() {
    let op = Operation::HttpProbe { target: "t".into() };
    let attempts = vec![hanging(0, 5, Outcome::Ok), attempt(op, 6, None, Outcome::Unknown, None)];
    let report = judge(attempts, 9 * SECOND);
    assert_eq!(report.overall.longest_gap.untried_us, 1);
    assert_eq!(report.overall.unknown, 1);
}
