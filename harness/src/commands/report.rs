//! `gauntlet report RUN`: a run's reports again, from its events alone.

use crate::cli::ReportArgs;
use crate::console;
use gauntlet_core::{ExitCode, Trouble};
use gauntlet_engine::bus;
use gauntlet_report::{Summary, junit, table};

/// # Errors
/// There is no such run, or its events cannot be read.
pub fn report(arguments: &ReportArgs) -> Result<ExitCode, Trouble> {
    let by_id = arguments.report.join(&arguments.run);
    let folder = [&by_id, &arguments.run].into_iter().find(|folder| folder.join("events.jsonl").is_file());
    let folder = folder.ok_or_else(|| {
        Trouble::input(format!(
            "no run `{}` with an events.jsonl is in {}",
            arguments.run.display(),
            arguments.report.display()
        ))
        .hint("give the id of a run, or its folder")
    })?;
    let summary = Summary::of(&bus::read(&folder.join("events.jsonl"))?);
    let path = folder.join("junit.xml");
    std::fs::write(&path, junit::render(&summary).map_err(Trouble::harness)?)
        .map_err(|error| Trouble::harness(format!("cannot write {}: {error}", path.display())))?;
    print!("{}", table::render(&summary, folder, console::wants_colour()));
    Ok(ExitCode::Passed)
}
