//! The promises that were looked at, each with what its checks came to.

use super::document::Citation;
use super::view::anchor;
use super::words::plural;
use crate::summary::Summary;
use gauntlet_core::{Check, Outcome};

pub struct PromiseRow {
    pub id: String,
    pub says: String,
    pub cited: Citation,
    pub word: &'static str,
    pub mark: &'static str,
    pub count: String,
    pub scenarios: Vec<Link>,
}

/// All rounds of a scenario that looked at a promise, by the first of them, or by the first in which it did not hold.
pub struct Link {
    name: String,
    pub anchor: String,
    rounds: Vec<String>,
    held: bool,
}

impl Link {
    fn new(check: &Check, scenario: &str) -> Self {
        let name = scenario.split('#').next().unwrap_or(scenario).to_owned();
        let held = check.outcome == Outcome::Held;
        Self { name, anchor: anchor(scenario), rounds: vec![scenario.to_owned()], held }
    }

    /// The same with one more check.
    fn add(&mut self, other: Self) {
        if self.held && !other.held {
            self.anchor = other.anchor;
            self.held = false;
        }
        self.rounds.extend(other.rounds);
        self.rounds.dedup();
    }

    pub fn text(&self) -> String {
        match &self.rounds[..] {
            [only] => only.clone(),
            rounds => format!("{}, {} rounds", self.name, rounds.len()),
        }
    }
}

pub fn promises(summary: &Summary) -> Vec<PromiseRow> {
    let mut rows: Vec<(PromiseRow, Counts)> = Vec::new();
    for outcome in &summary.outcomes {
        for check in &outcome.observations.checks {
            let at = rows.iter().position(|(row, _)| row.id == check.promise).unwrap_or_else(|| {
                rows.push((promise_row(summary, check), Counts::default()));
                rows.len() - 1
            });
            let (row, counts) = &mut rows[at];
            counts.add(check);
            let link = Link::new(check, &outcome.scenario);
            match row.scenarios.iter_mut().find(|known| known.name == link.name) {
                Some(known) => known.add(link),
                None => row.scenarios.push(link),
            }
        }
    }
    let mut rows: Vec<PromiseRow> = rows.into_iter().map(|(row, counts)| judged(row, counts)).collect();
    let rank = |row: &PromiseRow| ["broken", "unknown", "held"].iter().position(|word| *word == row.word);
    rows.sort_by_key(rank);
    rows
}

fn promise_row(summary: &Summary, check: &Check) -> PromiseRow {
    let promised = summary.header.iter().flat_map(|header| &header.promises).find(|p| p.id == check.promise);
    PromiseRow {
        id: check.promise.clone(),
        says: promised.map_or(String::new(), |promised| promised.says.clone()),
        cited: Citation::of(&check.promise, &check.reference),
        word: "",
        mark: "",
        count: String::new(),
        scenarios: vec![],
    }
}

/// How many checks of a promise came to what.
#[derive(Default)]
struct Counts {
    held: usize,
    broken: usize,
    unknown: usize,
    unconfirmed: usize,
    /// Unconfirmed ones that would have held.
    looks_held: usize,
}

impl Counts {
    fn add(&mut self, check: &Check) {
        match check.outcome {
            Outcome::Held => self.held += 1,
            Outcome::Broken => self.broken += 1,
            Outcome::Unknown => self.unknown += 1,
            Outcome::Unconfirmed => {
                self.unconfirmed += 1;
                self.looks_held += usize::from(check.looks == Some(Outcome::Held));
            }
        }
    }
}

fn judged(row: PromiseRow, counts: Counts) -> PromiseRow {
    let Counts { held, broken, unknown, unconfirmed, looks_held } = counts;
    let all = held + broken + unknown;
    if all == 0 {
        let count = format!("{looks_held} of {} would have held, and none counts", plural(unconfirmed, "check"));
        return PromiseRow { word: "unknown", mark: "unconfirmed", count, ..row };
    }
    let (word, mark) = match (broken, unknown) {
        (1.., _) => ("broken", "broken"),
        (0, 1..) => ("unknown", "cannot tell"),
        (0, 0) => ("held", "held"),
    };
    PromiseRow { word, mark, count: format!("{held} of {} held", plural(all, "check")), ..row }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_of_a_scenario_are_one_link_to_the_first_that_did_not_hold() {
        let check = |outcome| Check {
            promise: "p".into(),
            reference: "r".into(),
            name: "n".into(),
            outcome,
            looks: None,
            detail: "d".into(),
            told: None,
        };
        let mut link = Link::new(&check(Outcome::Held), "a.b");
        link.add(Link::new(&check(Outcome::Held), "a.b"));
        assert_eq!((link.text(), &link.anchor), ("a.b".to_owned(), &anchor("a.b")));
        for (scenario, outcome) in [("a.b#2", Outcome::Held), ("a.b#3", Outcome::Unknown), ("a.b#4", Outcome::Broken)] {
            link.add(Link::new(&check(outcome), scenario));
        }
        assert_eq!((link.text(), link.anchor), ("a.b, 4 rounds".to_owned(), anchor("a.b#3")));
    }
}
