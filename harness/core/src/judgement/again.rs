//! A scenario judged again, against what it came to before.

use super::answer::{Answer, Ruling, WITHOUT};
use crate::verdict::{Check, Evidence, FaultEvidence, Observations, Outcome, Verdict};

/// One check, then and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Absent where it was not judged then.
    pub old: Option<Check>,
    pub new: Ruling,
}

impl Row {
    /// Whether it came to something else. Words alone are no difference.
    pub fn differs(&self) -> bool {
        match &self.old {
            Some(old) => old.looks.unwrap_or(old.outcome) != self.new.outcome,
            None => self.new.outcome != Outcome::Held,
        }
    }
}

/// What a scenario comes to now.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    pub scenario: String,
    pub old: Verdict,
    pub new: Verdict,
    /// Differences first.
    pub rows: Vec<Row>,
    /// Controls that say something else: then and now.
    pub controls: Vec<(Evidence, Evidence)>,
    /// What histories say nothing about; it counts as it was judged then.
    pub left: Vec<Check>,
}

impl Again {
    pub fn differs(&self) -> bool {
        self.old.word() != self.new.word() || !self.controls.is_empty() || self.rows.iter().any(Row::differs)
    }
}

/// Puts answers in the place of what was judged then. What they say nothing about stays.
pub fn again(scenario: &str, old: &Verdict, seen: &Observations, answers: &[Answer]) -> Again {
    let mut left: Vec<Check> = seen.checks.clone();
    let mut rows: Vec<Row> = Vec::new();
    for new in answers.iter().flat_map(|answer| &answer.rulings) {
        let same = |check: &Check| check.promise == new.promise && check.name == new.check;
        let old = left.iter().position(same).map(|place| left.remove(place));
        rows.push(Row { old, new: new.clone() });
    }
    let mut now = Observations { checks: left.clone(), ..seen.clone() };
    now.checks.extend(rows.iter().map(check));
    let controls: Vec<&Evidence> = answers.iter().filter_map(|answer| answer.control.as_ref()).collect();
    let controls = apply(&controls, &mut now.faults);
    rows.sort_by_key(|row| !row.differs());
    Again { scenario: scenario.to_owned(), old: old.clone(), new: verdict(old, seen, &now), rows, controls, left }
}

/// A guess stays one.
fn check(row: &Row) -> Check {
    let check = Check {
        promise: row.new.promise.clone(),
        reference: row.old.as_ref().map_or_else(String::new, |old| old.reference.clone()),
        name: row.new.check.clone(),
        outcome: row.new.outcome,
        looks: None,
        detail: row.new.detail.clone(),
        told: row.new.told.clone(),
    };
    match &row.old {
        Some(Check { outcome: Outcome::Unconfirmed, .. }) => check.unconfirmed(),
        _ => check,
    }
}

/// A verdict that did not follow from what was seen (the harness was in trouble) does not follow from it now either.
fn verdict(old: &Verdict, seen: &Observations, now: &Observations) -> Verdict {
    match old {
        Verdict::Skipped { .. } => old.clone(),
        Verdict::Inconclusive { reasons, .. }
            if seen.judge().word() != old.word() || seen.judge().reasons() != old.reasons() =>
        {
            let broken = now.checks.iter().filter(|check| check.outcome == Outcome::Broken).cloned().collect();
            Verdict::Inconclusive { reasons: reasons.clone(), broken }
        }
        _ => now.judge(),
    }
}

/// Gives faults the controls of now: one for all of them, or each its own. A control may have had other reasons than
/// histories not to be clean; those stay. What changed.
fn apply(controls: &[&Evidence], faults: &mut [FaultEvidence]) -> Vec<(Evidence, Evidence)> {
    let of = |place: usize| match controls {
        [one] => Some(*one),
        many if many.len() == faults.len() => many.get(place).copied(),
        many => many.iter().copied().find(|control| matches!(control, Evidence::Missing(_))),
    };
    let mut chosen: Vec<Option<&Evidence>> = (0..faults.len()).map(of).collect();
    let mut changes = Vec::new();
    for (fault, new) in faults.iter_mut().zip(chosen.drain(..)) {
        let changed = match (&fault.control, new) {
            (Evidence::Shown(_), Some(new @ Evidence::Missing(_))) => Some(new),
            (Evidence::Missing(why), Some(new @ Evidence::Shown(_))) if why.contains(WITHOUT) => Some(new),
            _ => None,
        };
        if let Some(new) = changed {
            let change = (std::mem::replace(&mut fault.control, new.clone()), new.clone());
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(name: &str, outcome: Outcome) -> Check {
        let (promise, reference, detail) = ("p".into(), "r".into(), "d".into());
        Check { promise, reference, name: name.into(), outcome, looks: None, detail, told: None }
    }

    #[test]
    fn a_guess_stays_a_guess() {
        let guess =
            Observations { checks: vec![old("a", Outcome::Held).unconfirmed()], ..seen(&[("b", Outcome::Held)]) };
        let row = |outcome| again("s", &guess.judge(), &guess, &[ruled("a", outcome)]).rows.remove(0);
        assert!(!row(Outcome::Held).differs());
        assert!(row(Outcome::Broken).differs());
        assert_eq!(check(&row(Outcome::Broken)).outcome, Outcome::Unconfirmed);
    }

    fn ruled(name: &str, outcome: Outcome) -> Answer {
        let ruling = Ruling { promise: "p".into(), check: name.into(), outcome, detail: "now".into(), told: None };
        Answer { rulings: vec![ruling], ..Answer::default() }
    }

    fn control(evidence: Evidence) -> Answer {
        Answer { control: Some(evidence), ..Answer::default() }
    }

    fn seen(checks: &[(&str, Outcome)]) -> Observations {
        let shown = || Evidence::Shown("seen".into());
        Observations {
            faults: vec![FaultEvidence {
                took_effect: shown(),
                healed: shown(),
                control: shown(),
                ..FaultEvidence::new("kill")
            }],
            checks: checks.iter().map(|(name, outcome)| old(name, *outcome)).collect(),
            ..Observations::default()
        }
    }

    fn judged(seen: &Observations, answers: &[Answer]) -> Again {
        again("a", &seen.judge(), seen, answers)
    }

    #[test]
    fn the_same_answers_change_nothing_and_what_histories_do_not_tell_is_left() {
        let seen = seen(&[("lost", Outcome::Held), ("steady", Outcome::Held)]);
        let again = judged(&seen, &[ruled("lost", Outcome::Held), control(Evidence::Shown("other words".into()))]);
        assert!(!again.differs(), "{again:?}");
        assert_eq!(again.left, [old("steady", Outcome::Held)]);
    }

    #[test]
    fn another_answer_changes_the_verdict_and_comes_first() {
        let seen = seen(&[("order", Outcome::Held), ("lost", Outcome::Held)]);
        let again = judged(&seen, &[ruled("order", Outcome::Held), ruled("lost", Outcome::Broken)]);
        assert_eq!((again.old.word(), again.new.word()), ("passed", "failed"));
        assert_eq!(again.rows[0].new.check, "lost");
        assert!(again.differs() && again.rows[0].differs() && !again.rows[1].differs());
        let back = judged(&seen_broken(), &[ruled("lost", Outcome::Held)]);
        assert_eq!((back.old.word(), back.new.word()), ("failed", "passed"));
    }

    fn seen_broken() -> Observations {
        seen(&[("lost", Outcome::Broken)])
    }

    #[test]
    fn checks_of_the_same_name_are_told_apart_by_their_order() {
        let seen = seen(&[("lost", Outcome::Held), ("lost", Outcome::Broken)]);
        let again = judged(&seen, &[ruled("lost", Outcome::Held), ruled("lost", Outcome::Broken)]);
        assert!(!again.differs() && again.left.is_empty(), "{again:?}");
    }

    #[test]
    fn a_check_that_is_new_differs_only_where_it_does_not_hold() {
        let seen = seen(&[("lost", Outcome::Held)]);
        assert!(!judged(&seen, &[ruled("order", Outcome::Held)]).differs());
        assert!(judged(&seen, &[ruled("order", Outcome::Broken)]).differs());
    }

    #[test]
    fn a_control_that_is_no_longer_clean_makes_it_inconclusive() {
        let seen = seen(&[("lost", Outcome::Held)]);
        let again = judged(&seen, &[control(Evidence::Missing("redis without the fault: a key was lost".into()))]);
        assert_eq!((again.new.word(), again.controls.len()), ("inconclusive", 1));
    }

    #[test]
    fn a_control_that_had_other_reasons_stays_as_it_was() {
        let mut seen = seen(&[("lost", Outcome::Held)]);
        for (why, word) in [("not every client succeeded", "inconclusive"), ("redis without the fault: x", "passed")] {
            seen.faults[0].control = Evidence::Missing(why.into());
            assert_eq!(judged(&seen, &[control(Evidence::Shown("clean".into()))]).new.word(), word, "{why}");
        }
    }

    #[test]
    fn trouble_of_the_harness_stays_trouble() {
        let seen = seen(&[("lost", Outcome::Held)]);
        let old = Verdict::trouble("lost the cluster");
        let again = again("a", &old, &seen, &[ruled("lost", Outcome::Broken)]);
        assert_eq!(again.new.word(), "inconclusive");
        assert!(again.new.reasons().iter().any(|reason| reason == "lost the cluster"), "{:?}", again.new);
        assert!(again.differs());
    }
}
