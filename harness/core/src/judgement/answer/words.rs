//! Sentences for people who know neither the check nor the scenario.

use crate::checkers::Finding;
use crate::span::Span;
use std::time::Duration;

/// `2,310`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut told = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// `12 s`, `0.4 s`
pub fn seconds(us: u64) -> String {
    Span(Duration::from_micros(us)).in_words()
}

/// `was` of one, `were` of any other number.
pub fn was(number: u64) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// `is` of one, `are` of any other number.
pub fn is(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// `1 of 2,310 accepted jobs never ended`
pub fn of_all(all: u64, things: &str, findings: &[Finding]) -> String {
    let kinds: Vec<(u64, String)> = KINDS
        .iter()
        .filter_map(|kind| {
            let found = findings.iter().filter(|finding| (kind.is)(finding)).count() as u64;
            let verb = if found == 1 { kind.one } else { kind.many };
            (found > 0).then(|| (found, verb.to_owned()))
        })
        .collect();
    let all = count(all);
    match kinds.as_slice() {
        [(found, verb)] if !findings.iter().all(is_no_share) => format!("{} of {all} {things} {verb}", count(*found)),
        many => {
            let many: Vec<String> = many.iter().map(|(found, verb)| format!("{} {verb}", count(*found))).collect();
            format!("of {all} {things}, {}", many.join(", "))
        }
    }
}

/// What comes on top of all the others, or is none of them.
fn is_no_share(finding: &Finding) -> bool {
    matches!(finding, Finding::Phantom { .. } | Finding::FloorWentBack { .. })
}

struct Kind {
    is: fn(&Finding) -> bool,
    one: &'static str,
    many: &'static str,
}

const KINDS: [Kind; 9] = [
    Kind { is: |f| matches!(f, Finding::Lost { .. }), one: "was lost", many: "were lost" },
    Kind { is: |f| matches!(f, Finding::NotEnded { .. }), one: "never ended", many: "never ended" },
    Kind { is: |f| matches!(f, Finding::Duplicate { .. }), one: "came more than once", many: "came more than once" },
    Kind { is: |f| matches!(f, Finding::Reordered { .. }), one: "stands out of order", many: "stand out of order" },
    Kind {
        is: |f| matches!(f, Finding::AckedWithoutQuorum { .. }),
        one: "was acknowledged without a quorum",
        many: "were acknowledged without a quorum",
    },
    Kind { is: |f| matches!(f, Finding::Undelivered { .. }), one: "was never delivered", many: "were never delivered" },
    Kind {
        is: |f| matches!(f, Finding::Redelivered { .. }),
        one: "was delivered again after it was acknowledged",
        many: "were delivered again after they were acknowledged",
    },
    Kind {
        is: |f| matches!(f, Finding::FloorWentBack { .. }),
        one: "time the consumer went back behind what was acknowledged",
        many: "times the consumer went back behind what was acknowledged",
    },
    Kind {
        is: |f| matches!(f, Finding::Phantom { .. }),
        one: "more is there that nobody sent",
        many: "more are there that nobody sent",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (number, told) in [(0, "0"), (412, "412"), (2_310, "2,310"), (1_000_000, "1,000,000")] {
            assert_eq!(count(number), told);
        }
    }

    #[test]
    fn findings_are_counted_by_what_is_wrong() {
        let not_ended = || Finding::NotEnded { what: "job a".into(), state: "running".into() };
        let lost = || Finding::Lost { what: "job b".into(), acked_us: 1, found: None };
        let stranger = || Finding::Phantom { what: "job c".into(), found: "x".into() };
        for (findings, told) in [
            (vec![not_ended()], "1 of 2,310 accepted jobs never ended"),
            (vec![lost(), lost()], "2 of 2,310 accepted jobs were lost"),
            (vec![lost(), not_ended(), not_ended()], "of 2,310 accepted jobs, 1 was lost, 2 never ended"),
            (vec![stranger()], "of 2,310 accepted jobs, 1 more is there that nobody sent"),
        ] {
            assert_eq!(of_all(2_310, "accepted jobs", &findings), told);
        }
    }
}
