//! What is asked of runs that have ended.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run's id, or its folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Where the folders of runs are
    #[arg(long, default_value = "reports", value_name = "DIR")]
    pub report: PathBuf,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The run's id, or its folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Tell also what came to the same, and what histories say nothing about
    #[arg(long)]
    pub all: bool,

    /// Where the folders of runs are
    #[arg(long, default_value = "reports", value_name = "DIR")]
    pub report: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// Add the figures of runs that passed; one that is there already is replaced
    Add {
        /// Runs: ids, or folders
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<PathBuf>,
        /// The file that keeps them: JSON lines, one a measurement
        #[arg(long, default_value = "baseline.jsonl", value_name = "FILE")]
        baseline: PathBuf,
        /// Where the folders of runs are
        #[arg(long, default_value = "reports", value_name = "DIR")]
        report: PathBuf,
    },
    /// Show what is kept, and how many repeats could show a regression
    Show {
        /// The file that keeps them
        #[arg(long, default_value = "baseline.jsonl", value_name = "FILE")]
        baseline: PathBuf,
    },
    /// Hold runs against what is kept, all of them together; their last one's reports tell it too
    ///
    /// Each figure is tested by the exact one-sided rank test of Mann and Whitney, all of them are held to one level by
    /// Holm's procedure, and what is less than a quarter and half a second longer does not count. One new value can
    /// never tell: run with `--repeat 5`, or name several runs.
    Check {
        /// Runs: ids, or folders
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<PathBuf>,
        /// The file that keeps the figures of earlier runs
        #[arg(long, default_value = "baseline.jsonl", value_name = "FILE")]
        baseline: PathBuf,
        /// Where the folders of runs are
        #[arg(long, default_value = "reports", value_name = "DIR")]
        report: PathBuf,
        /// How likely a false alarm may be, over all figures together
        #[arg(long, default_value = "5%", value_parser = crate::commands::level, value_name = "SHARE")]
        level: Level,
        /// Exit with 1 where a figure regressed
        #[arg(long)]
        fail_on_regression: bool,
    },
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The run to compare with: its id, or its folder
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,

    /// The run to compare
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,

    /// Where the folders of runs are
    #[arg(long, default_value = "reports", value_name = "DIR")]
    pub report: PathBuf,
}

/// How likely a false alarm may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level(pub f64);

impl Default for Level {
    fn default() -> Self {
        Self(0.05)
    }
}
