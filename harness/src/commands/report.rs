//! `gauntlet report RUN`: a run's reports again, from its events alone.

use crate::cli::ReportArgs;
use crate::console::{self, say};
use gauntlet_core::{ExitCode, Trouble};
use gauntlet_engine::bus;
use gauntlet_report::{Summary, junit, page, table};
use std::path::Path;

/// # Errors
/// There is no such run, or its events cannot be read.
pub fn report(arguments: &ReportArgs) -> Result<ExitCode, Trouble> {
    let folder = &super::run_folder(&arguments.report, &arguments.run)?;
    let summary = write_all(folder)?;
    say(table::render(&summary, folder, console::wants_colour()).trim_end());
    Ok(ExitCode::Passed)
}

/// Writes the reports of a run again.
///
/// # Errors
/// Its events cannot be read, or a report not be written.
pub fn write_all(folder: &Path) -> Result<Summary, Trouble> {
    let records = bus::read(&folder.join("events.jsonl"))?;
    let summary = Summary::of(&records);
    write(&folder.join("junit.xml"), junit::render(&summary, folder))?;
    write(&folder.join("index.html"), page::render(&records))?;
    Ok(summary)
}

fn write(path: &Path, rendered: Result<String, String>) -> Result<(), Trouble> {
    std::fs::write(path, rendered.map_err(Trouble::harness)?)
        .map_err(|error| Trouble::harness(format!("cannot write {}: {error}", path.display())))
}
