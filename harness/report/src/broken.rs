//! Broken promises in words: what a person reads of them first, the same in every report.

use crate::summary::{ScenarioOutcome, Summary};
use gauntlet_core::{Check, Outcome};

/// A promise that was broken in a scenario.
pub struct Broken<'a> {
    /// What the contract says, where the run told it.
    pub says: Option<&'a str>,
    pub lead: &'a Check,
    /// What else was broken of the same promise.
    pub others: Vec<&'a Check>,
}

/// One for each broken promise of a scenario. A check that tells a sentence of its own leads; among equals one that is
/// `known` better.
pub fn of<'a>(summary: &'a Summary, outcome: &'a ScenarioOutcome, known: impl Fn(&Check) -> bool) -> Vec<Broken<'a>> {
    let mut checks: Vec<&Check> =
        outcome.observations.checks.iter().filter(|check| check.outcome == Outcome::Broken).collect();
    let mut promises: Vec<&str> = Vec::new();
    for check in &checks {
        if !promises.contains(&check.promise.as_str()) {
            promises.push(&check.promise);
        }
    }
    checks.sort_by_key(|check| (check.told.is_none(), !known(check)));
    let promised = |id: &str| summary.header.iter().flat_map(|header| &header.promises).find(|p| p.id == id);
    let of = |id: &str| {
        let mut of = checks.iter().copied().filter(|check| check.promise == id);
        let says = promised(id).map(|promised| promised.says.as_str()).filter(|says| !says.is_empty());
        Some(Broken { says, lead: of.next()?, others: of.collect() })
    };
    promises.into_iter().filter_map(of).collect()
}

impl Broken<'_> {
    /// What stands first: as the scenario tells it, or the promise that does not hold.
    pub fn sentence(&self) -> String {
        let what = self.says.unwrap_or(&self.lead.name);
        self.lead.told.clone().unwrap_or_else(|| format!("Broken: {what}"))
    }

    /// The same for a text without links: the sentence with the place of the promise, then every check on a line.
    pub fn lines(&self) -> Vec<String> {
        let place = [&self.lead.promise, &self.lead.reference].map(String::as_str);
        let place = place.into_iter().filter(|part| !part.is_empty()).collect::<Vec<&str>>().join(", ");
        let checks = std::iter::once(self.lead).chain(self.others.iter().copied());
        std::iter::once(format!("{} ({place})", self.sentence()))
            .chain(checks.map(|c| format!("  {}", seen(c))))
            .collect()
    }
}

/// What was looked for, and what was seen.
pub fn seen(check: &Check) -> String {
    format!("expected: {}; seen: {}", check.name, check.detail)
}

/// As much as the first screen has room for, cut between words; the whole stands with the checks of the scenario.
pub fn shortened(text: &str) -> String {
    const LETTERS: usize = 180;
    let Some((end, _)) = text.char_indices().nth(LETTERS) else { return text.to_owned() };
    let start = &text[..end];
    let whole = if text[end..].starts_with(char::is_whitespace) {
        start
    } else {
        // A word as long as all of it has no boundary to be cut at.
        start.rfind(char::is_whitespace).map_or(start, |at| &start[..at])
    };
    format!("{}…", whole.trim_end().trim_end_matches([',', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::{finished, header, observations};
    use gauntlet_core::event::Record;

    fn check(promise: &str, name: &str, told: Option<&str>) -> Check {
        Check {
            promise: promise.into(),
            name: name.into(),
            told: told.map(str::to_owned),
            ..observations(Outcome::Broken).checks.remove(0)
        }
    }

    fn summary(checks: Vec<Check>) -> Summary {
        let mut seen = observations(Outcome::Broken);
        seen.checks = checks;
        Summary::of(&[header(&["a"]), finished("a", seen.judge(), seen)].map(|event| Record::new(0, event)))
    }

    #[test]
    fn a_sentence_is_the_scenarios_own_or_the_promise_or_what_was_looked_for() {
        for (promise, told, expected) in [
            ("redis.failover", Some("Clients waited for 40 s"), "Clients waited for 40 s"),
            ("redis.failover", None, "Broken: A replica takes over"),
            ("of an older contract", None, "Broken: served in time"),
        ] {
            let summary = summary(vec![check(promise, "served in time", told)]);
            let broken = of(&summary, &summary.outcomes[0], |_| false);
            assert_eq!(broken[0].sentence(), expected);
            let lines = broken[0].lines();
            assert_eq!(lines[0], format!("{expected} ({promise}, guide, chapter 5)"));
            assert!(lines[1].starts_with("  expected: served in time; seen: after 9.1 s"), "{lines:?}");
        }
    }

    #[test]
    fn checks_of_a_promise_stand_together_behind_the_one_that_says_most() {
        let checks = vec![
            check("p", "first", None),
            check("q", "second", None),
            check("p", "third", None),
            check("p", "fourth", Some("In words")),
        ];
        let summary = summary(checks);
        let order = |known: &str| -> Vec<Vec<String>> {
            let broken = of(&summary, &summary.outcomes[0], |check| check.name == known);
            broken
                .iter()
                .map(|one| std::iter::once(&one.lead).chain(&one.others).map(|check| check.name.clone()).collect())
                .collect()
        };
        assert_eq!(order("third"), [vec!["fourth", "third", "first"], vec!["second"]]);
        assert_eq!(order(""), [vec!["fourth", "first", "third"], vec!["second"]]);
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        let words = "seven77 ".repeat(40);
        for (text, expected) in [
            ("short".to_owned(), "short".to_owned()),
            ("x".repeat(180), "x".repeat(180)),
            ("x".repeat(181), format!("{}…", "x".repeat(180))),
            (format!("{}, and more", "x".repeat(178)), format!("{}…", "x".repeat(178))),
            (format!("{} more", "ü".repeat(180)), format!("{}…", "ü".repeat(180))),
            (words.clone(), format!("{}…", words[..22 * 8].trim_end())),
        ] {
            assert_eq!(shortened(&text), expected);
        }
    }
}
