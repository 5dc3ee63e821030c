//! One module per subcommand.

mod clean;
mod cluster;
mod doctor;
mod list;
mod report;
mod run;

use crate::cli::{Cli, Command};
use gauntlet_cluster::Provider;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_core::contract::Deployment;
use gauntlet_core::{Contract, ExitCode, Trouble, suggest};
use std::sync::Arc;

/// Runs the command that was asked for.
///
/// # Errors
/// Why it could not be done.
pub async fn dispatch(cli: Cli) -> Result<ExitCode, Trouble> {
    match cli.command {
        Command::Run(arguments) => run::run(arguments, cli.verbose).await,
        Command::List(arguments) => list::list(&arguments),
        Command::Cluster(command) => cluster::cluster(command).await,
        Command::Clean => clean::clean().await,
        Command::Doctor(arguments) => doctor::doctor(&arguments).await,
        Command::Report(arguments) => report::report(&arguments),
    }
}

/// Providers by name.
fn provider(name: &str) -> Result<Arc<dyn Provider>, Trouble> {
    match name {
        "embedded" => Ok(Arc::new(Embedded::default())),
        "kind" | "kubeconfig" => Err(Trouble::input(format!("clusters of the provider `{name}` cannot be used yet"))
            .hint("use --cluster embedded")),
        _ => {
            let trouble = Trouble::input(format!("no provider of clusters is called `{name}`"));
            Err(suggest::sentence(name, ["embedded"]).into_iter().fold(trouble, Trouble::hint))
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
