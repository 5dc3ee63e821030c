//! One module per subcommand.

mod clean;
mod cluster;
mod consent;
mod doctor;
mod list;
mod report;
mod run;

use crate::cli::{Cli, ClusterArgs, Command};
use gauntlet_cluster::Provider;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::provider::kubeconfig::{self, Kubeconfig};
use gauntlet_core::contract::Deployment;
use gauntlet_core::{Contract, ExitCode, Trouble, suggest};
use std::sync::Arc;

/// Runs the command that was asked for.
///
/// # Errors
/// Why it could not be done.
pub async fn dispatch(cli: Cli) -> Result<ExitCode, Trouble> {
    match cli.command {
        Command::Run(arguments) => run::run(*arguments, cli.verbose).await,
        Command::List(arguments) => list::list(&arguments),
        Command::Cluster(command) => cluster::cluster(command).await,
        Command::Clean(arguments) => clean::clean(&arguments).await,
        Command::Doctor(arguments) => doctor::doctor(&arguments).await,
        Command::Report(arguments) => report::report(&arguments),
    }
}

/// Where clusters come from, as the command line has it.
enum Source {
    Embedded(Embedded),
    Kubeconfig(Kubeconfig),
}

impl Source {
    fn provider(self) -> Arc<dyn Provider> {
        match self {
            Self::Embedded(embedded) => Arc::new(embedded),
            Self::Kubeconfig(kubeconfig) => Arc::new(kubeconfig),
        }
    }
}

/// Providers by name. `agent_image` and `node_faults` concern existing clusters.
fn source(arguments: &ClusterArgs, agent_image: &str, node_faults: bool) -> Result<Source, Trouble> {
    match (arguments.cluster.as_str(), &arguments.context) {
        ("embedded", None) => Ok(Source::Embedded(Embedded::default())),
        ("embedded", Some(_)) => {
            Err(Trouble::input("--context names an existing cluster, which an embedded one is not")
                .hint("use --cluster kubeconfig with it"))
        }
        ("kubeconfig", Some(context)) => Ok(Source::Kubeconfig(Kubeconfig {
            file: arguments.kubeconfig.clone().unwrap_or_else(kubeconfig::default_file),
            context: context.clone(),
            node_faults,
            agent_image: agent_image.to_owned(),
        })),
        ("kubeconfig", None) => Err(Trouble::input("an existing cluster is used only when its context is named")
            .hint("add --context NAME; `kubectl config get-contexts` lists them")),
        ("kind", _) => {
            Err(Trouble::input("clusters of the provider `kind` cannot be used yet").hint("use --cluster embedded"))
        }
        (name, _) => {
            let trouble = Trouble::input(format!("no provider of clusters is called `{name}`"));
            Err(suggest::sentence(name, ["embedded", "kubeconfig"]).into_iter().fold(trouble, Trouble::hint))
        }
    }
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
