//! What the template shows of one scenario.

use super::matrix::MatrixView;
use super::story::{Run, Story};
use super::timeline::{self, Timeline};
use super::view::{anchor, duration};
use super::words::sentence;
use crate::summary::ScenarioOutcome;
use crate::table::number;
use chrono::DateTime;
use gauntlet_core::timeline::{EvidenceFile, Violation};
use gauntlet_core::{Check, Evidence, FaultEvidence, Figure, Observations, Outcome, Verdict};

pub struct Scenario {
    pub name: String,
    pub anchor: String,
    pub word: &'static str,
    pub says: String,
    pub took: String,
    pub seed: String,
    pub again: String,
    /// Why it has no clear verdict.
    pub reasons: Vec<String>,
    pub figures: Vec<FigureView>,
    pub checks: Vec<CheckView>,
    pub faults: Vec<FaultView>,
    /// Data of the charts; empty where there is nothing to draw.
    pub timeline: String,
    pub totals: Vec<(String, String, u64, u64, u64)>,
    pub moments: Vec<Moment>,
    pub matrices: Vec<MatrixView>,
    pub files: Vec<FileView>,
    pub notes: Vec<(String, String)>,
    pub events: Vec<(String, String, bool)>,
}

pub struct FigureView {
    pub name: String,
    pub value: String,
    pub unit: String,
    pub limit: Option<String>,
    pub over: bool,
    /// Width of the bar and place of the limit, in percent.
    pub bar: Option<(String, String)>,
}

pub struct CheckView {
    pub word: &'static str,
    pub mark: &'static str,
    pub name: String,
    pub detail: String,
    pub promise: String,
    pub reference: String,
}

pub struct FaultView {
    pub fault: String,
    /// What is claimed, whether it was shown, and what was seen.
    pub pieces: Vec<(&'static str, bool, String)>,
}

/// The moment of a broken promise with the operations around it.
pub struct Moment {
    pub check: String,
    pub at: String,
    pub clock: String,
    pub what: String,
    pub client: String,
    pub group: String,
    pub rows: Vec<OperationRow>,
    pub left_out: u64,
}

pub struct OperationRow {
    pub at: String,
    pub took: String,
    pub what: String,
    pub word: &'static str,
    pub said: String,
    /// The moment lies between the row before and this one.
    pub after: bool,
}

pub struct FileView {
    pub path: String,
    /// The path as a link.
    pub link: String,
    pub size: String,
    pub excerpt: String,
    pub cut: bool,
}

/// In the order of their verdicts, and last those that have none.
pub fn all(run: &Run) -> Vec<Scenario> {
    let judged = run.summary.outcomes.iter().map(|outcome| scenario(run, &outcome.scenario, Some(outcome)));
    let unjudged = run.summary.unjudged().into_iter().map(|name| scenario(run, name, None));
    judged.chain(unjudged).collect()
}

fn scenario(run: &Run, name: &str, outcome: Option<&ScenarioOutcome>) -> Scenario {
    let nothing = Story::default();
    let story = run.story(name).unwrap_or(&nothing);
    let none = Observations::default();
    let observations = outcome.map_or(&none, |outcome| &outcome.observations);
    let verdict = outcome.map(|outcome| &outcome.verdict);
    let reasons = match verdict {
        Some(Verdict::Inconclusive { .. } | Verdict::Skipped { .. }) => verdict.map(Verdict::reasons),
        Some(_) => None,
        None => Some(vec!["the run ended before this scenario was judged".to_owned()]),
    };
    Scenario {
        name: name.to_owned(),
        anchor: anchor(name),
        word: verdict.map_or("inconclusive", Verdict::word),
        says: sentence(&story.says),
        took: outcome.map_or(String::new(), |outcome| duration(outcome.took_ms)),
        seed: story.seed.clone(),
        again: outcome.map_or(String::new(), |outcome| outcome.again.clone()),
        reasons: reasons.unwrap_or_default(),
        figures: observations.figures.iter().map(figure).collect(),
        checks: checks(&observations.checks),
        faults: observations.faults.iter().map(fault).collect(),
        timeline: timeline(run, story, &observations.checks),
        totals: timeline::totals(&story.series),
        moments: broken(story, &observations.checks).map(|violation| moment(story, violation)).collect(),
        matrices: story.matrices.iter().map(MatrixView::of).collect(),
        files: story.evidence.iter().map(FileView::of).collect(),
        notes: told(story, &story.notes),
        events: story
            .events
            .iter()
            .map(|(at, e)| {
                (offset(*at, story.zero_ms()), format!("{} {}: {}", e.about, e.reason, e.message), e.warning)
            })
            .collect(),
    }
}

fn timeline(run: &Run, story: &Story, checks: &[Check]) -> String {
    if story.phases.is_empty() {
        return String::new();
    }
    Timeline::of(story, checks, run.last_ms).to_json()
}

fn told(story: &Story, texts: &[(u64, String)]) -> Vec<(String, String)> {
    texts.iter().map(|(at, text)| (offset(*at, story.zero_ms()), text.clone())).collect()
}

/// Seconds from the moment that times are told from.
pub fn offset(at_ms: u64, zero_ms: u64) -> String {
    let sign = if at_ms < zero_ms { '−' } else { '+' };
    format!("{sign}{:.1} s", at_ms.abs_diff(zero_ms) as f64 / 1000.0)
}

fn clock(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(DateTime::from_timestamp_millis);
    at.map_or(String::new(), |at| at.format("%H:%M:%S%.3f UTC").to_string())
}

fn figure(figure: &Figure) -> FigureView {
    let over = figure.limit.is_some_and(|limit| figure.value > limit);
    FigureView {
        name: figure.name.clone(),
        value: number(figure.value),
        unit: figure.unit.clone(),
        limit: figure.limit.map(number),
        over,
        bar: figure.limit.map(|limit| bar(figure.value, limit)),
    }
}

/// The bar is as long as the larger of both with some room; a limit of nothing leaves its mark at the left end.
fn bar(value: f64, limit: f64) -> (String, String) {
    let whole = value.max(limit) * 1.05;
    let share = |part: f64| if whole > 0.0 { (part / whole * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    (format!("{:.1}", share(value)), format!("{:.1}", share(limit)))
}

/// Broken ones first: they are what somebody is looking for.
fn checks(checks: &[Check]) -> Vec<CheckView> {
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by_key(|check| match check.outcome {
        Outcome::Broken => 0,
        Outcome::Unknown => 1,
        Outcome::Unconfirmed => 2,
        Outcome::Held => 3,
    });
    let view = |check: &Check| {
        let word = match check.outcome {
            Outcome::Held => "held",
            Outcome::Broken => "broken",
            Outcome::Unknown | Outcome::Unconfirmed => "unknown",
        };
        CheckView {
            word,
            mark: check.word(),
            name: check.name.clone(),
            detail: check.detail.clone(),
            promise: check.promise.clone(),
            reference: check.reference.clone(),
        }
    };
    sorted.into_iter().map(view).collect()
}

fn fault(fault: &FaultEvidence) -> FaultView {
    let piece = |claim, evidence: &Evidence| match evidence {
        Evidence::Shown(what) => (claim, true, what.clone()),
        Evidence::Missing(why) => (claim, false, why.clone()),
    };
    FaultView {
        fault: fault.fault.clone(),
        pieces: vec![
            piece("took effect", &fault.took_effect),
            piece("healed", &fault.healed),
            piece("clean without it", &fault.control),
        ],
    }
}

/// What is broken is promised: of a guess there is no such moment.
fn broken<'a>(story: &'a Story, checks: &'a [Check]) -> impl Iterator<Item = &'a Violation> {
    let is_guess = |violation: &&Violation| {
        checks.iter().any(|check| check.name == violation.check && check.outcome == Outcome::Unconfirmed)
    };
    story.violations.iter().filter(move |violation| !is_guess(violation))
}

fn moment(story: &Story, violation: &Violation) -> Moment {
    let zero_ms = story.zero_ms();
    let mut passed = false;
    let rows = violation.operations.shown.iter().map(|operation| {
        let after = !passed && operation.at_ms >= violation.at_ms;
        passed |= after;
        OperationRow {
            at: offset(operation.at_ms, zero_ms),
            took: operation.took_ms.map_or("no answer".to_owned(), |ms| format!("{ms:.1} ms")),
            what: operation.what.clone(),
            word: match operation.outcome {
                gauntlet_core::history::Outcome::Ok => "ok",
                gauntlet_core::history::Outcome::Failed => "failed",
                gauntlet_core::history::Outcome::Unknown => "unknown",
            },
            said: operation.said.clone().unwrap_or_default(),
            after,
        }
    });
    Moment {
        check: violation.check.clone(),
        at: offset(violation.at_ms, zero_ms),
        clock: clock(violation.at_ms),
        what: violation.what.clone(),
        client: violation.client.clone(),
        group: violation.group.clone().unwrap_or_default(),
        rows: rows.collect(),
        left_out: violation.operations.left_out,
    }
}

impl FileView {
    pub fn of(file: &EvidenceFile) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let escaped = |c: char| {
            if plain(c) {
                return c.to_string();
            }
            c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
        };
        Self {
            path: file.path.clone(),
            link: file.path.chars().map(escaped).collect(),
            size: size(file.bytes),
            excerpt: file.excerpt.clone(),
            cut: file.cut,
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
