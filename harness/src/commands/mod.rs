//! One module per subcommand.

mod again;
mod baseline;
mod check;
mod clean;
mod cluster;
mod consent;
mod diff;
mod doctor;
mod init;
mod list;
mod lost;
mod report;
mod run;

pub use baseline::level;

use crate::cli::{Cli, ClusterArgs, Command, KindArgs};
use gauntlet_cluster::Provider;
use gauntlet_cluster::images::AGENT_IMAGE;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::provider::kind::load::Agent;
use gauntlet_cluster::provider::kind::topology::{NodeImage, Topology};
use gauntlet_cluster::provider::kind::{Kind, base};
use gauntlet_cluster::provider::kubeconfig::{self, Kubeconfig};
use gauntlet_core::contract::Deployment;
use gauntlet_core::{Contract, ExitCode, Trouble, suggest};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs the command that was asked for.
///
/// # Errors
/// Why it could not be done.
pub async fn dispatch(cli: Cli) -> Result<ExitCode, Trouble> {
    match cli.command {
        Command::Run(arguments) => run::run(*arguments, cli.verbose).await,
        Command::Init(arguments) => init::init(&arguments).await,
        Command::List(arguments) => list::list(&arguments),
        Command::Cluster(command) => cluster::cluster(command).await,
        Command::Clean(arguments) => clean::clean(&arguments).await,
        Command::Doctor(arguments) => doctor::doctor(&arguments).await,
        Command::Report(arguments) => report::report(&arguments),
        Command::Diff(arguments) => diff::diff(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Baseline(command) => baseline::baseline(&command),
    }
}

/// The folder of a run that is named by its id among `reports`, or by the folder itself.
fn run_folder(reports: &Path, run: &Path) -> Result<PathBuf, Trouble> {
    let found = [reports.join(run), run.to_owned()].into_iter().find(|folder| folder.join("events.jsonl").is_file());
    found.ok_or_else(|| {
        let trouble = format!("no run `{}` with an events.jsonl is in {}", run.display(), reports.display());
        Trouble::input(trouble).hint("give the id of a run, or its folder")
    })
}

/// Where clusters come from, as the command line has it.
enum Source {
    Embedded(Embedded),
    Kind(Kind),
    Kubeconfig(Kubeconfig),
}

impl Source {
    fn provider(self) -> Arc<dyn Provider> {
        match self {
            Self::Embedded(embedded) => Arc::new(embedded),
            Self::Kind(kind) => Arc::new(kind),
            Self::Kubeconfig(kubeconfig) => Arc::new(kubeconfig),
        }
    }
}

/// What the command line says of clusters that are not embedded.
#[derive(Default)]
struct Details<'a> {
    agent_image: Option<&'a str>,
    /// Nodes of an existing cluster may be drained.
    node_faults: bool,
    kind: Option<&'a KindArgs>,
}

/// Providers by name.
fn source(arguments: &ClusterArgs, details: &Details<'_>) -> Result<Source, Trouble> {
    let file = arguments.kubeconfig.clone();
    match (arguments.cluster.as_str(), &arguments.context) {
        ("kubeconfig", Some(context)) => Ok(Source::Kubeconfig(Kubeconfig {
            file: file.unwrap_or_else(kubeconfig::default_file),
            context: context.clone(),
            node_faults: details.node_faults,
            agent_image: details.agent_image.unwrap_or(AGENT_IMAGE).to_owned(),
        })),
        ("kubeconfig", None) => Err(Trouble::input("an existing cluster is used only when its context is named")
            .hint("add --context NAME; `kubectl config get-contexts` lists them")),
        ("embedded" | "kind", Some(_)) => {
            Err(Trouble::input("--context names an existing cluster, which one of our own is not")
                .hint("use --cluster kubeconfig with it"))
        }
        ("embedded", None) => Ok(Source::Embedded(Embedded::default())),
        ("kind", None) => kind(details).map(Source::Kind),
        (name, _) => {
            let trouble = Trouble::input(format!("no provider of clusters is called `{name}`"));
            Err(suggest::sentence(name, ["embedded", "kind", "kubeconfig"]).into_iter().fold(trouble, Trouble::hint))
        }
    }
}

fn kind(details: &Details<'_>) -> Result<Kind, Trouble> {
    let none = KindArgs::default();
    let arguments = details.kind.unwrap_or(&none);
    let agent = match details.agent_image {
        Some(image) => Agent::Given(image.to_owned()),
        // A name of its own, so that runs at once do not remove each other's; and no `latest`, which nodes would pull.
        None => Agent::Built {
            name: format!("gauntlet/agent:{}", uuid::Uuid::new_v4().simple()),
            base: arguments.agent_base.clone().unwrap_or_else(base::of_this_machine),
        },
    };
    let image = match (&arguments.node_image, &arguments.kubernetes) {
        (Some(own), _) => NodeImage::Own(own),
        (None, Some(version)) => NodeImage::Of(version),
        (None, None) => NodeImage::Default,
    };
    let topology = Topology::choose(arguments.kind_config.as_deref(), image)?;
    let mut kind = Kind::new(gauntlet_embedded::default_state_dir(), topology, agent, arguments.image_archive.clone());
    if let Some(within) = arguments.ready_within {
        kind.ready_within = within.0;
    }
    Ok(kind)
}

/// The overlay of that name, or the default one.
fn deployment<'a>(contract: &'a Contract, overlay: Option<&str>) -> Result<Deployment<'a>, Trouble> {
    contract.deployment(overlay).ok_or_else(|| {
        let name = overlay.unwrap_or("default");
        let trouble = Trouble::input(format!("{} has no overlay called `{name}`", contract.name.value));
        let known = contract.overlays.keys().map(String::as_str);
        suggest::sentence(name, known).into_iter().fold(trouble, Trouble::hint)
    })
}
