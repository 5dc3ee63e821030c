//! A run against earlier ones, in words.

use crate::table::number;
use gauntlet_core::baseline::{Compared, Comparison, Judgement, Sample};

/// `1 figure regressed, 8 steady, 2 too few repeats to tell; against baseline.jsonl, false alarms 5 % of checks at most`.
pub fn headline(comparison: &Comparison) -> String {
    let all = [Judgement::Regressed, Judgement::Steady, Judgement::TooFew, Judgement::NotMeasured, Judgement::New];
    let count = |judgement| Some(comparison.count(judgement)).filter(|n| *n > 0 || judgement == Judgement::Regressed);
    let counts: Vec<String> =
        all.into_iter().filter_map(|judgement| Some(format!("{} {}", count(judgement)?, word(judgement)))).collect();
    format!(
        "{}; against {}, at a level of {} %",
        counts.join(", "),
        comparison.baseline,
        number(comparison.level * 100.0)
    )
}

/// What a judgement is called.
pub fn word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Regressed => "regressed",
        Judgement::Steady => "steady",
        Judgement::TooFew => "too few repeats to tell",
        Judgement::NotMeasured => "not measured",
        Judgement::New => "not in the baseline",
    }
}

/// `19.1 s (18.2 to 20.4, 5 values)`.
pub fn sample(sample: &Sample, unit: &str) -> String {
    match sample.count {
        0 => "–".to_owned(),
        1 => format!("{} {unit} (1 value)", number(sample.median)),
        n => {
            let (least, most) = (number(sample.least), number(sample.most));
            format!("{} {unit} ({least} to {most}, {n} values)", number(sample.median))
        }
    }
}

/// How the new median stands to the old one, and how likely such values are by chance.
pub fn change(compared: &Compared) -> String {
    let change = match (compared.before.count, compared.now.count) {
        (1.., 1..) if compared.before.median > 0.0 => {
            format!("{} times", number((compared.now.median / compared.before.median * 100.0).round() / 100.0))
        }
        _ => String::new(),
    };
    let chance = compared.probability.map_or(String::new(), |p| format!("by chance {}", probability(p)));
    let needed = compared.needed.map_or(String::new(), |n| format!("{n} repeats could tell"));
    [change, chance, needed].into_iter().filter(|part| !part.is_empty()).collect::<Vec<String>>().join(", ")
}

fn probability(p: f64) -> String {
    if p < 0.0005 { format!("{p:.0e}") } else { number(p) }
}

/// One figure in a sentence.
pub fn sentence(compared: &Compared) -> String {
    let unit = &compared.unit;
    format!(
        "{} of {} {}: {}, was {}; {}",
        compared.figure,
        compared.scenario,
        word(compared.judgement),
        sample(&compared.now, unit),
        sample(&compared.before, unit),
        change(compared)
    )
}

/// What a person reads on a terminal: regressions in sentences, and where `all` is wanted everything else.
pub fn render(comparison: &Comparison, all: bool) -> String {
    let told = comparison.figures.iter().filter(|figure| all || figure.judgement == Judgement::Regressed);
    let lines: String = told.map(|figure| format!("  {}\n", sentence(figure))).collect();
    format!("baseline: {}\n{lines}", headline(comparison))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn comparison(fails: bool) -> Comparison {
        let sample = |count, median: f64| Sample { count, median, least: median - 1.0, most: median + 1.0 };
        let figure = |name: &str, judgement, now| Compared {
            scenario: "a.passed".into(),
            figure: name.into(),
            unit: "s".into(),
            judgement,
            before: sample(20, 9.5),
            now,
            probability: Some(0.000_019),
            needed: (judgement == Judgement::TooFew).then_some(3),
        };
        Comparison {
            baseline: "baseline.jsonl".into(),
            level: 0.05,
            fails,
            figures: vec![
                figure("failover time", Judgement::Regressed, sample(5, 19.1)),
                figure("rejoin time", Judgement::TooFew, sample(1, 9.6)),
            ],
        }
    }

    #[test]
    fn a_regression_is_told_with_everything_that_it_rests_on() {
        let text = render(&comparison(false), false);
        let expected = "baseline: 1 regressed, 1 too few repeats to tell; against baseline.jsonl, at a level of 5 %\n  \
            failover time of a.passed regressed: 19.1 s (18.1 to 20.1, 5 values), was 9.5 s (8.5 to 10.5, 20 values); \
            2.01 times, by chance 2e-5\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_could_not_be_told_says_what_could() {
        let text = render(&comparison(false), true);
        assert!(text.contains("rejoin time of a.passed too few repeats to tell: 9.6 s (1 value)"), "{text}");
        assert!(text.contains("3 repeats could tell"), "{text}");
    }
}
