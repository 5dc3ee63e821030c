//! `gauntlet baseline`: figures of earlier runs in one file, and runs held against them.

use crate::cli::{BaselineCommand, Level};
use crate::console::say;
use gauntlet_core::baseline::{self, Baseline, Measurement, Sample};
use gauntlet_core::event::{Event, Record};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{ExitCode, Trouble};
use gauntlet_engine::bus;
use gauntlet_report::{Summary, baseline as words, table};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// # Errors
/// A file or a run cannot be read, or holds nothing to compare.
pub fn baseline(command: &BaselineCommand) -> Result<ExitCode, Trouble> {
    match command {
        BaselineCommand::Add { runs, baseline, report } => add(runs, baseline, report),
        BaselineCommand::Show { baseline } => show(baseline),
        BaselineCommand::Check { runs, baseline, report, level, fail_on_regression } => {
            check(runs, &read(baseline, *level, *fail_on_regression)?, report)
        }
    }
}

/// A baseline from its file.
///
/// # Errors
/// It cannot be read.
pub fn read(file: &Path, level: Level, fails: bool) -> Result<Baseline, Trouble> {
    let measurements = measurements(file)?;
    if measurements.is_empty() {
        let trouble = Trouble::input(format!("{} holds no measurements", file.display()));
        return Err(trouble.hint("add runs to it: gauntlet baseline add RUN"));
    }
    Ok(Baseline { file: file.display().to_string(), measurements, level: level.0, fails })
}

fn measurements(file: &Path) -> Result<Vec<Measurement>, Trouble> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Trouble::input(format!("cannot read the baseline {}: {error}", file.display())))?;
    baseline::parse(&text).map_err(|error| Trouble::input(format!("{}, {error}", file.display())))
}

/// A run's folder and what its events say.
fn summary(reports: &Path, run: &Path) -> Result<(PathBuf, Summary), Trouble> {
    let folder = super::run_folder(reports, run)?;
    let summary = Summary::of(&bus::read(&folder.join("events.jsonl"))?);
    Ok((folder, summary))
}

/// Where a run is one of a mutant, that it is.
fn broken_on_purpose(folder: &Path, summary: &Summary) -> Option<String> {
    let header = summary.header.as_ref()?;
    let mutant = header.deployed_mutant()?;
    Some(format!("{} is a run of {} broken on purpose ({mutant})", folder.display(), header.overlay))
}

fn add(runs: &[PathBuf], file: &Path, reports: &Path) -> Result<ExitCode, Trouble> {
    let mut all = if file.exists() { measurements(file)? } else { vec![] };
    for run in runs {
        let (folder, summary) = summary(reports, run)?;
        if let Some(broken) = broken_on_purpose(&folder, &summary) {
            let trouble = Trouble::input(format!("{broken}, which is no baseline"));
            return Err(trouble.hint("add runs of the overlay itself, without --mutant"));
        }
        let new = summary.measurements(&["passed"]);
        if new.is_empty() {
            let trouble = Trouble::input(format!("no scenario that passed in {} measured anything", folder.display()));
            return Err(trouble.hint("only runs that passed make a baseline"));
        }
        say(format!("{}: {} measurements", folder.display(), new.len()));
        all.extend(new);
    }
    std::fs::write(file, baseline::render(&all)).or_trouble(|| format!("cannot write {}", file.display()))?;
    Ok(ExitCode::Passed)
}

fn show(file: &Path) -> Result<ExitCode, Trouble> {
    let mut places: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for one in measurements(file)? {
        places.entry(one.place()).or_default().push(one.value);
    }
    let mut last = None;
    let tests = places.len().max(1) as f64;
    for (place, values) in &places {
        let of = format!("{} {} on {}, {}", place.system, place.overlay, place.provider, place.scenario);
        if last.as_ref() != Some(&of) {
            say(&of);
            last = Some(of);
        }
        let needed = baseline::repeats_needed(values.len(), Level::default().0 / tests)
            .map_or("more values are needed".to_owned(), |n| format!("{n} repeats can show a regression"));
        say(format!("  {}: {}; {needed}", place.figure, words::sample(&Sample::of(values), &place.unit)));
    }
    Ok(ExitCode::Passed)
}

/// Compares, and writes what it comes to into the reports of the last of the runs.
fn check(runs: &[PathBuf], baseline: &Baseline, reports: &Path) -> Result<ExitCode, Trouble> {
    let mut measured = Vec::new();
    let mut folders = Vec::new();
    for run in runs {
        let (folder, summary) = summary(reports, run)?;
        if let Some(broken) = broken_on_purpose(&folder, &summary) {
            say(format!("note: {broken}; its figures say nothing about the overlay itself"));
        }
        measured.extend(summary.measurements(&["passed", "failed"]));
        folders.push(folder);
    }
    if measured.is_empty() {
        return Err(Trouble::input("nothing was measured in what is to be compared"));
    }
    let comparison = baseline.against(&measured);
    say(table::printable(&words::render(&comparison, true)).trim_end());
    let failed = comparison.has_failed();
    if let Some(folder) = folders.last() {
        bus::append(&folder.join("events.jsonl"), &Record::new(bus::now_ms(), Event::BaselineCompared(comparison)))?;
        super::report::write_all(folder)?;
        eprintln!("report: {}", folder.display());
    }
    Ok(if failed { ExitCode::Failed } else { ExitCode::Passed })
}

/// A level as people write it: a share, or a number with `%`.
///
/// # Errors
/// It is no probability that anybody wants.
pub fn level(text: &str) -> Result<Level, String> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
    let level = number.trim().parse::<f64>().map_err(|_| format!("`{text}` is no share"))? / scale;
    if level > 0.0 && level <= 0.5 { Ok(Level(level)) } else { Err("a level is above 0 and at most 0.5".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_share_or_a_percentage() {
        for (text, expected) in [("0.05", Some(0.05)), ("1%", Some(0.01)), ("0", None), ("60%", None), ("x", None)] {
            assert_eq!(level(text).ok().map(|level| level.0), expected, "{text}");
        }
    }
}
