//! `gauntlet cluster up|down|list`: embedded clusters by themselves.

use crate::cli::ClusterCommand;
use gauntlet_cluster::host;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::{Cluster, Provider};
use gauntlet_core::{ExitCode, Trouble};
use scenarios::systems;

/// # Errors
/// The cluster could not be started, stopped or listed.
pub async fn cluster(command: ClusterCommand) -> Result<ExitCode, Trouble> {
    let provider = Embedded::default();
    match command {
        ClusterCommand::Up { name, nodes, port, system, no_install } => {
            let contract = systems::load(&system.system)?.contract;
            host::ensure(&contract, no_install).await?;
            provider.check()?;
            let wanted = Wanted { images: contract.images, detached: true, port, ..Wanted::bare(name, nodes) };
            up(&provider, wanted).await
        }
        ClusterCommand::Down { name } => {
            if !provider.list()?.iter().any(|cluster| cluster.id == name) {
                return Err(Trouble::input(format!("no cluster is called `{name}`")).hint("see gauntlet cluster list"));
            }
            provider.discard(&name).await?;
            println!("cluster {name} is gone");
            Ok(ExitCode::Passed)
        }
        ClusterCommand::List => {
            let clusters = provider.list()?;
            for cluster in &clusters {
                println!("{:40} {}", cluster.id, cluster.state);
            }
            if clusters.is_empty() {
                println!("no clusters");
            }
            Ok(ExitCode::Passed)
        }
    }
}

async fn up(provider: &Embedded, wanted: Wanted) -> Result<ExitCode, Trouble> {
    let cluster: Box<dyn Cluster> = provider.launch(wanted).await?;
    println!("cluster {} is ready: Kubernetes {}", cluster.id(), cluster.access().version().await?);
    println!("  export KUBECONFIG={}", cluster.access().kubeconfig.display());
    println!("  gauntlet cluster down {}", cluster.id());
    Ok(ExitCode::Passed)
}
