//! What the template shows of a network matrix: what differs with its explanation first, then all of it as a grid of
//! sources by destinations and ports.

use gauntlet_core::Outcome;
use gauntlet_core::matrix::{Cell, Matrix};
use serde::Serialize;
use std::collections::BTreeMap;

/// Differences that stand above the grid, and how many more can be unfolded; the grid has all of them.
const LISTED: usize = 12;
const UNFOLDED: usize = 200;

pub struct MatrixView {
    pub counts: String,
    pub differing: Vec<Difference>,
    pub unfolded: Vec<Difference>,
    /// How many differ beyond those listed.
    pub unlisted: usize,
    /// Destinations with the number of columns that each has.
    pub destinations: Vec<(String, usize)>,
    /// `6379/tcp`, destination by destination.
    pub ports: Vec<String>,
    pub rows: Vec<Row>,
    /// What each cell of the grid is about, as JSON for the script.
    pub data: String,
}

/// Cells of one source and destination that are not what was expected, and are so for the same reason.
#[derive(Debug, PartialEq)]
pub struct Difference {
    pub word: &'static str,
    pub mark: &'static str,
    pub from: String,
    pub to: String,
    pub ports: Vec<String>,
    pub expected: String,
    pub seen: String,
    pub detail: String,
    pub policies: Vec<String>,
}

/// One source; a place is empty where nothing was asked.
pub struct Row {
    pub from: String,
    pub cells: Vec<Option<Sign>>,
}

/// How a cell looks: a shape for those who see no colours, and a class for those who do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    pub class: &'static str,
    pub shape: &'static str,
}

/// The data of the grid. Sentences that many cells share stand once.
#[derive(Serialize)]
struct Grid<'a> {
    /// `destination port/protocol` by column.
    columns: Vec<String>,
    sources: Vec<&'a str>,
    texts: Vec<String>,
    /// By row and column: verdict, expected and seen as places among `texts`, and what explains a difference.
    cells: Vec<Vec<Option<CellData<'a>>>>,
}

#[derive(Serialize)]
struct CellData<'a>(&'static str, usize, usize, &'a str, &'a [String]);

/// A destination and one of its ports, as the grid's columns are told apart.
type Column<'a> = (&'a str, String);

impl MatrixView {
    pub fn of(matrix: &Matrix) -> Self {
        let mut differing = differences(matrix);
        let mut unfolded = differing.split_off(differing.len().min(LISTED));
        let unlisted = unfolded.split_off(unfolded.len().min(UNFOLDED)).iter().map(|more| more.ports.len()).sum();
        let (sources, columns) = axes(matrix);
        let grid = placed(matrix, &sources, &columns);
        let sign_of = |row: &Vec<Option<&Cell>>| row.iter().map(|cell| cell.map(sign)).collect();
        let rows = sources.iter().zip(&grid);
        Self {
            counts: counts(matrix),
            differing,
            unfolded,
            unlisted,
            destinations: destinations(&columns),
            ports: columns.iter().map(|(_, port)| port.clone()).collect(),
            rows: rows.map(|(from, row)| Row { from: (*from).to_owned(), cells: sign_of(row) }).collect(),
            data: data(&sources, &columns, &grid),
        }
    }
}

fn counts(matrix: &Matrix) -> String {
    matrix.tally().to_string()
}

/// Sources and columns in the order in which the cells name them, ports of one destination together.
fn axes(matrix: &Matrix) -> (Vec<&str>, Vec<Column<'_>>) {
    let mut sources: Vec<&str> = Vec::new();
    let mut destinations: Vec<(&str, Vec<String>)> = Vec::new();
    for cell in &matrix.cells {
        if !sources.contains(&cell.from.as_str()) {
            sources.push(&cell.from);
        }
        let at = destinations.iter().position(|(to, _)| *to == cell.to).unwrap_or_else(|| {
            destinations.push((&cell.to, vec![]));
            destinations.len() - 1
        });
        let port = port_of(cell);
        if !destinations[at].1.contains(&port) {
            destinations[at].1.push(port);
        }
    }
    let columns = destinations.into_iter().flat_map(|(to, ports)| ports.into_iter().map(move |port| (to, port)));
    (sources, columns.collect())
}

fn port_of(cell: &Cell) -> String {
    format!("{}/{}", cell.port, cell.protocol)
}

fn destinations(columns: &[Column<'_>]) -> Vec<(String, usize)> {
    let together = columns.chunk_by(|(a, _), (b, _)| a == b);
    together.map(|columns| (columns[0].0.to_owned(), columns.len())).collect()
}

fn placed<'a>(matrix: &'a Matrix, sources: &[&str], columns: &[Column<'_>]) -> Vec<Vec<Option<&'a Cell>>> {
    let rows: BTreeMap<&str, usize> = sources.iter().enumerate().map(|(row, from)| (*from, row)).collect();
    let places: BTreeMap<(&str, &str), usize> =
        columns.iter().enumerate().map(|(column, (to, port))| ((*to, port.as_str()), column)).collect();
    let mut grid = vec![vec![None; columns.len()]; sources.len()];
    for cell in &matrix.cells {
        if let (Some(row), Some(column)) =
            (rows.get(cell.from.as_str()), places.get(&(cell.to.as_str(), port_of(cell).as_str())))
        {
            grid[*row][*column] = Some(cell);
        }
    }
    grid
}

fn verdict(cell: &Cell) -> (&'static str, &'static str) {
    match cell.outcome {
        Some(Outcome::Held) => ("held", "as expected"),
        Some(Outcome::Broken) => ("broken", "broken"),
        Some(Outcome::Unknown) => ("unknown", "cannot tell"),
        Some(Outcome::Unconfirmed) => ("unconfirmed", "unlike the guess"),
        None => ("open", "left open"),
    }
}

fn sign(cell: &Cell) -> Sign {
    let (class, shape) = match (cell.outcome, cell.expected.word()) {
        (Some(Outcome::Broken), _) => ("broken", "✕"),
        (Some(Outcome::Unknown | Outcome::Unconfirmed), _) => ("unknown", "?"),
        (Some(Outcome::Held), "allowed") => ("allowed", "●"),
        (Some(Outcome::Held), _) => ("denied", "·"),
        (None, _) => ("open", "○"),
    };
    Sign { class, shape }
}

fn expected(cell: &Cell) -> String {
    match cell.expected.row() {
        "" => cell.expected.word().to_owned(),
        row => format!("{} ({row})", cell.expected.word()),
    }
}

/// Broken ones first. Ports of one connection that differ alike are told together.
fn differences(matrix: &Matrix) -> Vec<Difference> {
    let mut differing: Vec<&Cell> = matrix.cells.iter().filter(|cell| cell.differs()).collect();
    differing.sort_by_key(|cell| cell.outcome != Some(Outcome::Broken));
    let mut told: Vec<Difference> = Vec::new();
    for cell in differing {
        let this = difference(cell);
        let alike = |other: &&mut Difference| {
            (&other.from, &other.to, other.word) == (&this.from, &this.to, this.word)
                && (&other.expected, &other.seen, &other.policies) == (&this.expected, &this.seen, &this.policies)
        };
        match told.iter_mut().find(alike) {
            Some(other) => other.ports.extend(this.ports),
            None => told.push(this),
        }
    }
    told
}

fn difference(cell: &Cell) -> Difference {
    let (word, mark) = verdict(cell);
    Difference {
        word,
        mark,
        from: cell.from.clone(),
        to: cell.to.clone(),
        ports: vec![port_of(cell)],
        expected: expected(cell),
        seen: cell.seen_words(),
        detail: cell.detail.clone(),
        policies: cell.policies.clone(),
    }
}

fn data(sources: &[&str], columns: &[Column<'_>], grid: &[Vec<Option<&Cell>>]) -> String {
    let mut texts: BTreeMap<String, usize> = BTreeMap::new();
    let mut place = |text: String| {
        let next = texts.len();
        *texts.entry(text).or_insert(next)
    };
    let mut told = |cell: &'_ Cell| (place(expected(cell)), place(cell.seen_words()));
    let cells = grid.iter().map(|row| {
        let cells = row.iter().map(|cell| {
            let cell = (*cell)?;
            let (expected, seen) = told(cell);
            Some(CellData(verdict(cell).0, expected, seen, &cell.detail, &cell.policies))
        });
        cells.collect()
    });
    let cells = cells.collect();
    let mut by_place: Vec<(usize, String)> = texts.into_iter().map(|(text, place)| (place, text)).collect();
    by_place.sort_unstable();
    let grid = Grid {
        columns: columns.iter().map(|(to, port)| format!("{to} {port}")).collect(),
        sources: sources.to_vec(),
        texts: by_place.into_iter().map(|(_, text)| text).collect(),
        cells,
    };
    super::embedded(&grid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::contract::network::{Expected, Protocol};
    use gauntlet_core::matrix::Seen;

    fn cell(from: &str, to: &str, port: u16, outcome: Option<Outcome>) -> Cell {
        Cell {
            from: from.into(),
            to: to.into(),
            port,
            protocol: Protocol::Tcp,
            expected: if port == 80 { Expected::Allowed("row".into()) } else { Expected::Denied("row".into()) },
            seen: [(Seen::Open, 2)].into(),
            outcome,
            detail: String::new(),
            policies: vec![],
        }
    }

    #[test]
    fn cells_find_their_place_whatever_their_order() {
        let held = Some(Outcome::Held);
        let cells = vec![
            cell("api", "db", 5432, held),
            cell("api", "web", 80, held),
            cell("web", "db", 9100, Some(Outcome::Broken)),
            cell("web", "db", 5432, None),
            cell("web", "web", 80, Some(Outcome::Unknown)),
        ];
        let view = MatrixView::of(&Matrix { cells });
        assert_eq!(view.destinations, [("db".to_owned(), 2), ("web".to_owned(), 1)]);
        assert_eq!(view.ports, ["5432/tcp", "9100/tcp", "80/tcp"]);
        let shapes: Vec<(&str, Vec<&str>)> = view
            .rows
            .iter()
            .map(|row| (row.from.as_str(), row.cells.iter().map(|cell| cell.map_or("", |sign| sign.shape)).collect()))
            .collect();
        assert_eq!(shapes, [("api", vec!["·", "", "●"]), ("web", vec!["○", "✕", "?"])]);
        let listed: Vec<(&str, &str)> = view.differing.iter().map(|one| (one.to.as_str(), one.word)).collect();
        assert_eq!(listed, [("db", "broken"), ("web", "unknown")], "broken ones first");
    }

    #[test]
    fn sentences_that_cells_share_stand_once() {
        let cells = (1..=500).map(|port| cell("api", "db", port + 1000, Some(Outcome::Held))).collect();
        let view = MatrixView::of(&Matrix { cells });
        assert_eq!(view.data.matches("denied (row)").count(), 1);
    }

    #[test]
    fn ports_that_differ_alike_are_told_together() {
        let mut cells: Vec<Cell> = (1..=3).map(|port| cell("api", "db", port, Some(Outcome::Broken))).collect();
        cells[1].policies = vec!["another".into()];
        let listed: Vec<Vec<String>> = differences(&Matrix { cells }).into_iter().map(|one| one.ports).collect();
        assert_eq!(listed, [vec!["1/tcp".to_owned(), "3/tcp".to_owned()], vec!["2/tcp".to_owned()]]);
    }

    #[test]
    fn a_list_of_differences_ends_somewhere() {
        let cells = (0..250).map(|n| cell("api", &format!("db-{n}"), 5432, Some(Outcome::Broken))).collect();
        let view = MatrixView::of(&Matrix { cells });
        assert_eq!((view.differing.len(), view.unfolded.len(), view.unlisted), (12, 200, 38));
    }
}
