//! Progress while a run is under way: a live line for people, plain lines where nobody watches.

use crate::matrix;
use crate::summary::Summary;
use crate::table;
use gauntlet_core::event::{Consumer, Event, Record};
use gauntlet_core::span::Span;
use gauntlet_core::{Evidence, Outcome};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::Duration;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// A line at the bottom that says what is awaited and for how long; else every change is a line of its own.
    pub live: bool,
    pub colour: bool,
    /// Everything that is seen while waiting is a line, also when live.
    pub verbose: bool,
}

/// Shows progress on standard error and the final table on standard output.
pub struct Terminal {
    style: Style,
    folder: PathBuf,
    summary: Summary,
    bar: ProgressBar,
    /// Standard output belongs to somebody else.
    table_on_error: bool,
    /// What was last said to be awaited, and when, in plain style.
    awaited: Option<(String, u64)>,
}

/// Plain lines about one wait come at most this often, in milliseconds: CI logs are read by people too.
const PLAIN_WAITING_EVERY_MS: u64 = 10_000;

impl Terminal {
    /// `folder` is where the run's report will be. `table_on_error` leaves standard output alone.
    pub fn new(style: Style, folder: PathBuf, table_on_error: bool) -> Self {
        let bar = ProgressBar::with_draw_target(
            None,
            if style.live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        if let Ok(template) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(template);
        }
        if style.live {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { style, folder, summary: Summary::default(), bar, table_on_error, awaited: None }
    }

    fn line(&self, text: &str) {
        if self.style.live {
            self.bar.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    /// Whether a line about this wait has been said so recently that another would be noise.
    fn is_repetition(&mut self, record: &Record) -> bool {
        let Event::Waiting { what, .. } = &record.event else { return false };
        if self.style.verbose {
            return false;
        }
        let recent = self
            .awaited
            .as_ref()
            .is_some_and(|(last, at_ms)| last == what && record.at_ms.saturating_sub(*at_ms) < PLAIN_WAITING_EVERY_MS);
        if !recent {
            self.awaited = Some((what.clone(), record.at_ms));
        }
        recent
    }

    /// Replaces the live line; its clock starts again.
    fn now(&self, text: String) {
        self.bar.reset_elapsed();
        self.bar.set_message(text);
    }
}

impl Consumer for Terminal {
    fn consume(&mut self, record: &Record) {
        self.summary.add(record);
        if let Some(text) = live_text(&record.event) {
            self.now(table::printable(&text).replace('\n', " "));
        }
        if self.is_repetition(record) {
            return;
        }
        if let Some(text) = line_text(&record.event, self.style) {
            self.line(&table::printable(&text));
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.bar.finish_and_clear();
        let table = table::render(&self.summary, &self.folder, self.style.colour);
        if self.table_on_error {
            eprintln!("\n{}", table.trim_end());
            return Ok(());
        }
        match writeln!(std::io::stdout(), "\n{}", table.trim_end()) {
            // Who stops reading wants no more.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("cannot write the verdicts: {error}")),
            _ => Ok(()),
        }
    }
}

fn span(ms: u64) -> Span {
    Span(Duration::from_millis(ms))
}

/// `[scenario] ` or nothing.
fn tag(scenario: Option<&String>) -> String {
    scenario.map_or(String::new(), |name| format!("[{name}] "))
}

/// What the live line says from now on.
fn live_text(event: &Event) -> Option<String> {
    match event {
        Event::StageStarted { stage, detail } => Some(format!("{}: {detail}", stage.title())),
        Event::Waiting { scenario, what, last_seen, deadline_ms, .. } => {
            Some(format!("{}{what} (at most {}): {last_seen}", tag(scenario.as_ref()), span(*deadline_ms)))
        }
        Event::PhaseStarted { scenario, phase } => Some(format!("[{scenario}] {}", phase.title())),
        _ => None,
    }
}

/// The line that an event is worth, if any.
fn line_text(event: &Event, style: Style) -> Option<String> {
    match event {
        Event::RunStarted(header) => Some(format!(
            "run {}: {} {}{} on {}, seed {}: {}",
            header.run,
            header.system,
            header.overlay,
            header.deployed_mutant().map_or(String::new(), |mutant| format!(", broken on purpose by {mutant},")),
            header.provider,
            header.seed,
            header.scenarios.join(", ")
        )),
        Event::Digested { differs, .. } if !differs.is_empty() => Some(format!("NOTE: {}", differs.join("\nNOTE: "))),
        Event::StageStarted { stage, detail } if !style.live => Some(format!("{}: {detail}", stage.title())),
        Event::StageFinished { stage, took_ms } => Some(format!("{} took {}", stage.title(), span(*took_ms))),
        Event::Waiting { scenario, what, last_seen, waited_ms, .. } if !style.live || style.verbose => {
            Some(format!("{}waiting {} for {what}: {last_seen}", tag(scenario.as_ref()), span(*waited_ms)))
        }
        Event::Note { scenario, text } => Some(format!("{}{text}", tag(scenario.as_ref()))),
        Event::ClusterReady { cluster, kubernetes, nodes, found, .. } => {
            let found: String = found.iter().map(|(what, found)| format!("\n  {what}: {found}")).collect();
            Some(format!("cluster {cluster} is ready: Kubernetes {kubernetes}, nodes {}{found}", nodes.join(", ")))
        }
        Event::ScenarioStarted { scenario, summary, .. } => Some(format!("[{scenario}] {summary}")),
        Event::PhaseStarted { scenario, phase } if !style.live => Some(format!("[{scenario}] {}", phase.title())),
        Event::FaultInjecting { scenario, fault } => Some(format!("[{scenario}] fault: {fault}")),
        Event::FaultProven { scenario, evidence, .. } => Some(format!("[{scenario}] took effect: {}", said(evidence))),
        Event::FaultHealed { scenario, evidence, .. } => Some(format!("[{scenario}] healed: {}", said(evidence))),
        Event::Measured { scenario, figure } => {
            Some(format!("[{scenario}] {}: {} {}", figure.name, table::number(figure.value), figure.unit))
        }
        Event::Checked { scenario, check } => {
            let mark = if check.outcome == Outcome::Broken { "BROKEN" } else { check.word() };
            Some(format!("[{scenario}] {mark}: {}: {}", check.name, check.detail))
        }
        Event::ScenarioFinished { scenario, verdict, took_ms, .. } => {
            Some(format!("[{scenario}] {} after {}", verdict.word(), span(*took_ms)))
        }
        Event::Trouble { stage, message, hints } => {
            let hints: String = hints.iter().map(|hint| format!("\nhint: {hint}")).collect();
            Some(format!("could not {}: {message}{hints}", stage.title()))
        }
        Event::Interrupted => Some("interrupted: cleaned up".to_owned()),
        Event::RunFinished { took_ms, .. } => Some(format!("the run took {}", span(*took_ms))),
        Event::MatrixSeen { scenario, matrix } => Some(format!("[{scenario}] {}", matrix::told(matrix))),
        // The final table tells it.
        Event::BaselineCompared(_)
        | Event::Digested { .. }
        | Event::OtherReleases { .. }
        | Event::StageStarted { .. }
        | Event::Waiting { .. }
        | Event::PhaseStarted { .. }
        | Event::Action { .. }
        | Event::WorkloadSeries { .. }
        | Event::PodChanged { .. }
        | Event::KubernetesEvent { .. }
        | Event::Violated { .. }
        | Event::EvidenceCollected { .. } => None,
    }
}

fn said(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Shown(what) => what.clone(),
        Evidence::Missing(why) => format!("NOT SHOWN: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { live: false, colour: false, verbose: false };
    const LIVE: Style = Style { live: true, colour: false, verbose: false };

    fn waiting() -> Event {
        Event::Waiting {
            scenario: Some("redis.failover".into()),
            what: "the steady state".into(),
            last_seen: "job init not complete".into(),
            waited_ms: 12_000,
            deadline_ms: 300_000,
        }
    }

    #[test]
    fn a_wait_is_told_again_only_after_a_while() {
        let mut terminal = Terminal::new(PLAIN, PathBuf::new(), false);
        let told: Vec<bool> =
            [0, 500, 9_999, 10_000].map(|at| !terminal.is_repetition(&Record::new(at, waiting()))).to_vec();
        assert_eq!(told, [true, false, false, true]);
    }

    #[test]
    fn plain_lines_say_what_is_awaited_and_for_how_long() {
        let line = "[redis.failover] waiting 12s for the steady state: job init not complete";
        assert_eq!(line_text(&waiting(), PLAIN).as_deref(), Some(line));
    }

    #[test]
    fn waiting_is_a_live_line_for_people() {
        assert_eq!(line_text(&waiting(), LIVE), None);
        let live = "[redis.failover] the steady state (at most 5m): job init not complete";
        assert_eq!(live_text(&waiting()).as_deref(), Some(live));
    }
}
