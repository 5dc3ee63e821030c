//! A network matrix as it was seen: every source against every destination and port, what was expected of the cell, what
//! its probes came to, and what that says of the promise.
//!
//! - [`judge`]: what the probes of one cell say
//! - [`row`]: what the cells of one source come to
//! - [`asked`]: everything that was asked, from which the matrix follows

pub mod asked;
pub mod judge;
mod row;

use crate::contract::network::{Expected, Protocol};
use crate::verdict::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What one probe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Somebody answered.
    Open,
    /// The host answered that nobody listens.
    Refused,
    /// Nothing came back.
    Timeout,
    /// The name has no address.
    Unresolved,
    /// The trouble is ours; nothing is known of the target.
    ProbeFailed,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unresolved => "unresolved",
            Self::ProbeFailed => "probe failed",
        })
    }
}

/// One source against one port of one destination. Both may be several pods.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Cell {
    pub from: String,
    pub to: String,
    pub port: u16,
    pub protocol: Protocol,
    #[serde(flatten)]
    pub expected: Expected,
    /// How many probes came to what.
    pub seen: BTreeMap<Seen, u32>,
    /// `None` where the document leaves the cell open: it is told, not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why the outcome is what it is; empty where what was expected was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// For a cell that differs: the NetworkPolicy objects that select its ends, or that none does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

impl Cell {
    /// `open` or `2 open, 1 timeout`.
    pub fn seen_words(&self) -> String {
        match self.seen.iter().next() {
            None => "not probed".to_owned(),
            Some((seen, _)) if self.seen.len() == 1 => seen.to_string(),
            Some(_) => self.seen.iter().map(|(seen, n)| format!("{n} {seen}")).collect::<Vec<String>>().join(", "),
        }
    }

    /// `from → to 6379/tcp`.
    pub fn place(&self) -> String {
        format!("{} → {} {}/{}", self.from, self.to, self.port, self.protocol)
    }

    /// Whether it was looked at and is not what was expected, or guessed.
    pub fn differs(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Broken | Outcome::Unknown | Outcome::Unconfirmed))
    }
}

/// All cells, rows of one source together.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Matrix {
    pub cells: Vec<Cell>,
}

/// How many cells there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub held: usize,
    pub broken: usize,
    pub unknown: usize,
    /// Not what was guessed, which nobody has confirmed.
    pub unconfirmed: usize,
    pub open: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, broken, unknown, open, unconfirmed } = self;
        let cells = held + broken + unknown + open + unconfirmed;
        write!(
            f,
            "{cells} cells: {held} as expected, {broken} broken, {unknown} could not be told, {open} not judged"
        )?;
        match unconfirmed {
            0 => Ok(()),
            n => write!(f, ", {n} unlike what is only guessed"),
        }
    }
}

impl Matrix {
    /// The same of a table that nobody has confirmed: nothing is held or broken, and what differs is told.
    pub fn unconfirmed(mut self) -> Self {
        for cell in &mut self.cells {
            let (outcome, detail) = match cell.outcome {
                None => continue,
                Some(Outcome::Held) => (None, "as guessed, which nobody has confirmed".to_owned()),
                Some(_) => (Some(Outcome::Unconfirmed), std::mem::take(&mut cell.detail)),
            };
            (cell.outcome, cell.detail) = (outcome, detail);
        }
        self
    }

    pub fn tally(&self) -> Tally {
        let count = |outcome| self.cells.iter().filter(|cell| cell.outcome == outcome).count();
        Tally {
            held: count(Some(Outcome::Held)),
            broken: count(Some(Outcome::Broken)),
            unknown: count(Some(Outcome::Unknown)),
            unconfirmed: count(Some(Outcome::Unconfirmed)),
            open: count(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(seen: &[(Seen, u32)], outcome: Option<Outcome>) -> Cell {
        Cell {
            from: "a".into(),
            to: "b".into(),
            port: 80,
            protocol: Protocol::Tcp,
            expected: Expected::Denied("row".into()),
            seen: seen.iter().copied().collect(),
            outcome,
            detail: String::new(),
            policies: vec![],
        }
    }

    #[test]
    fn a_cell_survives_its_event() {
        let cell = cell(&[(Seen::Open, 1), (Seen::ProbeFailed, 2)], Some(Outcome::Broken));
        let text = serde_json::to_string(&cell).unwrap();
        assert!(text.contains(r#""expected":"denied","row":"row""#), "{text}");
        assert_eq!(serde_json::from_str::<Cell>(&text).unwrap(), cell);
    }

    #[test]
    fn a_table_that_nobody_has_confirmed_has_nothing_held_or_broken() {
        let outcomes = [Some(Outcome::Held), Some(Outcome::Broken), Some(Outcome::Unknown), None];
        let matrix = Matrix { cells: outcomes.map(|outcome| cell(&[(Seen::Open, 1)], outcome)).to_vec() };
        let tally = matrix.unconfirmed().tally();
        assert_eq!(tally, Tally { unconfirmed: 2, open: 2, ..Tally::default() });
        assert!(tally.to_string().ends_with("2 not judged, 2 unlike what is only guessed"), "{tally}");
    }

    #[test]
    fn what_was_seen_is_told_with_numbers_only_where_it_differs() {
        assert_eq!(cell(&[(Seen::Open, 4)], None).seen_words(), "open");
        assert_eq!(cell(&[(Seen::Open, 4), (Seen::Timeout, 1)], None).seen_words(), "4 open, 1 timeout");
        assert_eq!(cell(&[], None).seen_words(), "not probed");
    }
}
