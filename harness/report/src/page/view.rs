//! What the template shows of a run as a whole: verdicts first, by promise.

use super::assets;
use super::scenario::{self, FileView, Scenario};
use super::story::Run;
use crate::baseline;
use crate::repeats::{self, Repeated, Round};
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
    /// Where promises are written.
    document: Option<String>,
    /// What must be known with every verdict: that something else was deployed, was only guessed, or stood in.
    caveats: Vec<String>,
    failures: Vec<Failure>,
    /// The figures against those of earlier runs: what is said of all, and of each.
    compared: Option<(String, Vec<ComparedRow>)>,
    promises: Vec<PromiseRow>,
    not_looked_at: Vec<(String, String, String)>,
    scenarios: Vec<Scenario>,
    facts: Vec<(String, String)>,
    stages: Vec<(String, String, String)>,
    phases: Vec<&'static str>,
    times: Vec<TimesRow>,
    repeats: Vec<RepeatView>,
    notes: Vec<String>,
    setup_files: Vec<FileView>,
    style: &'static str,
    script: &'static str,
    uplot_style: &'static str,
    uplot_script: &'static str,
}

/// One thing that a person has to know first.
struct Failure {
    word: &'static str,
    sentence: String,
    detail: String,
    /// What else was not so, under the same promise in the same scenario.
    also: Vec<String>,
    says: Option<String>,
    reference: Option<String>,
    tried: Option<String>,
    anchor: Option<String>,
    when: Option<String>,
}

struct PromiseRow {
    id: String,
    says: String,
    reference: String,
    word: &'static str,
    mark: &'static str,
    count: String,
    /// Name and anchor.
    scenarios: Vec<(String, String)>,
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
        let not_looked_at = promised.map(|p| (p.id.clone(), p.says.clone(), p.reference.clone())).collect();
        Self {
            title: format!("{word}: {name}"),
            word,
            headline,
            document: header.and_then(|header| header.document.clone()).filter(|url| is_address(url)),
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
            setup_files: run.evidence.iter().map(FileView::of).collect(),
            run: name,
            style: assets::STYLE,
            script: assets::SCRIPT,
            uplot_style: assets::UPLOT_STYLE,
            uplot_script: assets::UPLOT_SCRIPT,
        }
    }
}

/// Whether it is a place on the web, and nothing that a link could do.
fn is_address(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
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

/// First letter large, as sentences begin.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn caveats(summary: &Summary) -> Vec<String> {
    let known = summary.caveats();
    summary.unexpected().chain(known.iter().map(String::as_str)).map(sentence).collect()
}

/// The element of a scenario on the page.
pub fn anchor(scenario: &str) -> String {
    let id = scenario.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-");
    format!("scenario-{id}")
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
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

fn checks(outcome: &ScenarioOutcome, wanted: Outcome) -> impl Iterator<Item = &Check> {
    outcome.observations.checks.iter().filter(move |check| check.outcome == wanted)
}

fn failures(run: &Run) -> Vec<Failure> {
    let broken = run.summary.outcomes.iter().filter(|o| matches!(o.verdict, Verdict::Failed { .. }));
    let broken = broken.flat_map(|outcome| broken_promises(run, outcome));
    let troubles = run.summary.troubles.iter().map(|trouble| Failure {
        word: "inconclusive",
        sentence: format!("Gauntlet could not {}", trouble.stage.title()),
        detail: trouble.message.clone(),
        also: vec![],
        says: None,
        reference: None,
        tried: (!trouble.hints.is_empty()).then(|| trouble.hints.join("; ")),
        anchor: None,
        when: None,
    });
    let open = run.summary.outcomes.iter().filter(|o| matches!(o.verdict, Verdict::Inconclusive { .. }));
    let open = open.map(|outcome| Failure {
        word: "inconclusive",
        sentence: format!("It could not be told whether {} holds", outcome.scenario),
        detail: outcome.verdict.reasons().join("\n"),
        also: outcome.guesses().iter().map(|guess| shortened(guess)).collect(),
        says: None,
        reference: None,
        tried: run.story(&outcome.scenario).map(|story| sentence(&story.says)).filter(|says| !says.is_empty()),
        anchor: Some(anchor(&outcome.scenario)),
        when: None,
    });
    let unjudged = run.summary.unjudged().into_iter().map(|name| Failure {
        word: "inconclusive",
        sentence: format!("{name} has no verdict"),
        detail: "the run ended before it was judged".to_owned(),
        also: vec![],
        says: None,
        reference: None,
        tried: None,
        anchor: run.story(name).map(|story| anchor(&story.name)),
        when: None,
    });
    broken.chain(troubles).chain(open).chain(unjudged).collect()
}

/// One for each broken promise of a scenario. The check of which the moment is known leads: it says most.
fn broken_promises<'a>(run: &'a Run, outcome: &'a ScenarioOutcome) -> impl Iterator<Item = Failure> + 'a {
    let mut by_promise: Vec<(&str, Vec<&Check>)> = Vec::new();
    for check in checks(outcome, Outcome::Broken) {
        match by_promise.iter_mut().find(|(promise, _)| *promise == check.promise) {
            Some((_, checks)) => checks.push(check),
            None => by_promise.push((&check.promise, vec![check])),
        }
    }
    by_promise.into_iter().map(move |(_, checks)| broken_promise(run, outcome, checks))
}

fn broken_promise(run: &Run, outcome: &ScenarioOutcome, mut checks: Vec<&Check>) -> Failure {
    let story = run.story(&outcome.scenario);
    let moment = |check: &Check| story.and_then(|story| story.moment(&check.name)).filter(|(_, exact)| *exact);
    checks.sort_by_key(|check| moment(check).is_none());
    let lead = checks.remove(0);
    let promised = run.summary.header.iter().flat_map(|h| &h.promises).find(|p| p.id == lead.promise);
    Failure {
        word: "failed",
        sentence: sentence(&lead.name),
        detail: shortened(&lead.detail),
        also: checks.iter().map(|check| format!("{}: {}", check.name, shortened(&check.detail))).collect(),
        says: promised.map(|promised| promised.says.clone()),
        reference: Some(lead.reference.clone()).filter(|reference| !reference.is_empty()),
        tried: story.map(|story| sentence(&story.says)).filter(|says| !says.is_empty()),
        anchor: Some(anchor(&outcome.scenario)),
        when: moment(lead).zip(story).map(|((at_ms, _), story)| scenario::offset(at_ms, story.zero_ms())),
    }
}

/// The first screen has room for so much; the whole stands with the checks of the scenario.
fn shortened(text: &str) -> String {
    const LETTERS: usize = 180;
    if text.chars().count() <= LETTERS {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(LETTERS).collect::<String>())
    }
}

fn promises(summary: &Summary) -> Vec<PromiseRow> {
    let mut rows: Vec<(PromiseRow, Counts)> = Vec::new();
    for outcome in &summary.outcomes {
        for check in &outcome.observations.checks {
            let at = rows.iter().position(|(row, _)| row.id == check.promise).unwrap_or_else(|| {
                rows.push((promise_row(summary, check), Counts::default()));
                rows.len() - 1
            });
            let (row, counts) = &mut rows[at];
            counts.add(check);
            let link = (outcome.scenario.clone(), anchor(&outcome.scenario));
            if !row.scenarios.contains(&link) {
                row.scenarios.push(link);
            }
        }
    }
    let mut rows: Vec<PromiseRow> = rows.into_iter().map(|(row, counts)| judged(row, counts)).collect();
    let rank = |row: &PromiseRow| ["broken", "unknown", "held"].iter().position(|word| *word == row.word);
    rows.sort_by_key(rank);
    rows
}

fn promise_row(summary: &Summary, check: &Check) -> PromiseRow {
    let promised = summary.header.iter().flat_map(|header| &header.promises).find(|p| p.id == check.promise);
    PromiseRow {
        id: check.promise.clone(),
        says: promised.map_or(String::new(), |promised| promised.says.clone()),
        reference: check.reference.clone(),
        word: "",
        mark: "",
        count: String::new(),
        scenarios: vec![],
    }
}

/// How many checks of a promise came to what.
#[derive(Default)]
struct Counts {
    held: usize,
    broken: usize,
    unknown: usize,
    unconfirmed: usize,
    /// Unconfirmed ones that would have held.
    looks_held: usize,
}

impl Counts {
    fn add(&mut self, check: &Check) {
        match check.outcome {
            Outcome::Held => self.held += 1,
            Outcome::Broken => self.broken += 1,
            Outcome::Unknown => self.unknown += 1,
            Outcome::Unconfirmed => {
                self.unconfirmed += 1;
                self.looks_held += usize::from(check.looks == Some(Outcome::Held));
            }
        }
    }
}

fn judged(row: PromiseRow, counts: Counts) -> PromiseRow {
    let Counts { held, broken, unknown, unconfirmed, looks_held } = counts;
    let all = held + broken + unknown;
    if all == 0 {
        let count = format!("{looks_held} of {} would have held, and none counts", plural(unconfirmed, "check"));
        return PromiseRow { word: "unknown", mark: "unconfirmed", count, ..row };
    }
    let (word, mark) = match (broken, unknown) {
        (1.., _) => ("broken", "broken"),
        (0, 1..) => ("unknown", "cannot tell"),
        (0, 0) => ("held", "held"),
    };
    PromiseRow { word, mark, count: format!("{held} of {} held", plural(all, "check")), ..row }
}

fn facts(run: &Run) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(header) = &run.summary.header {
        fact("system", format!("{}, overlay {}", header.system, header.overlay));
        fact("cluster", cluster(run, &header.provider));
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
