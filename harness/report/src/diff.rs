//! Two runs side by side: what was deployed and where, verdicts, what was broken in one of them only, figures, where the
//! time went, and what happened when.
//!
//! - [`timeline`]: what happened when, from the first fault on; [`names`]: what is called alike in every run

mod names;
mod timeline;

use crate::story::Run;
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
pub fn render(before: &Run, after: &Run) -> String {
    let (old, new) = (&before.summary, &after.summary);
    let mut text = headers(old, new);
    let mut names: Vec<&str> = old.outcomes.iter().map(|outcome| outcome.scenario.as_str()).collect();
    let added = new.outcomes.iter().map(|outcome| outcome.scenario.as_str()).filter(|name| !names.contains(name));
    names.extend(added.collect::<Vec<_>>());
    for name in names {
        let _ = writeln!(text, "\n{name}");
        let (Some(one), Some(other)) = (outcome(old, name), outcome(new, name)) else {
            let word = |summary| outcome(summary, name).map_or("not run", |outcome| outcome.verdict.word());
            let _ = writeln!(text, "  verdict: {}, {}", word(old), word(new));
            continue;
        };
        scenario(&mut text, one, other);
        times(&mut text, name, old, new);
        if let (Some(before), Some(after)) = (before.story(name), after.story(name)) {
            timeline::render(&mut text, before, after);
        }
    }
    printable(&text)
}

fn outcome<'a>(summary: &'a Summary, scenario: &str) -> Option<&'a ScenarioOutcome> {
    summary.outcomes.iter().find(|outcome| outcome.scenario == scenario)
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
    let mutant = |header: &RunHeader| header.deployed_mutant().unwrap_or("none").to_owned();
    fact("mutant", &mutant(before), &mutant(after));
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
    let (old, new) = (numbered(before), numbered(after));
    let mut same = 0;
    for (key, check) in &new {
        match old.iter().find(|(known, _)| known == key) {
            Some((_, old)) if old.word() == check.word() => same += 1,
            old => {
                let old = old.map_or("not looked at", |(_, old)| old.word());
                let _ = writeln!(text, "  {}: {old} → {}: {}", check.name, check.word(), check.detail);
            }
        }
    }
    for (_, check) in old.iter().filter(|(key, _)| !new.iter().any(|(known, _)| known == key)) {
        let _ = writeln!(text, "  {}: {} → not looked at", check.name, check.word());
    }
    if same > 0 {
        let _ = writeln!(text, "  {same} checks came to the same");
    }
}

/// Checks by promise, name, and which of that name they are: a scenario may look at the same thing after every fault.
fn numbered(outcome: &ScenarioOutcome) -> Vec<((&str, &str, usize), &Check)> {
    let mut numbered: Vec<((&str, &str, usize), &Check)> = Vec::new();
    for check in &outcome.observations.checks {
        let (promise, name) = (check.promise.as_str(), check.name.as_str());
        let before = numbered.iter().filter(|((p, n, _), _)| (*p, *n) == (promise, name)).count();
        numbered.push(((promise, name, before), check));
    }
    numbered
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

    fn run(events: &[Event]) -> Run {
        Run::of(&events.iter().cloned().map(|event| Record::new(0, event)).collect::<Vec<Record>>())
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
        assert!(is_worse(&before.summary, &after.summary) && !is_worse(&after.summary, &before.summary));
        let same = render(&before, &before);
        assert!(same.contains("1 checks came to the same") && same.contains("verdict: passed\n"), "{same}");
        assert!(!same.contains('\u{1b}'), "what a system says cannot command the terminal");
    }
    #[test]
    fn of_checks_with_one_name_each_is_held_against_its_own() {
        let rounds = |outcomes: &[Outcome]| {
            let mut seen = observations(Outcome::Held);
            let check = |(n, outcome): (usize, &Outcome)| Check {
                outcome: *outcome,
                detail: format!("round {n}"),
                ..seen.checks[0].clone()
            };
            seen.checks = outcomes.iter().enumerate().map(check).collect();
            run(&[header(&["a"]), finished("a", seen.judge(), seen)])
        };
        let (held, broken) = (Outcome::Held, Outcome::Broken);
        let text = render(&rounds(&[held, held, held]), &rounds(&[held, broken]));
        assert!(text.contains("  a replica takes over: held → broken: round 1\n"), "{text}");
        assert!(text.contains("  a replica takes over: held → not looked at\n"), "{text}");
        assert!(text.contains("  1 checks came to the same\n"), "{text}");
    }
}
