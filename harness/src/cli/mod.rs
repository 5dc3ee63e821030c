//! The command line.
//!
//! - [`run`]: what `gauntlet run` is told
//! - [`clusters`]: where clusters come from, and those that outlive a run
//! - [`runs`]: what is asked of runs that have ended

mod clusters;
mod run;
mod runs;

pub use clusters::{ClusterArgs, ClusterCommand, KindArgs};
pub use run::{Evidence, Kept, RunArgs};
pub use runs::{BaselineCommand, CheckArgs, DiffArgs, Level, ReportArgs};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Deploys a system on a cluster, breaks it on purpose, and says honestly whether it held.
///
/// Exit codes: 0 everything passed (skips allowed), 1 a promise was broken, 2 bad input, 3 inconclusive or trouble with
/// the harness, 130 interrupted (after cleaning up).
#[derive(Debug, Parser)]
#[command(name = "gauntlet", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Tell everything that is seen while waiting, and log what the harness does
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

const EXAMPLES: &str = "Examples:
  gauntlet run                          every scenario, Cordum's production overlay, embedded cluster
  gauntlet run redis --seed 7           the scenarios whose name contains `redis`, with the choices of seed 7
  gauntlet init deploy/production       propose a contract for a deployment of your own
  gauntlet run --system ./my-system     a system of your own: a folder with a system.yaml
  gauntlet cluster up                   only a cluster, to use with kubectl
  gauntlet doctor                       what this machine lacks, and how to get it";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios and report their verdicts
    Run(Box<RunArgs>),
    /// Propose a contract for a deployment of your own, for you to confirm
    Init(InitArgs),
    /// List scenarios and systems
    List(ListArgs),
    /// Start embedded clusters; stop and list clusters on this machine
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Heal and remove what dead runs and clusters left
    Clean(ClusterArgs),
    /// Say what this machine lacks, and how to get it
    Doctor(SystemArgs),
    /// Show a run again and write its reports again from its events
    Report(ReportArgs),
    /// Compare two runs: verdicts, what was broken, figures, and where the time went
    ///
    /// Exits with 1 where something passed in the first and did not in the second.
    Diff(DiffArgs),
    /// Judge what clients recorded in a run again, with the checkers of today
    ///
    /// Exits with 1 where something comes to something else, and with 2 where the run cannot be read.
    Check(CheckArgs),
    /// Keep figures of runs, and tell a regression from noise
    #[command(subcommand)]
    Baseline(BaselineCommand),
}

#[derive(Debug, Args)]
#[command(after_help = INIT_EXAMPLES)]
pub struct InitArgs {
    /// A kustomization, a folder of manifests, or one file of them
    #[arg(value_name = "DIR")]
    pub manifests: PathBuf,

    /// The folder in which the contract is made
    #[arg(long, default_value = "gauntlet", value_name = "DIR")]
    pub into: PathBuf,

    /// What the system is called; by default as the namespace of most of its objects
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Replace files that are there already, and with them what was confirmed there
    #[arg(long)]
    pub force: bool,
}

const INIT_EXAMPLES: &str =
    "Everything that is proposed is a guess and says so in the file. A run looks at guesses, tells what it saw,
and judges none of them. Whoever deletes `guessed: true` promises what is written there.

Examples:
  gauntlet init deploy/overlays/production
  gauntlet init rendered.yaml --into qualification --name shop";

#[derive(Debug, Args)]
pub struct SystemArgs {
    /// The system under test: the name of a bundled one, or a folder with a system.yaml
    #[arg(long, default_value = "cordum", value_name = "NAME|DIR")]
    pub system: String,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub system: SystemArgs,

    /// The overlay that scenarios are matched with
    #[arg(long, value_name = "NAME")]
    pub overlay: Option<String>,
}
