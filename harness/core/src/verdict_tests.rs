//! What observations come to.

use super::*;

fn shown() -> Evidence {
    Evidence::Shown("seen".into())
}

fn proven() -> FaultEvidence {
    FaultEvidence { fault: "kill".into(), took_effect: shown(), healed: shown(), control: shown() }
}

fn check(outcome: Outcome) -> Check {
    let (promise, reference, name, detail) = ("p".into(), "r".into(), "n".into(), "d".into());
    Check { promise, reference, name, outcome, looks: None, detail, told: None }
}

fn judged(faults: Vec<FaultEvidence>, outcomes: &[Outcome]) -> &'static str {
    let checks = outcomes.iter().copied().map(check).collect();
    Observations { faults, checks, ..Observations::default() }.judge().word()
}

#[test]
fn all_evidence_and_every_check_held_passes() {
    assert_eq!(judged(vec![proven()], &[Outcome::Held, Outcome::Held]), "passed");
}

#[test]
fn a_broken_promise_under_a_proven_fault_fails() {
    assert_eq!(judged(vec![proven()], &[Outcome::Held, Outcome::Broken, Outcome::Unknown]), "failed");
}

#[test]
fn any_missing_evidence_is_inconclusive_whatever_the_checks_say() {
    for gap in 0..3 {
        let mut fault = proven();
        *[&mut fault.took_effect, &mut fault.healed, &mut fault.control][gap] = Evidence::not_looked_at();
        for outcome in [Outcome::Held, Outcome::Broken] {
            assert_eq!(judged(vec![proven(), fault.clone()], &[outcome]), "inconclusive");
        }
    }
}

#[test]
fn no_fault_or_no_check_is_inconclusive() {
    assert_eq!(judged(vec![], &[Outcome::Held]), "inconclusive");
    assert_eq!(judged(vec![proven()], &[]), "inconclusive");
}

#[test]
fn on_a_cluster_that_is_unsuited_it_is_skipped_unless_something_was_broken() {
    for (outcomes, word) in [
        (&[][..], "skipped"),
        (&[Outcome::Held], "skipped"),
        (&[Outcome::Unknown], "skipped"),
        (&[Outcome::Broken], "failed"),
    ] {
        let checks = outcomes.iter().copied().map(check).collect();
        let unsuited = Some("nothing enforces policies".to_owned());
        let observations = Observations { faults: vec![proven()], checks, unsuited, ..Observations::default() };
        assert_eq!(observations.judge().word(), word, "{outcomes:?}");
    }
}

#[test]
fn a_guess_counts_for_nothing_whatever_it_looks_like() {
    let guess = |looks| check(looks).unconfirmed();
    for looks in [Outcome::Held, Outcome::Broken, Outcome::Unknown] {
        for (confirmed, word) in [
            (vec![], "inconclusive"),
            (vec![check(Outcome::Held)], "passed"),
            (vec![check(Outcome::Broken)], "failed"),
            (vec![check(Outcome::Unknown)], "inconclusive"),
        ] {
            let checks = confirmed.iter().cloned().chain([guess(looks)]).collect();
            let verdict = Observations { faults: vec![proven()], checks, ..Observations::default() }.judge();
            assert_eq!(verdict.word(), word, "{confirmed:?} with a guess that looks {looks:?}");
            if let Verdict::Passed(passed) = verdict {
                assert_eq!(passed.held(), confirmed.len());
            }
        }
    }
}

#[test]
fn a_run_of_guesses_says_that_nothing_is_confirmed() {
    let checks = vec![check(Outcome::Broken).unconfirmed()];
    let verdict = Observations { faults: vec![proven()], checks, ..Observations::default() }.judge();
    assert_eq!(verdict.reasons(), ["every promise that was checked is a guess that nobody has confirmed"]);
}

#[test]
fn an_unknown_check_is_inconclusive() {
    assert_eq!(judged(vec![proven()], &[Outcome::Held, Outcome::Unknown]), "inconclusive");
}

#[test]
fn an_inconclusive_verdict_still_tells_what_looked_broken() {
    let observations = Observations {
        faults: vec![FaultEvidence::new("kill")],
        checks: vec![check(Outcome::Broken)],
        ..Observations::default()
    };
    let reasons = observations.judge().reasons();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reasons[3].starts_with("looked broken: n"), "{reasons:?}");
}
