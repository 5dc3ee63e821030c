//! A network matrix as a person reads it: how many cells are what, and every cell that is not what was expected, with
//! the policies that have a say on it.

use gauntlet_core::Outcome;
use gauntlet_core::matrix::{Cell, Matrix};
use std::fmt::Write as _;

/// Cells beyond this many are in the events only.
const SHOWN: usize = 40;

/// The counts, then a table of what differs.
pub fn told(matrix: &Matrix) -> String {
    let mut text = format!("matrix of {}", matrix.tally());
    let mut differing: Vec<&Cell> = matrix.cells.iter().filter(|cell| cell.differs()).collect();
    differing.sort_by_key(|cell| cell.outcome != Some(Outcome::Broken));
    for cell in differing.iter().take(SHOWN) {
        let _ = write!(text, "\n  {}", line(cell));
    }
    if differing.len() > SHOWN {
        let _ = write!(text, "\n  and {} more", differing.len() - SHOWN);
    }
    text
}

fn line(cell: &Cell) -> String {
    let mark = match cell.outcome {
        Some(Outcome::Broken) => "BROKEN",
        Some(Outcome::Unconfirmed) => "unlike the guess",
        _ => "cannot tell",
    };
    let row = cell.expected.row();
    let mut text =
        format!("{mark}: {}: expected {} ({row}), seen {}", cell.place(), cell.expected.word(), cell.seen_words());
    if !cell.detail.is_empty() {
        let _ = write!(text, ": {}", cell.detail);
    }
    for policy in &cell.policies {
        let _ = write!(text, "\n      {policy}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::contract::network::{Expected, Protocol};
    use gauntlet_core::matrix::Seen;

    fn cell(from: &str, outcome: Option<Outcome>) -> Cell {
        Cell {
            from: from.into(),
            to: "db".into(),
            port: 5432,
            protocol: Protocol::Tcp,
            expected: Expected::Denied("Ingress Rules".into()),
            seen: [(Seen::Open, 2)].into(),
            outcome,
            detail: "2 of 2 got through".into(),
            policies: vec!["no policy selects the destination for ingress: it is open there".into()],
        }
    }

    #[test]
    fn what_differs_is_told_with_the_policies_that_explain_it() {
        let cells = vec![cell("api", Some(Outcome::Held)), cell("web", Some(Outcome::Broken)), cell("job", None)];
        let text = told(&Matrix { cells });
        assert_eq!(
            text,
            "matrix of 3 cells: 1 as expected, 1 broken, 0 could not be told, 1 not judged\n  \
             BROKEN: web → db 5432/tcp: expected denied (Ingress Rules), seen open: 2 of 2 got through\n      \
             no policy selects the destination for ingress: it is open there"
        );
    }
}
