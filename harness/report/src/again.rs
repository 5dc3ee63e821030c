//! Scenarios judged again, in words: differences first.

use crate::table::printable;
use gauntlet_core::judgement::{Again, Row};
use gauntlet_core::{Check, Evidence, Outcome};
use std::fmt::Write as _;

/// What became of each scenario. `all` tells checks that came to the same too.
pub fn render(scenarios: &[Again], all: bool) -> String {
    let mut text = String::new();
    let (differ, same): (Vec<&Again>, Vec<&Again>) = scenarios.iter().partition(|again| again.differs());
    for again in differ.into_iter().chain(same) {
        scenario(&mut text, again, all);
    }
    printable(&text)
}

fn scenario(text: &mut String, again: &Again, all: bool) {
    let (old, new) = (again.old.word(), again.new.word());
    let verdict = if old == new { format!("{new}, as before") } else { format!("{old} → {new}") };
    let _ = writeln!(text, "{}: {verdict}", again.scenario);
    for (old, new) in &again.controls {
        let _ = writeln!(text, "  the clients without the fault: {} → {}", said(old), said(new));
    }
    for row in again.rows.iter().filter(|row| all || row.differs()) {
        check(text, row);
    }
    let same = again.rows.iter().filter(|row| !row.differs()).count();
    if same > 0 && !all {
        let _ = writeln!(text, "  {same} checks came to the same");
    }
    if again.rows.is_empty() && again.controls.is_empty() {
        let _ = writeln!(text, "  nothing was saved of which it could be judged again");
    }
    if !again.left.is_empty() {
        let mut promises: Vec<&str> = again.left.iter().map(|check| check.promise.as_str()).collect();
        promises.sort_unstable();
        promises.dedup();
        let _ = writeln!(
            text,
            "  {} checks count as they were judged then, since histories say nothing about them; of {}",
            again.left.len(),
            promises.join(", ")
        );
        for check in again.left.iter().filter(|_| all) {
            let _ = writeln!(text, "    {} ({})", check.name, check.word());
        }
    }
}

fn check(text: &mut String, row: &Row) {
    let new = &row.new;
    let old = row.old.as_ref().map_or("not judged", Check::word);
    let now = word(new.outcome);
    let change = if row.differs() { format!("{old} → {now}") } else { now.to_owned() };
    let _ = writeln!(text, "  {}: {}: {change}", new.promise, new.check);
    let _ = match row.old.as_ref().filter(|old| old.detail != new.detail) {
        Some(old) => writeln!(text, "    then: {}\n    now: {}", old.detail, new.detail),
        None => writeln!(text, "    {}", new.detail),
    };
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Held => "held",
        Outcome::Broken => "broken",
        Outcome::Unknown => "cannot tell",
        Outcome::Unconfirmed => "unconfirmed",
    }
}

fn said(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Shown(what) => format!("clean ({what})"),
        Evidence::Missing(why) => format!("not clean ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::observations;
    use gauntlet_core::judgement::{Answer, Ruling, again};

    fn judged(name: &str, outcome: Outcome) -> Again {
        let seen = observations(Outcome::Held);
        let ruling = Ruling {
            promise: "redis.failover".into(),
            check: "a replica takes over".into(),
            outcome,
            detail: "after 40 s".into(),
            told: None,
        };
        again(name, &seen.judge(), &seen, &[Answer { rulings: vec![ruling], ..Answer::default() }])
    }

    #[test]
    fn differences_come_first_with_what_was_said_then_and_now() {
        let text = render(&[judged("a", Outcome::Held), judged("b", Outcome::Broken)], false);
        let expected =
            "b: passed → failed\n  redis.failover: a replica takes over: held → broken\n    then: after 9.1 s";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("    now: after 40 s\na: passed, as before\n  1 checks came to the same\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "what a system says cannot command the terminal");
    }

    #[test]
    fn what_was_not_judged_again_is_said_plainly() {
        let seen = observations(Outcome::Held);
        let text = render(&[again("a", &seen.judge(), &seen, &[])], true);
        assert!(text.contains("nothing was saved of which it could be judged again"), "{text}");
        assert!(text.contains("1 checks count as they were judged then"), "{text}");
        assert!(text.contains("of redis.failover\n    a replica takes over (held)"), "{text}");
    }
}
