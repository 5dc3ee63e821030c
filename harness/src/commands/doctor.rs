//! `gauntlet doctor`: what this machine lacks, and how to get it.

use crate::cli::SystemArgs;
use crate::console::say;
use gauntlet_cluster::host;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::{Provider, render};
use gauntlet_core::{ExitCode, Trouble};
use scenarios::systems;

/// # Errors
/// The system does not exist.
pub async fn doctor(arguments: &SystemArgs) -> Result<ExitCode, Trouble> {
    let contract = systems::load(&arguments.system)?.contract;
    let mut lacking = false;
    let needed = host::programs::needed(&contract);
    for program in &needed {
        match host::programs::find(program.name) {
            Some(path) => say(format!("ok       {:14} {}", program.name, path.display())),
            None => {
                lacking = true;
                say(format!("missing  {:14} apt-get install {}", program.name, program.package));
            }
        }
    }
    for release in host::programs::outdated(&needed).await {
        say(format!("note     {:14} older than {}, which `gauntlet run` installs", release.program, release.version));
    }
    match render::find_renderer().await {
        Ok(renderer) => say(format!("ok       {:14} {renderer}", "renderer")),
        Err(why) => say(format!("note     {:14} {why}: bundled systems come rendered, others need one", "renderer")),
    }
    match Embedded::default().check().await {
        Ok(()) => say(format!("ok       {:14} this machine can run embedded clusters", "cluster")),
        Err(trouble) => {
            lacking = true;
            say(format!("missing  {:14} {trouble}", "cluster"));
            trouble.hints.iter().for_each(|hint| say(format!("hint: {hint}")));
        }
    }
    match super::kind(&super::Details::default())?.check().await {
        Ok(()) => say(format!("ok       {:14} this machine can run clusters of kind", "kind")),
        Err(trouble) => say(format!("note     {:14} {trouble}", "kind")),
    }
    Ok(if lacking { ExitCode::Inconclusive } else { ExitCode::Passed })
}
