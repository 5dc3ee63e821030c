//! Two runs side by side: what was deployed and where, verdicts, what was broken in one of them only, figures, and where
//! the time went.

use crate::summary::{ScenarioOutcome, Summary};
use crate::table::{number, printable};
use crate::times::PHASES;
use gauntlet_core::Check;
use gauntlet_core::digest;
use gauntlet_core::event::RunHeader;
use gauntlet_core::span::Span;
use std::fmt::Write as _;
use std::time::Duration;

/// What differs between two runs, the first being the one to compare with. What is the same in both is counted.
pub fn render(before: &Summary, after: &Summary) -> String {
    let mut text = headers(before, after);
    let mut names: Vec<&str> = before.outcomes.iter().map(|outcome| outcome.scenario.as_str()).collect();
    names.extend(
        after.outcomes.iter().map(|o| o.scenario.as_str()).filter(|name| !names.contains(name)).collect::<Vec<_>>(),
    );
    for name in names {
        let find = |summary: &'_ Summary| summary.outcomes.iter().position(|outcome| outcome.scenario == name);
        let _ = match (find(before), find(after)) {
            (Some(old), Some(new)) => {
                let _ = writeln!(text, "\n{name}");
                scenario(&mut text, &before.outcomes[old], &after.outcomes[new]);
                times(&mut text, name, before, after);
                Ok(())
            }
            (Some(old), None) => {
                writeln!(text, "\n{name}\n  verdict: {}, not run", before.outcomes[old].verdict.word())
            }
            (None, new) => {
                let word = new.map_or("not run", |new| after.outcomes[new].verdict.word());
                writeln!(text, "\n{name}\n  verdict: not run, {word}")
            }
        };
    }
    printable(&text)
}

/// Whether something that passed in the first run did not in the second.
pub fn is_worse(before: &Summary, after: &Summary) -> bool {
    let word = |summary: &Summary, name: &str| {
        summary.outcomes.iter().find(|outcome| outcome.scenario == name).map(|outcome| outcome.verdict.word())
    };
    let passed = before.outcomes.iter().filter(|outcome| outcome.verdict.word() == "passed");
    passed.into_iter().any(|outcome| matches!(word(after, &outcome.scenario), Some("failed" | "inconclusive")))
}

fn headers(one: &Summary, other: &Summary) -> String {
    let (Some(before), Some(after)) = (&one.header, &other.header) else {
        return "a run has no beginning\n".to_owned();
    };
    let mut text = format!("{} → {}\n", before.run, after.run);
    let mut fact = |name: &str, old: &str, new: &str| {
        if old != new {
            let _ = writeln!(text, "  {name}: {old} → {new}");
        }
    };
    fact("system", &before.system, &after.system);
    fact("overlay", &before.overlay, &after.overlay);
    let digests = |summary: &Summary| summary.deployed.as_ref().map(|(digest, _)| digest.clone());
    if let (Some(old), Some(new)) = (digests(one), digests(other)) {
        fact("digest of the system", digest::told(&old.system), digest::told(&new.system));
        fact("digest of the overlay", digest::told(&old.overlay), digest::told(&new.overlay));
    }
    fact("cluster", &before.provider, &after.provider);
    fact("seed", &before.seed.to_string(), &after.seed.to_string());
    let mut programs: Vec<&String> = before.versions.keys().chain(after.versions.keys()).collect();
    programs.sort();
    programs.dedup();
    for program in programs {
        let of = |header: &RunHeader| header.versions.get(program).map_or("none".to_owned(), Clone::clone);
        fact(program, &of(before), &of(after));
    }
    text
}

fn scenario(text: &mut String, before: &ScenarioOutcome, after: &ScenarioOutcome) {
    let (old, new) = (before.verdict.word(), after.verdict.word());
    let verdict = if old == new { new.to_owned() } else { format!("{old} → {new}") };
    let _ = writeln!(text, "  verdict: {verdict}");
    checks(text, before, after);
    let names = before.observations.figures.iter().chain(&after.observations.figures).map(|figure| &figure.name);
    let mut told: Vec<&String> = Vec::new();
    for name in names {
        if told.contains(&name) {
            continue;
        }
        told.push(name);
        let of = |outcome: &ScenarioOutcome| {
            let figure = outcome.observations.figures.iter().find(|figure| figure.name == *name);
            figure.map(|figure| (figure.value, figure.unit.clone()))
        };
        let _ = writeln!(text, "  {name}: {}", figure(of(before), of(after)));
    }
    let took = |ms: u64| Span(Duration::from_millis(ms));
    let _ = writeln!(text, "  took: {} → {}", took(before.took_ms), took(after.took_ms));
}

/// Checks that came to something else; the rest is counted.
fn checks(text: &mut String, before: &ScenarioOutcome, after: &ScenarioOutcome) {
    let find = |outcome: &'_ ScenarioOutcome, check: &Check| {
        let same = |other: &&Check| (&other.promise, &other.name) == (&check.promise, &check.name);
        outcome.observations.checks.iter().find(same).cloned()
    };
    let mut same = 0;
    for check in &after.observations.checks {
        match find(before, check) {
            Some(old) if old.word() == check.word() => same += 1,
            old => {
                let old = old.map_or("not looked at", |old| old.word());
                let _ = writeln!(text, "  {}: {old} → {}: {}", check.name, check.word(), check.detail);
            }
        }
    }
    for check in before.observations.checks.iter().filter(|check| find(after, check).is_none()) {
        let _ = writeln!(text, "  {}: {} → not looked at", check.name, check.word());
    }
    if same > 0 {
        let _ = writeln!(text, "  {same} checks came to the same");
    }
}

fn figure(before: Option<(f64, String)>, after: Option<(f64, String)>) -> String {
    let told = |figure: &Option<(f64, String)>| {
        figure.as_ref().map_or("not measured".to_owned(), |(value, unit)| format!("{} {unit}", number(*value)))
    };
    let change = match (&before, &after) {
        (Some((old, _)), Some((new, _))) if *old != 0.0 => format!(" ({:+.0} %)", (new - old) / old * 100.0),
        _ => String::new(),
    };
    format!("{} → {}{change}", told(&before), told(&after))
}

/// What each phase took, where it was in both.
fn times(text: &mut String, scenario: &str, before: &Summary, after: &Summary) {
    let phases = PHASES.into_iter().filter_map(|phase| {
        let (old, new) = (before.times.of(scenario, phase)?, after.times.of(scenario, phase)?);
        let seconds = |ms: u64| number((ms as f64 / 100.0).round() / 10.0);
        Some(format!("{} {} → {} s", phase.title(), seconds(old), seconds(new)))
    });
    let phases: Vec<String> = phases.collect();
    if !phases.is_empty() {
        let _ = writeln!(text, "  phases: {}", phases.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::{finished, header, observations};
    use gauntlet_core::Outcome;
    use gauntlet_core::event::{Event, Record};

    fn run(events: &[Event]) -> Summary {
        Summary::of(&events.iter().cloned().map(|event| Record::new(0, event)).collect::<Vec<Record>>())
    }

    #[test]
    fn what_changed_is_told_and_what_did_not_is_counted() {
        let (held, mut broken) = (observations(Outcome::Held), observations(Outcome::Broken));
        broken.figures[0].value = 18.2;
        let before = run(&[
            header(&["a", "b"]),
            finished("a", held.judge(), held.clone()),
            finished("b", held.judge(), held.clone()),
        ]);
        let after = run(&[header(&["a"]), finished("a", broken.judge(), broken)]);
        let text = render(&before, &after);
        for expected in [
            "  verdict: passed → failed\n",
            "  a replica takes over: held → broken: after 9.1 s",
            "  failover time: 9.1 s → 18.2 s (+100 %)\n",
            "b\n  verdict: passed, not run\n",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
        assert!(is_worse(&before, &after) && !is_worse(&after, &before));
        let same = render(&before, &before);
        assert!(same.contains("1 checks came to the same") && same.contains("verdict: passed\n"), "{same}");
        assert!(!same.contains('\u{1b}'), "what a system says cannot command the terminal");
    }
}
