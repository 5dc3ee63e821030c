//! What `gauntlet run` is told.

use super::{ClusterArgs, KindArgs, Level, SystemArgs};
use clap::{Args, ValueEnum};
use gauntlet_core::digest::Expected;
use gauntlet_engine::evidence::DEFAULT_MIB;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// Run only scenarios whose name contains one of these
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,

    /// Filters and skips must be whole names
    #[arg(long)]
    pub exact: bool,

    /// Leave out scenarios whose name contains this; may be given several times
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<String>,

    /// Print the selected scenarios and run nothing
    #[arg(long)]
    pub list: bool,

    #[command(flatten)]
    pub system: SystemArgs,

    /// The overlay to deploy; the contract says which one is the default
    #[arg(long, value_name = "NAME")]
    pub overlay: Option<String>,

    /// Deploy the overlay broken in one way on purpose: a folder of the system's mutants/
    #[arg(long, value_name = "NAME")]
    pub mutant: Option<String>,

    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// Of an existing cluster: cordon and drain nodes, whoever else has pods on them
    #[arg(long)]
    pub allow_node_faults: bool,

    /// The image of this program, for clients and stand-ins. An existing cluster pulls gauntlet/agent:latest by default;
    /// for clusters of kind it is built from this program
    #[arg(long, value_name = "IMAGE")]
    pub agent_image: Option<String>,

    #[command(flatten)]
    pub kind: KindArgs,

    /// Nodes for the system on each cluster
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50), value_name = "N")]
    pub nodes: u8,

    /// Make the random choices of an earlier run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Expect what an earlier run deployed: system=DIGEST,overlay=DIGEST, as its command for the same again has it. What
    /// differs is told and changes no verdict
    #[arg(long, value_name = "DIGESTS")]
    pub expect_digest: Option<Expected>,

    /// Clusters at once; by default one for each of the machine's cores, eight at the most, and one where the cluster
    /// exists already
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=16), value_name = "N")]
    pub parallel: Option<u16>,

    /// Run everything this often; the report says how often each scenario passed, and how sure that is
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub repeat: Option<u32>,

    /// Run everything again and again until something does not pass, 1000 times at the most or as --repeat says
    #[arg(long)]
    pub until_fail: bool,

    /// Leave clusters running when the run ends: all of them, or with `--keep=failed` those on which something did not
    /// pass; `gauntlet cluster list` says why they are there
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "all", value_name = "WHICH")]
    pub keep: Option<Kept>,

    /// Collect evidence of what did not pass, or of everything
    #[arg(long, value_enum, default_value_t = Evidence::Failed, value_name = "WHICH")]
    pub evidence: Evidence,

    /// How much evidence there may be of one scenario, in MiB
    #[arg(long, default_value_t = DEFAULT_MIB, value_name = "MIB")]
    pub evidence_limit: usize,

    /// Where the folder of the run's reports is made
    #[arg(long, default_value = "reports", value_name = "DIR")]
    pub report: PathBuf,

    /// Append the verdicts to this file as Markdown, for the job page of a CI system
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,

    /// With `-`: every event on standard output as it happens, one JSON object a line (reports/schema/ tells what can be
    /// in it); the table of verdicts goes to standard error
    #[arg(long, value_name = "-", value_parser = ["-"])]
    pub events: Option<String>,

    /// Hold the figures against those of earlier runs in this file, which `gauntlet baseline add` writes; with --repeat,
    /// since one value can never tell
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    /// Exit with 1 where a figure regressed
    #[arg(long, requires = "baseline")]
    pub fail_on_regression: bool,

    /// How likely a false alarm may be, over all figures together
    #[arg(long, default_value = "5%", value_parser = crate::commands::level, value_name = "SHARE")]
    pub level: Level,

    /// Install nothing; name the command that would
    #[arg(long)]
    pub no_install: bool,
}

/// Which clusters stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kept {
    All,
    /// Those on which something did not pass
    Failed,
}

/// Of which scenarios evidence is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Evidence {
    /// Of those that did not pass
    Failed,
    All,
}

const RUN_EXAMPLES: &str = "Examples:
  gauntlet run
  gauntlet run drain --keep             leave the cluster for a look with kubectl
  gauntlet run --exact redis.failover --repeat 10
  gauntlet run nats --until-fail --keep=failed
  gauntlet run --repeat 5 --baseline baseline.jsonl --fail-on-regression
  gauntlet run --events - | jq 'select(.event == \"checked\")'
  gauntlet run --mutant redis.failover/no-replicas redis.failover
  gauntlet run --cluster kind --kubernetes 1.35
  gauntlet run --cluster kubeconfig --context staging --allow-node-faults";
