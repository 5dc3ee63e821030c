//! Everything that was asked of a network. The matrix and what it says of the promise follow from it alone.

use super::judge::{self, Enforcement, Probed};
use super::{Cell, Matrix, row};
use crate::contract::network::{Expected, Protocol};
use crate::verdict::Outcome;
use serde::{Deserialize, Serialize};

/// The probes of every cell, rows of one source together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub promise: String,
    pub enforcement: Enforcement,
    pub cells: Vec<AskedCell>,
}

/// The probes of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedCell {
    pub from: String,
    pub to: String,
    pub port: u16,
    pub protocol: Protocol,
    #[serde(flatten)]
    pub expected: Expected,
    /// Why there is nothing to ask, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing_there: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probed>,
    /// Policies that select its ends, where the cell was found to differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// What one source came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub check: String,
    pub outcome: Outcome,
    pub detail: String,
    /// What is broken, in one plain sentence.
    pub told: Option<String>,
}

impl AskedCell {
    pub fn judged(&self, enforcement: Enforcement) -> Cell {
        let (outcome, detail) = match &self.nothing_there {
            Some(why) => (None, why.clone()),
            None => judge::judge(&self.expected, &self.probes, enforcement),
        };
        let differs = matches!(outcome, Some(Outcome::Broken | Outcome::Unknown));
        Cell {
            from: self.from.clone(),
            to: self.to.clone(),
            port: self.port,
            protocol: self.protocol,
            expected: self.expected.clone(),
            seen: judge::tally(&self.probes),
            outcome,
            detail: if differs || outcome.is_none() { detail } else { String::new() },
            policies: if differs { self.policies.clone() } else { vec![] },
        }
    }
}

impl Asked {
    pub fn matrix(&self) -> Matrix {
        Matrix { cells: self.cells.iter().map(|cell| cell.judged(self.enforcement)).collect() }
    }

    /// One check a source, but for those of which everything is left open.
    pub fn rows(&self) -> Vec<Row> {
        let matrix = self.matrix();
        let rows = matrix.cells.chunk_by(|one, next| one.from == next.from);
        let judged = rows.filter_map(|cells| {
            let cells: Vec<&Cell> = cells.iter().collect();
            let (outcome, detail) = row::outcome(&cells);
            let check = format!("{} reaches what it may and no more", cells[0].from);
            Some(Row { check, outcome: outcome?, detail, told: row::told(&cells) })
        });
        judged.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Seen;
    use crate::matrix::judge::Flanks;

    fn cell(from: &str, expected: Expected, seen: Seen) -> AskedCell {
        let flanks = Flanks { before: Some(Seen::Open), after: Some(Seen::Open) };
        let (to, way) = ("db".to_owned(), format!("{from}-0 → 10.0.0.1:5432"));
        AskedCell {
            from: from.to_owned(),
            to,
            port: 5432,
            protocol: Protocol::Tcp,
            expected,
            nothing_there: None,
            probes: vec![Probed { way, seen, flanks }],
            policies: vec!["db-in".to_owned()],
        }
    }

    fn asked(stranger: Seen) -> Asked {
        let cells = vec![
            cell("api", Expected::Allowed("row".into()), Seen::Open),
            cell("stranger", Expected::Denied("none".into()), stranger),
            cell("open", Expected::Open("silent".into()), Seen::Open),
        ];
        Asked { promise: "p".into(), enforcement: Enforcement::Drops, cells }
    }

    #[test]
    fn every_source_that_something_is_promised_of_is_a_check() {
        let outcomes = |seen| -> Vec<(String, Outcome)> {
            asked(seen).rows().into_iter().map(|row| (row.check, row.outcome)).collect()
        };
        let check = |from: &str| format!("{from} reaches what it may and no more");
        let held = (check("api"), Outcome::Held);
        assert_eq!(outcomes(Seen::Timeout), [held.clone(), (check("stranger"), Outcome::Held)]);
        assert_eq!(outcomes(Seen::Open), [held, (check("stranger"), Outcome::Broken)]);
    }

    #[test]
    fn who_reached_what_is_told_plainly() {
        let told: Vec<Option<String>> = asked(Seen::Open).rows().into_iter().map(|row| row.told).collect();
        assert_eq!(told, [None, Some("stranger reached db on 5432/tcp, which no rule allows".to_owned())]);
    }

    #[test]
    fn policies_are_told_only_of_what_differs() {
        let policies = |seen| asked(seen).matrix().cells[1].policies.clone();
        assert!(policies(Seen::Timeout).is_empty());
        assert_eq!(policies(Seen::Open), ["db-in"]);
    }

    #[test]
    fn what_was_asked_survives_its_file() {
        let asked = asked(Seen::Timeout);
        let text = serde_json::to_string(&asked).unwrap();
        assert_eq!(serde_json::from_str::<Asked>(&text).unwrap(), asked);
    }
}
