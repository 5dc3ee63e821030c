//! `gauntlet cluster up|down|list`: embedded clusters by themselves, and an end to those of kind that were kept.

use crate::cli::ClusterCommand;
use crate::console::say;
use gauntlet_cluster::host;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::{Cluster, Provider};
use gauntlet_core::{ExitCode, Trouble};
use gauntlet_engine::folder::RunRecord;
use gauntlet_engine::kept;
use scenarios::systems;

/// # Errors
/// The cluster could not be started, stopped or listed.
pub async fn cluster(command: ClusterCommand) -> Result<ExitCode, Trouble> {
    let provider = Embedded::default();
    match command {
        ClusterCommand::Up { name, nodes, port, system, no_install } => {
            let contract = systems::load(&system.system)?.contract;
            host::ensure(&contract, no_install).await?;
            provider.check().await?;
            let wanted = Wanted { images: contract.images, detached: true, port, ..Wanted::bare(name, nodes) };
            up(&provider, wanted).await
        }
        ClusterCommand::Down { name } => {
            let kind = super::kind(&super::Details::default())?;
            if kind.ids()?.contains(&name) {
                kind.discard(&name).await?;
            } else if provider.ids()?.contains(&name) {
                provider.discard(&name).await?;
            } else {
                return Err(Trouble::input(format!("no cluster is called `{name}`")).hint("see gauntlet cluster list"));
            }
            kept::forget(&provider.state_dir, &name);
            say(format!("cluster {name} is gone"));
            Ok(ExitCode::Passed)
        }
        ClusterCommand::List => {
            let clusters = provider.list()?;
            let alive = RunRecord::alive(&provider.state_dir)?;
            for cluster in &clusters {
                say(format!("{:40} {:10} {}", cluster.id, cluster.state, why(&provider, &cluster.id, &alive)));
            }
            let of_kind = super::kind(&super::Details::default())?.ids()?;
            of_kind.iter().for_each(|id| say(format!("{id:40} of kind")));
            if clusters.is_empty() && of_kind.is_empty() {
                say("no clusters");
            }
            Ok(ExitCode::Passed)
        }
    }
}

/// Why a cluster is there. `alive` are the runs that are under way.
fn why(provider: &Embedded, cluster: &str, alive: &[String]) -> String {
    let user = alive.iter().find(|run| cluster.starts_with(&format!("{run}-")));
    match (kept::why(&provider.state_dir, cluster), user) {
        (Some(why), _) => why,
        (None, Some(run)) => format!("used by run {run}, which is under way"),
        (None, None) => "nobody uses it: `gauntlet clean` removes what dead runs left".to_owned(),
    }
}

async fn up(provider: &Embedded, wanted: Wanted) -> Result<ExitCode, Trouble> {
    let cluster: Box<dyn Cluster> = provider.launch(wanted).await?;
    kept::note(&provider.state_dir, cluster.id(), "started by `gauntlet cluster up`")?;
    say(format!("cluster {} is ready: Kubernetes {}", cluster.id(), cluster.access().version().await?));
    say(format!("  export KUBECONFIG={}", cluster.access().kubeconfig.display()));
    say(format!("  gauntlet cluster down {}", cluster.id()));
    Ok(ExitCode::Passed)
}
