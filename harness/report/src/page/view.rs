//! What the template shows of a run as a whole: verdicts first, by promise.

use super::assets;
use super::document::{Citation, Passage, contract, passages};
use super::failures::{Failure, failures};
use super::promises::{PromiseRow, promises};
use super::scenario::{self, FileView, Scenario, Searched};
use super::words::{plural, sentence};
use crate::baseline;
use crate::repeats::{self, Repeated, Round};
use crate::story::Run;
use crate::summary::{ScenarioOutcome, Summary};
use crate::times::PHASES;
use askama::Template;
use chrono::DateTime;
use gauntlet_core::baseline::{Compared, Comparison, Judgement};
use gauntlet_core::span::Span;
use gauntlet_core::{Check, Outcome, Verdict};
use std::time::Duration;

#[derive(Template)]
#[template(path = "page.html")]
pub struct Page {
    title: String,
    run: String,
    /// Word of the whole, which decides its colour.
    word: &'static str,
    headline: String,
    /// What must be known with every verdict: that something else was deployed, was only guessed, or stood in.
    caveats: Vec<String>,
    failures: Vec<Failure>,
    /// The figures against those of earlier runs: what is said of all, and of each.
    compared: Option<(String, Vec<ComparedRow>)>,
    promises: Vec<PromiseRow>,
    not_looked_at: Vec<(String, String, Citation)>,
    /// What the document says, promise by promise.
    passages: Vec<Passage>,
    /// The contract in the run's folder.
    contract: Option<&'static str>,
    scenarios: Vec<Scenario>,
    facts: Vec<(String, String)>,
    stages: Vec<(String, String, String)>,
    phases: Vec<&'static str>,
    times: Vec<TimesRow>,
    repeats: Vec<RepeatView>,
    notes: Vec<String>,
    setup_files: Vec<FileView>,
    setup_searched: Searched,
    style: &'static str,
    script: &'static str,
    uplot_style: &'static str,
    uplot_script: &'static str,
}

/// A scenario that ran several times.
struct RepeatView {
    name: String,
    rate: String,
    figures: Vec<String>,
    /// Where they differ: anchor and round.
    rounds: Vec<(String, Round)>,
}

/// A figure against those of earlier runs.
struct ComparedRow {
    /// As marks are called.
    word: &'static str,
    mark: &'static str,
    anchor: String,
    scenario: String,
    figure: String,
    now: String,
    before: String,
    change: String,
}

/// What a scenario spent in each phase, and on the whole.
struct TimesRow {
    name: String,
    anchor: String,
    phases: Vec<String>,
    took: String,
}

impl Page {
    pub fn of(run: &Run) -> Self {
        let summary = &run.summary;
        let header = summary.header.as_ref();
        let name = header.map_or("run".to_owned(), |header| header.run.to_string());
        let (word, headline) = headline(summary);
        let scenarios = scenario::all(run);
        let promises = promises(summary);
        let looked_at = |id: &str| promises.iter().any(|row| row.id == id);
        let promised = header.iter().flat_map(|header| &header.promises).filter(|promised| !looked_at(&promised.id));
        let not_looked_at = promised.map(|p| (p.id.clone(), p.says.clone(), Citation::of(&p.id, &p.reference)));
        let not_looked_at = not_looked_at.collect();
        let setup_files: Vec<FileView> = run.evidence.iter().map(FileView::of).collect();
        Self {
            title: format!("{word}: {name}"),
            word,
            headline,
            caveats: caveats(summary),
            failures: failures(run),
            compared: summary.compared.as_ref().map(compared),
            not_looked_at,
            promises,
            scenarios,
            facts: facts(run),
            stages: run.stages.iter().map(stage).collect(),
            phases: PHASES.iter().map(|phase| phase.title()).collect(),
            repeats: repeats::of(summary).into_iter().map(repeat).collect(),
            times: summary.outcomes.iter().map(|outcome| times(summary, outcome)).collect(),
            notes: run.notes.iter().map(|(_, text)| text.clone()).collect(),
            contract: contract(&setup_files),
            passages: passages(summary),
            setup_searched: Searched::of(&setup_files),
            setup_files,
            run: name,
            style: assets::STYLE,
            script: assets::SCRIPT,
            uplot_style: assets::UPLOT_STYLE,
            uplot_script: assets::UPLOT_SCRIPT,
        }
    }
}

fn compared(comparison: &Comparison) -> (String, Vec<ComparedRow>) {
    let row = |figure: &Compared| ComparedRow {
        word: match figure.judgement {
            Judgement::Regressed => "broken",
            Judgement::Steady => "held",
            Judgement::TooFew | Judgement::NotMeasured => "unknown",
            Judgement::New => "skipped",
        },
        mark: baseline::word(figure.judgement),
        anchor: anchor(&figure.scenario),
        scenario: figure.scenario.clone(),
        figure: figure.figure.clone(),
        now: baseline::sample(&figure.now, &figure.unit),
        before: baseline::sample(&figure.before, &figure.unit),
        change: baseline::change(figure),
    };
    (sentence(&baseline::headline(comparison)), comparison.figures.iter().map(row).collect())
}

fn stage((stage, detail, took): &(gauntlet_core::event::Stage, String, Option<u64>)) -> (String, String, String) {
    let took = took.map_or("did not finish".to_owned(), duration);
    (stage.title().to_owned(), detail.clone(), took)
}

fn repeat(repeated: Repeated) -> RepeatView {
    let (rate, differs) = (repeated.rate(), repeated.differs());
    let rounds = if differs { repeated.rounds } else { vec![] };
    RepeatView {
        name: repeated.scenario,
        rate,
        figures: repeated.figures,
        rounds: rounds.into_iter().map(|round| (anchor(&round.name), round)).collect(),
    }
}

fn times(summary: &Summary, outcome: &ScenarioOutcome) -> TimesRow {
    let spent = |phase| summary.times.of(&outcome.scenario, phase).map_or("–".to_owned(), duration);
    TimesRow {
        name: outcome.scenario.clone(),
        anchor: anchor(&outcome.scenario),
        phases: PHASES.into_iter().map(spent).collect(),
        took: duration(outcome.took_ms),
    }
}

pub fn duration(ms: u64) -> String {
    Span(Duration::from_millis(ms)).to_string()
}

fn caveats(summary: &Summary) -> Vec<String> {
    let known = summary.caveats();
    summary.unexpected().chain(known.iter().map(String::as_str)).map(sentence).collect()
}

/// The element of a scenario on the page.
pub fn anchor(scenario: &str) -> String {
    format!("scenario-{}", id(scenario))
}

/// A name as a part of an element's.
pub fn id(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-")
}

fn headline(summary: &Summary) -> (&'static str, String) {
    let count = |word| summary.count(word);
    let broken: std::collections::BTreeSet<&str> = summary
        .outcomes
        .iter()
        .filter(|outcome| matches!(outcome.verdict, Verdict::Failed { .. }))
        .flat_map(|outcome| checks(outcome, Outcome::Broken))
        .map(|check| check.promise.as_str())
        .collect();
    let judged = summary.outcomes.len();
    if !broken.is_empty() {
        let of = format!("in {} of {}", count("failed"), plural(judged, "scenario"));
        let was = if broken.len() == 1 { "was" } else { "were" };
        return ("failed", format!("{} {was} broken, {of}.", plural(broken.len(), "promise")));
    }
    if let Some(comparison) = summary.compared.as_ref().filter(|comparison| comparison.has_failed()) {
        let regressed = plural(comparison.regressed().count(), "figure");
        return ("failed", format!("No promise was broken, but {regressed} regressed against the baseline."));
    }
    if summary.interrupted {
        return ("inconclusive", "The run was interrupted before everything was judged.".to_owned());
    }
    let guesses = summary.header.as_ref().map_or(0, |header| header.guesses().len());
    if summary.troubles.is_empty()
        && guesses > 0
        && summary.header.as_ref().is_some_and(|header| header.promises.len() == guesses)
    {
        return ("inconclusive", "Nothing is promised: nobody has confirmed what the contract guesses.".to_owned());
    }
    let open = count("inconclusive") + summary.unjudged().len();
    if judged == 0 || open > 0 || !summary.troubles.is_empty() {
        let what = if open > 0 { format!("{} could not be judged.", plural(open, "scenario")) } else { String::new() };
        let trouble = summary.troubles.first().map(|t| format!("Gauntlet could not {}. ", t.stage.title()));
        return ("inconclusive", format!("{}{what}", trouble.unwrap_or_default()).trim().to_owned());
    }
    if count("passed") == 0 {
        return ("skipped", "Every scenario was skipped.".to_owned());
    }
    let held: usize = summary.outcomes.iter().map(|outcome| checks(outcome, Outcome::Held).count()).sum();
    let skipped = match count("skipped") {
        0 => String::new(),
        n => format!(" {n} skipped."),
    };
    let passed = plural(count("passed"), "scenario");
    ("passed", format!("Every promise that was tried held: {passed}, {}.{skipped}", plural(held, "check")))
}

pub fn checks(outcome: &ScenarioOutcome, wanted: Outcome) -> impl Iterator<Item = &Check> {
    outcome.observations.checks.iter().filter(move |check| check.outcome == wanted)
}

fn facts(run: &Run) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(header) = &run.summary.header {
        fact("system", format!("{}, overlay {}", header.system, header.overlay));
        if let Some(mutant) = header.deployed_mutant() {
            fact("mutant", format!("{mutant}: the overlay broken in one way on purpose"));
        }
        fact("cluster", cluster(run, &header.provider));
        for (what, found) in &run.found {
            fact(what, found.clone());
        }
        let at = i64::try_from(run.summary.started_ms).ok().and_then(DateTime::from_timestamp_millis);
        fact("started", at.map_or(String::new(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string()));
        fact("took", run.summary.finished.map_or("never finished".to_owned(), |f| duration(f.took_ms)));
        fact("seed", header.seed.to_string());
        for (image, runs) in &header.stand_ins {
            fact(&format!("in place of {image}"), format!("{runs}; the real program was not run"));
        }
        if !header.guesses().is_empty() {
            fact("unconfirmed", format!("{}: guesses, which count for nothing", header.guesses().join(", ")));
        }
        for (name, version) in &header.versions {
            fact(name, version.clone());
        }
        if let Some((digest, _)) = &run.summary.deployed {
            fact("digest of the system", digest.system.clone());
            fact("digest of the overlay", digest.overlay.clone());
        }
        fact("again", run.summary.again().unwrap_or_default());
    }
    facts
}

fn cluster(run: &Run, provider: &str) -> String {
    let kubernetes = run.kubernetes.as_ref().map_or(String::new(), |version| format!(", Kubernetes {version}"));
    let nodes = if run.nodes.is_empty() { String::new() } else { format!(", {}", plural(run.nodes.len(), "node")) };
    format!("{provider}{kubernetes}{nodes}")
}
