//! `gauntlet doctor`: what this machine lacks, and how to get it.

use crate::cli::SystemArgs;
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
    for program in host::programs::needed(&contract) {
        match host::programs::find(program.name) {
            Some(path) => println!("ok       {:14} {}", program.name, path.display()),
            None => {
                lacking = true;
                println!("missing  {:14} apt-get install {}", program.name, program.package);
            }
        }
    }
    match render::find_renderer().await {
        Ok(renderer) => println!("ok       {:14} {renderer}", "renderer"),
        Err(why) => println!("note     {:14} {why}: bundled systems come rendered, others need one", "renderer"),
    }
    match Embedded::default().check() {
        Ok(()) => println!("ok       {:14} this machine can run embedded clusters", "cluster"),
        Err(trouble) => {
            lacking = true;
            println!("missing  {:14} {trouble}", "cluster");
            trouble.hints.iter().for_each(|hint| println!("hint: {hint}"));
        }
    }
    Ok(if lacking { ExitCode::Inconclusive } else { ExitCode::Passed })
}
