//! Scenarios that ran several times: how often they passed, how sure that is, and the rounds side by side where they
//! differ.

use crate::summary::{ScenarioOutcome, Summary};
use crate::table::number;
use gauntlet_core::span::Span;
use gauntlet_core::{Outcome, Verdict};
use std::time::Duration;

/// All rounds of one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeated {
    pub scenario: String,
    pub passed: u32,
    /// Rounds that say something: all but those that were skipped.
    pub judged: u32,
    /// Names of the figures, as [`Round::figures`] has their values.
    pub figures: Vec<String>,
    pub rounds: Vec<Round>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// The scenario's name in the run.
    pub name: String,
    pub verdict: &'static str,
    pub took: String,
    /// Empty where it was not measured.
    pub figures: Vec<String>,
    /// What was broken, or why nothing can be said.
    pub found: Vec<String>,
}

impl Repeated {
    /// `8 of 10 passed: 80 %, between 49 and 94 % at 95 % confidence`.
    pub fn rate(&self) -> String {
        if self.judged == 0 {
            return "no round was judged".to_owned();
        }
        let percent = |share: f64| number((share * 100.0).round());
        let (low, high) = wilson(self.passed, self.judged);
        let rate = f64::from(self.passed) / f64::from(self.judged);
        format!(
            "{} of {} passed: {} %, between {} and {} % at 95 % confidence",
            self.passed,
            self.judged,
            percent(rate),
            percent(low),
            percent(high)
        )
    }

    /// Whether not all rounds came to the same.
    pub fn differs(&self) -> bool {
        self.rounds.windows(2).any(|pair| pair[0].verdict != pair[1].verdict || pair[0].found != pair[1].found)
    }
}

/// The interval by Wilson's score in which the true share lies at 95 % confidence. Unlike the plain approximation it says
/// something sensible where everything passed or nothing did, and with few rounds. (Wilson 1927.)
pub fn wilson(passed: u32, of: u32) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (f64::from(of), f64::from(passed) / f64::from(of));
    let whole = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / whole;
    let half = Z / whole * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Scenarios of which there is more than one round, in the order of their first.
pub fn of(summary: &Summary) -> Vec<Repeated> {
    let mut by_name: Vec<(&str, Vec<&ScenarioOutcome>)> = Vec::new();
    for outcome in &summary.outcomes {
        let name = outcome.scenario.split('#').next().unwrap_or_default();
        match by_name.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(outcome),
            None => by_name.push((name, vec![outcome])),
        }
    }
    by_name.into_iter().filter(|(_, rounds)| rounds.len() > 1).map(|(name, rounds)| repeated(name, &rounds)).collect()
}

fn repeated(name: &str, outcomes: &[&ScenarioOutcome]) -> Repeated {
    let mut figures: Vec<String> = Vec::new();
    for figure in outcomes.iter().flat_map(|outcome| &outcome.observations.figures) {
        if !figures.contains(&figure.name) {
            figures.push(figure.name.clone());
        }
    }
    let count = |wanted: fn(&Verdict) -> bool| outcomes.iter().filter(|outcome| wanted(&outcome.verdict)).count();
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Repeated {
        scenario: name.to_owned(),
        passed: small(count(|verdict| matches!(verdict, Verdict::Passed(_)))),
        judged: small(count(|verdict| !matches!(verdict, Verdict::Skipped { .. }))),
        rounds: outcomes.iter().map(|outcome| round(outcome, &figures)).collect(),
        figures,
    }
}

fn round(outcome: &ScenarioOutcome, figures: &[String]) -> Round {
    let measured = |name: &String| {
        let of = |figure: &&gauntlet_core::Figure| figure.name == *name;
        let figure = outcome.observations.figures.iter().find(of);
        figure.map_or(String::new(), |figure| format!("{} {}", number(figure.value), figure.unit).trim_end().to_owned())
    };
    let found = match &outcome.verdict {
        Verdict::Passed(_) => vec![],
        Verdict::Failed { .. } => {
            let broken = outcome.observations.checks.iter().filter(|check| check.outcome == Outcome::Broken);
            broken.map(|check| check.name.clone()).collect()
        }
        other => other.reasons(),
    };
    Round {
        name: outcome.scenario.clone(),
        verdict: outcome.verdict.word(),
        took: Span(Duration::from_millis(outcome.took_ms)).to_string(),
        figures: figures.iter().map(measured).collect(),
        found,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::summary::tests::{finished, header, observations};
    use gauntlet_core::event::Record;

    /// Three rounds of which the second failed, and a scenario that ran once.
    pub(crate) fn rounds() -> Summary {
        let (held, broken) = (observations(Outcome::Held), observations(Outcome::Broken));
        let events = [
            header(&["a", "b", "a#2", "a#3"]),
            finished("a", held.judge(), held.clone()),
            finished("b", held.judge(), held.clone()),
            finished("a#2", broken.judge(), broken),
            finished("a#3", held.judge(), held),
        ];
        Summary::of(&events.map(|event| Record::new(0, event)))
    }

    #[test]
    fn the_interval_is_wilsons() {
        // As published tables have them, to three decimals.
        for (passed, of, low, high) in [
            (0, 10, 0.0, 0.278),
            (1, 10, 0.018, 0.404),
            (8, 10, 0.490, 0.943),
            (10, 10, 0.722, 1.0),
            (95, 100, 0.888, 0.978),
            (0, 0, 0.0, 1.0),
        ] {
            let interval = wilson(passed, of);
            let near = |a: f64, b: f64| (a - b).abs() < 0.001;
            assert!(near(interval.0, low) && near(interval.1, high), "{passed} of {of}: {interval:?}");
        }
    }

    #[test]
    fn rounds_of_one_scenario_are_counted_together() {
        let all = of(&rounds());
        assert_eq!(all.len(), 1, "what ran once has no rate");
        assert_eq!(all[0].rate(), "2 of 3 passed: 67 %, between 21 and 94 % at 95 % confidence");
        assert!(all[0].differs());
        let verdicts: Vec<&str> = all[0].rounds.iter().map(|round| round.verdict).collect();
        assert_eq!(verdicts, ["passed", "failed", "passed"]);
        assert_eq!(all[0].rounds[1].found, ["a replica takes over"]);
        assert_eq!(
            (all[0].figures.as_slice(), all[0].rounds[0].figures.as_slice()),
            (&["failover time".to_owned()][..], &["9.1 s".to_owned()][..])
        );
    }

    #[test]
    fn skipped_rounds_say_nothing() {
        let skipped = || Verdict::Skipped { reason: "no power to".into() };
        let none = gauntlet_core::Observations::default;
        let events = [header(&["a", "a#2"]), finished("a", skipped(), none()), finished("a#2", skipped(), none())];
        let all = of(&Summary::of(&events.map(|event| Record::new(0, event))));
        assert_eq!(all[0].rate(), "no round was judged");
        assert!(!all[0].differs());
    }
}
