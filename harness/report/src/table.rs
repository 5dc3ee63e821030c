//! The verdicts of a run as a person reads them.

use crate::baseline;
use crate::repeats::{self, Repeated};
use crate::summary::{ScenarioOutcome, Summary};
use gauntlet_core::Verdict;
use gauntlet_core::span::Span;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// How many of the things that took longest are told.
const TOLD: usize = 6;

/// The final table, what was found, and where the rest is. `colour` marks the verdicts.
pub fn render(summary: &Summary, folder: &Path, colour: bool) -> String {
    let mut text = String::new();
    let width = summary.outcomes.iter().map(|outcome| outcome.scenario.len()).max().unwrap_or(0);
    for outcome in &summary.outcomes {
        line(&mut text, summary, outcome, (width, colour));
    }
    for name in summary.unjudged() {
        let _ = writeln!(text, "  {name:width$}  no verdict: the run ended before");
    }
    if summary.outcomes.is_empty() {
        for trouble in &summary.troubles {
            let _ = writeln!(text, "could not {}: {}", trouble.stage.title(), trouble.message);
        }
    }
    let counts: Vec<String> = ["passed", "failed", "inconclusive", "skipped"]
        .into_iter()
        .filter_map(|word| match summary.count(word) {
            0 => None,
            n => Some(format!("{n} {word}")),
        })
        .collect();
    if !counts.is_empty() {
        let _ = writeln!(text, "\n{}", counts.join(", "));
    }
    if summary.interrupted {
        text.push_str("interrupted\n");
    }
    for caveat in summary.caveats() {
        let _ = writeln!(text, "{}", printable(&caveat));
    }
    for differs in summary.unexpected() {
        let _ = writeln!(text, "note: {}", printable(differs));
    }
    if let Some(comparison) = &summary.compared {
        text.push_str(&printable(&baseline::render(comparison, false)));
    }
    for repeated in repeats::of(summary) {
        let _ = write!(text, "{}", rounds(&repeated));
    }
    let times: Vec<String> = summary.times.in_all().into_iter().take(TOLD).map(|(what, ms)| spent(what, ms)).collect();
    if !times.is_empty() {
        let _ = writeln!(text, "time went to: {}", times.join(", "));
    }
    let seed = summary.header.as_ref().map_or(String::new(), |header| format!("seed {}, ", header.seed));
    let _ = writeln!(text, "{seed}report: {}", folder.display());
    text
}

fn spent(what: &str, ms: u64) -> String {
    // Whole seconds: nobody compares these.
    format!("{what} {}", Span(Duration::from_secs(ms.div_ceil(1000))))
}

fn line(text: &mut String, summary: &Summary, outcome: &ScenarioOutcome, (width, colour): (usize, bool)) {
    let took = Span(Duration::from_millis(outcome.took_ms)).to_string();
    let word = format!("{:12}", outcome.verdict.word());
    let word = if colour { format!("\x1b[{}m{word}\x1b[0m", paint(&outcome.verdict)) } else { word };
    let name = &outcome.scenario;
    let line = format!("  {name:width$}  {word} {took:>7}  {}", figures(outcome));
    let _ = writeln!(text, "{}", line.trim_end());
    for reason in outcome.reasons(summary) {
        let _ = writeln!(text, "      {}", printable(&reason).replace('\n', "\n      "));
    }
    for guess in outcome.guesses() {
        let _ = writeln!(text, "      {}", printable(&guess).replace('\n', "\n      "));
    }
    if matches!(outcome.verdict, Verdict::Failed { .. } | Verdict::Inconclusive { .. }) {
        if let Some(evidence) = &outcome.evidence {
            let _ = writeln!(text, "      evidence: {evidence}");
        }
        let _ = writeln!(text, "      again: {}", outcome.again);
    }
}

/// How often a scenario passed; where its rounds differ, what each of them came to.
fn rounds(repeated: &Repeated) -> String {
    let mut text = format!("{}: {}\n", repeated.scenario, repeated.rate());
    if !repeated.differs() {
        return text;
    }
    for round in &repeated.rounds {
        let measured = repeated.figures.iter().zip(&round.figures).filter(|(_, value)| !value.is_empty());
        let measured: Vec<String> = measured.map(|(name, value)| format!("{name} {value}")).collect();
        let found =
            round.found.iter().map(|found| printable(found).replace('\n', " ")).collect::<Vec<String>>().join("; ");
        let line =
            format!("    {:12} {:12} {:>7}  {}  {found}", round.name, round.verdict, round.took, measured.join(", "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn figures(outcome: &ScenarioOutcome) -> String {
    let figure = |figure: &gauntlet_core::Figure| {
        let limit = figure.limit.map_or(String::new(), |limit| format!(" of {}", number(limit)));
        format!("{} {}{limit} {}", figure.name, number(figure.value), figure.unit)
    };
    outcome.observations.figures.iter().map(figure).collect::<Vec<String>>().join(", ")
}

/// The text without characters that would command a terminal: what systems under test say is not trusted.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// At most three decimals, six of what is less than a thousandth, and no more than are needed.
pub fn number(value: f64) -> String {
    // What is measured is not nothing, however small.
    let text = if value.abs() < 0.001 { format!("{value:.6}") } else { format!("{value:.3}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn paint(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Passed(_) => 32,
        Verdict::Failed { .. } => 31,
        Verdict::Inconclusive { .. } => 33,
        Verdict::Skipped { .. } => 36,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::{a_guess_looks_broken, every_verdict};

    #[test]
    fn the_table_says_what_happened_why_and_how_to_see_it_again() {
        let text = render(&every_verdict(), Path::new("reports/r"), false);
        for expected in [
            "a.passed        passed          1m1s  failover time 9.1 of 12 s",
            "b.failed        failed",
            "      Broken: A replica takes over (redis.failover, guide, chapter 5)\n",
            "        expected: a replica takes over; seen: after 9.1 s",
            "again: gauntlet run --seed 42 --exact b.failed",
            "      lost the cluster",
            "      no power to",
            "1 passed, 1 failed, 1 inconclusive, 1 skipped",
            "seed 42, report: reports/r",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_guess_that_looks_broken_is_told_and_neither_passed_nor_failed() {
        let text = render(&a_guess_looks_broken(), Path::new("r"), false);
        assert!(text.contains("  a  inconclusive"), "{text}");
        assert!(text.contains("      unconfirmed, looks broken: a replica takes over"), "{text}");
        assert!(!text.contains("passed") && !text.contains("failed"), "{text}");
        assert!(text.contains("nothing that was looked at counts: 1 of 1 promises are unconfirmed guesses"), "{text}");
    }

    #[test]
    fn rounds_that_differ_stand_side_by_side_below_their_rate() {
        let text = render(&crate::repeats::tests::rounds(), Path::new("r"), false);
        let rate = text.find("a: 2 of 3 passed: 67 %, between 21 and 94 % at 95 % confidence").unwrap();
        let failed =
            text.find("    a#2          failed          1m1s  failover time 9.1 s  a replica takes over").unwrap();
        assert!(rate < failed, "{text}");
    }

    #[test]
    fn what_a_system_says_cannot_command_the_terminal() {
        assert!(!render(&every_verdict(), Path::new("r"), false).contains('\u{1b}'));
    }

    #[test]
    fn numbers_have_no_more_decimals_than_they_need() {
        for (value, text) in
            [(9.0, "9"), (9.1, "9.1"), (0.12345, "0.123"), (100.0, "100"), (0.000_051_4, "0.000051"), (0.0, "0")]
        {
            assert_eq!(number(value), text);
        }
    }
}
