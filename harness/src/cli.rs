//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use gauntlet_core::digest::Expected;
use gauntlet_engine::evidence::DEFAULT_MIB;
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

/// What clusters of kind are like.
#[derive(Debug, Default, Args)]
pub struct KindArgs {
    /// Of clusters of kind: a configuration in kind/ (cluster, three-control-planes), or a file with one; a file decides
    /// how many nodes there are
    #[arg(long, value_name = "NAME|FILE")]
    pub kind_config: Option<String>,

    /// Of clusters of kind: the version of Kubernetes, for example 1.35; kind/images.yaml lists them
    #[arg(long, value_name = "VERSION")]
    pub kubernetes: Option<String>,

    /// Of clusters of kind: load the images of this archive, as `docker save` writes it; may be given several times
    #[arg(long, value_name = "FILE")]
    pub image_archive: Vec<PathBuf>,

    /// Of clusters of kind: the image whose libraries the agent's image is built with
    #[arg(long, value_name = "IMAGE")]
    pub agent_base: Option<String>,
}

/// Where clusters come from.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Where clusters come from: embedded, kind for real ones in Docker, or kubeconfig for one that exists already
    #[arg(long, default_value = "embedded", value_name = "PROVIDER")]
    pub cluster: String,

    /// Of an existing cluster: the context, which is never guessed
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// Of an existing cluster: the file with the context; by default where kubectl looks
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Of an existing cluster: do not ask whether to go on
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub system: SystemArgs,

    /// The overlay that scenarios are matched with
    #[arg(long, value_name = "NAME")]
    pub overlay: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Start a cluster that outlives this command
    Up {
        /// Its name
        #[arg(default_value = "gauntlet")]
        name: String,
        /// Nodes for workloads
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50), value_name = "N")]
        nodes: u8,
        /// Port of the API on 127.0.0.1; the system chooses one otherwise
        #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "PORT")]
        port: u16,
        #[command(flatten)]
        system: SystemArgs,
        /// Install nothing; name the command that would
        #[arg(long)]
        no_install: bool,
    },
    /// Stop a cluster and remove everything of it
    Down {
        /// Its name
        #[arg(default_value = "gauntlet")]
        name: String,
    },
    /// List clusters
    List,
}

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

/// How likely a false alarm may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level(pub f64);

impl Default for Level {
    fn default() -> Self {
        Self(0.05)
    }
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
