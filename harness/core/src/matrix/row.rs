//! What the cells of one source come to.

use super::Cell;
use crate::contract::network::Expected;
use crate::verdict::Outcome;

/// Broken cells that a check tells; all of them stand in the matrix.
const TOLD: usize = 5;

/// The outcome; nothing where all of them are left open.
pub fn outcome(row: &[&Cell]) -> (Option<Outcome>, String) {
    let of = |outcome: Outcome| row.iter().filter(move |cell| cell.outcome == Some(outcome));
    let count = |outcome: Outcome| of(outcome).count();
    let tell = |outcome: Outcome| {
        let told = of(outcome).take(TOLD).map(|cell| {
            let policies =
                if cell.policies.is_empty() { String::new() } else { format!(" ({})", cell.policies.join("; ")) };
            let (expected, seen) = (cell.expected.word(), cell.seen_words());
            format!(
                "{} {}/{}: expected {expected}, seen {seen}: {}{policies}",
                cell.to, cell.port, cell.protocol, cell.detail
            )
        });
        let more = count(outcome).saturating_sub(TOLD);
        let rest = if more > 0 { format!("\nand {more} more") } else { String::new() };
        format!("{}{rest}", told.collect::<Vec<String>>().join("\n"))
    };
    for outcome in [Outcome::Broken, Outcome::Unknown] {
        if count(outcome) > 0 {
            return (Some(outcome), tell(outcome));
        }
    }
    let held = of(Outcome::Held);
    let allowed = held.clone().filter(|cell| matches!(cell.expected, Expected::Allowed(_))).count();
    let denied = held.count() - allowed;
    let open = row.iter().filter(|cell| cell.outcome.is_none()).count();
    let detail = format!("{allowed} allowed and answered, {denied} denied and silent, {open} not judged");
    ((allowed + denied > 0).then_some(Outcome::Held), detail)
}

/// The first that is broken, in one plain sentence, and how many others are.
pub fn told(row: &[&Cell]) -> Option<String> {
    let mut broken = row.iter().filter(|cell| cell.outcome == Some(Outcome::Broken));
    let first = broken.next()?;
    let (from, to, place) = (&first.from, &first.to, format!("{}/{}", first.port, first.protocol));
    let more = match broken.count() {
        0 => String::new(),
        n => format!("; {n} more of its connections went wrong"),
    };
    Some(match first.expected {
        Expected::Allowed(_) => format!("{from} got no answer from {to} on {place}, which a rule allows{more}"),
        Expected::Denied(_) | Expected::Open(_) => {
            format!("{from} reached {to} on {place}, which no rule allows{more}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::network::Protocol;
    use crate::matrix::Seen;

    fn cell(expected: Expected, outcome: Option<Outcome>) -> Cell {
        Cell {
            from: "api".into(),
            to: "db".into(),
            port: 5432,
            protocol: Protocol::Tcp,
            expected,
            seen: [(Seen::Open, 2)].into(),
            outcome,
            detail: "2 of 2 got through".into(),
            policies: vec!["ingress of the destination: db-in".into()],
        }
    }

    fn of(cells: &[Cell]) -> (Option<Outcome>, String) {
        outcome(&cells.iter().collect::<Vec<&Cell>>())
    }

    #[test]
    fn a_row_is_as_good_as_its_worst_cell_and_names_it() {
        let denied = || Expected::Denied(String::new());
        let held = cell(Expected::Allowed(String::new()), Some(Outcome::Held));
        let (broken, unknown) = (cell(denied(), Some(Outcome::Broken)), cell(denied(), Some(Outcome::Unknown)));
        let open = cell(Expected::Open(String::new()), None);
        assert_eq!(
            of(&[held.clone(), open.clone()]),
            (Some(Outcome::Held), "1 allowed and answered, 0 denied and silent, 1 not judged".to_owned())
        );
        assert_eq!(of(&[held.clone(), unknown.clone()]).0, Some(Outcome::Unknown));
        let (worst, detail) = of(&[held, unknown, broken]);
        assert_eq!(worst, Some(Outcome::Broken));
        assert_eq!(
            detail,
            "db 5432/tcp: expected denied, seen open: 2 of 2 got through (ingress of the destination: db-in)"
        );
        assert_eq!(of(&[open]).0, None, "what is open everywhere says nothing");
    }
}
