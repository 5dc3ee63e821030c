//! The verdicts as Markdown, for the job pages of CI systems: what was broken first, then a table.

use crate::baseline;
use crate::broken::{self, Broken};
use crate::repeats;
use crate::summary::{ScenarioOutcome, Summary};
use crate::table::number;
use gauntlet_core::Verdict;
use gauntlet_core::baseline::{Comparison, Judgement};
use gauntlet_core::event::{Consumer, Record};
use gauntlet_core::span::Span;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Appends to a file when the run has finished, since CI systems collect what several steps have to say in one.
pub struct Writer {
    path: PathBuf,
    file: File,
    summary: Summary,
}

impl Writer {
    /// # Errors
    /// The file cannot be written; better to know before a run than after.
    pub fn open(path: PathBuf) -> Result<Self, String> {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(Self { path, file, summary: Summary::default() })
    }
}

impl Consumer for Writer {
    fn consume(&mut self, record: &Record) {
        self.summary.add(record);
    }

    fn finish(&mut self) -> Result<(), String> {
        self.file
            .write_all(render(&self.summary).as_bytes())
            .map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

/// The text.
pub fn render(summary: &Summary) -> String {
    let mut text = String::new();
    let header = summary.header.as_ref();
    let of = header.map_or(String::new(), |h| {
        format!(": {} {} on {}", escaped(&h.system), escaped(&h.overlay), escaped(&h.provider))
    });
    let _ = writeln!(text, "## Gauntlet{of}\n\n**{}**\n", counts(summary));
    for outcome in &summary.outcomes {
        let guesses = outcome.guesses().into_iter().map(|guess| escaped(&guess));
        for reason in told(summary, outcome).into_iter().chain(guesses) {
            let _ = writeln!(text, "- **{}** {}: {reason}", escaped(&outcome.scenario), outcome.verdict.word());
        }
    }
    for trouble in &summary.troubles {
        let hints: String = trouble.hints.iter().map(|hint| format!(" Hint: {}", escaped(hint))).collect();
        let _ = writeln!(text, "- Gauntlet could not {}: {}.{hints}", trouble.stage.title(), escaped(&trouble.message));
    }
    for differs in summary.unexpected() {
        let _ = writeln!(text, "- Note: {}.", escaped(differs));
    }
    text.push_str("\n| scenario | verdict | took | figures |\n|---|---|---|---|\n");
    for outcome in &summary.outcomes {
        let took = Span(Duration::from_millis(outcome.took_ms));
        let name = escaped(&outcome.scenario);
        let _ = writeln!(text, "| {name} | {} | {took} | {} |", outcome.verdict.word(), figures(outcome));
    }
    for name in summary.unjudged() {
        let _ = writeln!(text, "| {} | no verdict | | the run ended before |", escaped(name));
    }
    if let Some(comparison) = &summary.compared {
        text.push_str(&compared(comparison));
    }
    for one in repeats::of(summary) {
        let _ = writeln!(text, "\n**{}**: {}", escaped(&one.scenario), one.rate());
    }
    let open =
        summary.outcomes.iter().filter(|o| matches!(o.verdict, Verdict::Failed { .. } | Verdict::Inconclusive { .. }));
    for outcome in open {
        let _ =
            writeln!(text, "\n{} again:\n```\n{}\n```", escaped(&outcome.scenario), outcome.again.replace("```", ""));
    }
    text.push_str(&times(summary));
    for caveat in summary.caveats() {
        let _ = writeln!(text, "\n{}", escaped(&caveat));
    }
    if let Some(header) = header {
        let _ = writeln!(text, "\nRun `{}`, seed {}.", header.run, header.seed);
    }
    text
}

fn compared(comparison: &Comparison) -> String {
    let rows: String = comparison
        .figures
        .iter()
        .map(|figure| {
            let word = baseline::word(figure.judgement);
            let word = if figure.judgement == Judgement::Regressed { format!("**{word}**") } else { word.to_owned() };
            let (now, before) =
                (baseline::sample(&figure.now, &figure.unit), baseline::sample(&figure.before, &figure.unit));
            let (scenario, name) = (escaped(&figure.scenario), escaped(&figure.figure));
            format!("| {scenario}: {name} | {word} | {now} | {before} | {} |\n", baseline::change(figure))
        })
        .collect();
    let headline = escaped(&baseline::headline(comparison));
    format!("\n**Baseline**: {headline}\n\n| figure | | now | before | change |\n|---|---|---|---|---|\n{rows}")
}

fn times(summary: &Summary) -> String {
    let all = summary.times.in_all();
    if all.is_empty() {
        return String::new();
    }
    let rows: String =
        all.iter().map(|(what, ms)| format!("| {what} | {} |\n", Span(Duration::from_millis(*ms)))).collect();
    format!(
        "\n<details><summary>Where the time went</summary>\n\n| on all clusters together | took |\n|---|---|\n{rows}\n</details>\n"
    )
}

fn counts(summary: &Summary) -> String {
    let mut counts: Vec<String> = ["passed", "failed", "inconclusive", "skipped"]
        .into_iter()
        .filter_map(|word| Some(summary.count(word)).filter(|n| *n > 0).map(|n| format!("{n} {word}")))
        .collect();
    if !summary.unjudged().is_empty() {
        counts.push(format!("{} without a verdict", summary.unjudged().len()));
    }
    if summary.interrupted {
        counts.push("interrupted".to_owned());
    }
    if counts.is_empty() { "nothing was judged".to_owned() } else { counts.join(", ") }
}

/// Why an outcome is no pass, a line each.
fn told(summary: &Summary, outcome: &ScenarioOutcome) -> Vec<String> {
    match &outcome.verdict {
        Verdict::Passed(_) => vec![],
        Verdict::Failed { .. } => {
            let lines =
                |broken: &Broken<'_>| broken.lines().iter().map(|line| escaped(line.trim())).collect::<Vec<_>>();
            let told = |broken| lines(broken).join("\n  <br>");
            broken::of(summary, outcome, |_| false).iter().map(told).collect()
        }
        other => other.reasons().iter().map(|reason| escaped(reason)).collect(),
    }
}

fn figures(outcome: &ScenarioOutcome) -> String {
    let figure = |figure: &gauntlet_core::Figure| {
        let limit = figure.limit.map_or(String::new(), |limit| format!(" of {}", number(limit)));
        let text = format!("{} {}{limit} {}", escaped(&figure.name), number(figure.value), figure.unit);
        if figure.limit.is_some_and(|limit| figure.value > limit) { format!("**{text}**") } else { text }
    };
    outcome.observations.figures.iter().map(figure).collect::<Vec<String>>().join("<br>")
}

/// On one line, and without what Markdown or HTML would take for its own.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' | '\t' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '!' => {
                out.push('\\');
                out.push(letter);
            }
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::{every_verdict, header};
    use gauntlet_core::event::{Event, Stage};

    #[test]
    fn what_was_broken_comes_before_the_table() {
        let text = render(&every_verdict());
        let broken = text.find("- **b.failed** failed: Broken: A replica takes over").unwrap();
        assert!(broken < text.find("| scenario |").unwrap(), "{text}");
        for expected in [
            "## Gauntlet: shop production on embedded",
            "**1 passed, 1 failed, 1 inconclusive, 1 skipped**",
            "| a.passed | passed | 1m1s | failover time 9.1 of 12 s |",
            "- **c.inconclusive** inconclusive: lost the cluster",
            "gauntlet run --seed 42 --exact b.failed",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn what_a_system_says_is_no_markup() {
        let text = render(&every_verdict());
        assert!(text.contains("&lt;&amp;&gt;") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(escaped("a|b\n`c` <img>"), "a\\|b \\`c\\` &lt;img&gt;");
    }

    #[test]
    fn a_run_that_died_in_its_set_up_says_so() {
        let trouble = Event::Trouble { stage: Stage::Cluster, message: "not root".into(), hints: vec!["sudo".into()] };
        let text = render(&Summary::of(&[header(&["a"]), trouble].map(|event| Record::new(0, event))));
        assert!(text.contains("could not bring up the cluster: not root. Hint: sudo"), "{text}");
        assert!(text.contains("| a | no verdict |"), "{text}");
    }

    #[test]
    fn what_others_wrote_to_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.md");
        std::fs::write(&path, "before\n").unwrap();
        Writer::open(path.clone()).unwrap().finish().unwrap();
        assert!(std::fs::read_to_string(path).unwrap().starts_with("before\n## Gauntlet"));
    }
}
