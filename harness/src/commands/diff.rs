//! `gauntlet diff RUN RUN`: what changed from one run to another, from their events alone.

use crate::cli::DiffArgs;
use crate::console::say;
use gauntlet_core::{ExitCode, Trouble};
use gauntlet_engine::bus;
use gauntlet_report::diff;
use gauntlet_report::story::Run;

/// # Errors
/// One of the runs does not exist, or its events cannot be read.
pub fn diff(arguments: &DiffArgs) -> Result<ExitCode, Trouble> {
    let read = |run| -> Result<Run, Trouble> {
        let folder = super::run_folder(&arguments.report, run)?;
        Ok(Run::of(&bus::read(&folder.join("events.jsonl"))?))
    };
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    say(diff::render(&before, &after).trim_end());
    Ok(if diff::is_worse(&before.summary, &after.summary) { ExitCode::Failed } else { ExitCode::Passed })
}
