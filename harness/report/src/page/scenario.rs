//! What the template shows of one scenario.

use super::document::Citation;
use super::matrix::MatrixView;
use super::timeline::{self, Timeline};
use super::view::{anchor, duration};
use super::words::sentence;
use crate::story::{Run, Story, offset};
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
    pub searched: Searched,
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
    /// In plain words, where the scenario has some.
    pub told: Option<String>,
    pub detail: String,
    pub promise: String,
    pub cited: Citation,
}

pub struct FaultView {
    pub fault: String,
    /// What is claimed, whether it was shown, and what was seen.
    pub pieces: Vec<(&'static str, bool, String)>,
}

/// The moment of a broken promise with the operations around it, if any.
pub struct Moment {
    pub check: String,
    pub at: String,
    pub clock: String,
    pub what: String,
    /// Empty where no client had a part in it.
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
    pub bytes: u64,
    pub excerpt: String,
    pub cut: bool,
}

/// How much of the files of evidence is on the page, and so can be searched there.
pub struct Searched {
    /// `1.2 MiB of 5.6 MiB`.
    pub share: String,
    /// Those that are there in part: how much of each, its name, and its link.
    pub parts: Vec<(String, String, String)>,
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
    let files: Vec<FileView> = story.evidence.iter().map(FileView::of).collect();
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
        moments: story.broken(&observations.checks).map(|violation| moment(story, violation)).collect(),
        matrices: story.matrices.iter().map(MatrixView::of).collect(),
        searched: Searched::of(&files),
        files,
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
            told: check.told.clone(),
            detail: check.detail.clone(),
            promise: check.promise.clone(),
            cited: Citation::of(&check.promise, &check.reference),
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
        client: violation.client.clone().unwrap_or_default(),
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
            bytes: file.bytes,
            excerpt: file.excerpt.clone(),
            cut: file.cut,
        }
    }
}

impl Searched {
    pub fn of(files: &[FileView]) -> Self {
        let shown = |file: &FileView| file.excerpt.len() as u64;
        let part = |file: &FileView| {
            let name = file.path.rsplit('/').next().unwrap_or_default().to_owned();
            (share(shown(file), file.bytes), name, file.link.clone())
        };
        Self {
            share: share(files.iter().map(shown).sum(), files.iter().map(|file| file.bytes).sum()),
            parts: files.iter().filter(|file| file.cut).map(part).collect(),
        }
    }
}

/// One amount of another, without saying its unit twice.
fn share(part: u64, whole: u64) -> String {
    let (part, whole) = (size(part), size(whole));
    let same = part.rsplit_once(' ').zip(whole.rsplit_once(' ')).filter(|(part, whole)| part.1 == whole.1);
    format!("{} of {whole}", same.map_or(part.as_str(), |(part, _)| part.0))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_says_its_unit_once_where_it_can() {
        for (part, whole, expected) in [
            (24 * 1024, 200 * 1024, "24.0 of 200.0 KiB"),
            (24 * 1024, 3 << 20, "24.0 KiB of 3.0 MiB"),
            (0, 5, "0 of 5 B"),
        ] {
            assert_eq!(share(part, whole), expected);
        }
    }
}
