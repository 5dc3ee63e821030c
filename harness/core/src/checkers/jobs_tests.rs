//! What the job checker says of small histories.

use super::*;
use crate::checkers::testing::{history, job, submit};

fn judge(attempts: Vec<crate::history::Attempt>, jobs: Vec<Observation>) -> Report {
    check(&history(attempts, jobs, Dump::Jobs), 0)
}

#[test]
fn accepted_and_ended_once_is_clean() {
    let report = judge(vec![submit("n", "1", 0, Outcome::Ok)], vec![job("1", Some("SUCCEEDED"), true, 1)]);
    assert_eq!(report.conclude(), Conclusion::Clean);
    assert_eq!((report.accepted, report.ended), (Tally { acked: 1, lost: 0 }, 1));
}

#[test]
fn job_that_the_system_does_not_know_is_lost() {
    let report = judge(vec![submit("n", "1", 0, Outcome::Ok)], vec![job("1", None, false, 0)]);
    assert_eq!(report.accepted, Tally { acked: 1, lost: 1 });
    assert!(matches!(&report.findings[..], [Finding::Lost { .. }]));
}

#[test]
fn job_that_never_ended_is_found() {
    let report = judge(vec![submit("n", "1", 0, Outcome::Ok)], vec![job("1", Some("RUNNING"), false, 0)]);
    assert!(matches!(&report.findings[..], [Finding::NotEnded { state, .. }] if state == "RUNNING"));
}

#[test]
fn job_that_ended_twice_is_found_also_where_nobody_was_told_of_it() {
    let known = judge(vec![submit("n", "1", 0, Outcome::Ok)], vec![job("1", Some("SUCCEEDED"), true, 2)]);
    let unknown = judge(vec![submit("n", "1", 0, Outcome::Unknown)], vec![job("1", Some("SUCCEEDED"), true, 2)]);
    for report in [known, unknown] {
        assert!(matches!(&report.findings[..], [Finding::Duplicate { times: 2, .. }]), "{report:?}");
    }
}

#[test]
fn job_of_an_unknown_submission_is_no_phantom_but_one_more_is() {
    let unknown = || vec![submit("n", "", 0, Outcome::Unknown)];
    assert_eq!(judge(unknown(), vec![job("1", Some("SUCCEEDED"), true, 1)]).conclude(), Conclusion::Clean);
    let two = vec![job("1", Some("SUCCEEDED"), true, 1), job("2", Some("SUCCEEDED"), true, 1)];
    assert!(matches!(&judge(unknown(), two).findings[..], [Finding::Phantom { .. }]));
}

#[test]
fn one_id_for_two_submissions_is_a_duplicate() {
    let submissions = vec![submit("n", "1", 0, Outcome::Ok), submit("m", "1", 10, Outcome::Ok)];
    let report = judge(submissions, vec![job("1", Some("SUCCEEDED"), true, 1)]);
    assert!(matches!(&report.findings[..], [Finding::Duplicate { times: 2, .. }]));
}

#[test]
fn refused_submission_asks_for_nothing() {
    assert_eq!(judge(vec![submit("n", "", 0, Outcome::Failed)], vec![]).conclude(), Conclusion::Clean);
}

#[test]
fn job_not_looked_up_is_insufficient() {
    assert!(matches!(judge(vec![submit("n", "1", 0, Outcome::Ok)], vec![]).conclude(), Conclusion::Insufficient(_)));
}

#[test]
fn too_few_accepted_jobs_are_insufficient() {
    let report = check(&history(vec![], vec![], Dump::Jobs), 1);
    assert!(matches!(report.conclude(), Conclusion::Insufficient(_)));
}
