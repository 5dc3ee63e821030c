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
use std::collections::BTreeMap;
use std::path::Path;

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
        ClusterCommand::Down { name, forget } => {
            let kind = super::kind(&super::Details::default())?;
            if kind.ids()?.contains(&name) {
                kind.discard(&name).await?;
            } else if provider.ids()?.contains(&name) {
                provider.discard(&name).await?;
            } else if let Some(why) = kept::why(&provider.state_dir, &name) {
                return elsewhere(&provider.state_dir, &name, forget, &why);
            } else {
                return Err(Trouble::input(format!("no cluster is called `{name}`")).hint("see gauntlet cluster list"));
            }
            kept::forget(&provider.state_dir, &name);
            say(format!("cluster {name} is gone"));
            Ok(ExitCode::Passed)
        }
        ClusterCommand::List => {
            let lines = list(&provider, super::kind(&super::Details::default())?.ids()?)?;
            lines.iter().for_each(say);
            if lines.is_empty() {
                say("no clusters");
            }
            Ok(ExitCode::Passed)
        }
    }
}

/// What is kept on a cluster that is none of this machine's can only be removed there.
fn elsewhere(state_dir: &Path, name: &str, forget: bool, why: &str) -> Result<ExitCode, Trouble> {
    if !forget {
        return Err(Trouble::input(format!("{name} is not on this machine: {why}"))
            .hint("remove it where it is: gauntlet clean --cluster kubeconfig --context NAME")
            .hint("where it is gone already, add --forget"));
    }
    kept::forget(state_dir, name);
    say(format!("forgotten: {name}, {why}"));
    Ok(ExitCode::Passed)
}

/// A line for each cluster on this machine, and for what was kept on others.
fn list(provider: &Embedded, of_kind: Vec<String>) -> Result<Vec<String>, Trouble> {
    let alive = RunRecord::alive(&provider.state_dir)?;
    let why = |id: &str| why(&provider.state_dir, id, &alive);
    let mut lines = BTreeMap::new();
    for cluster in provider.list()? {
        lines.insert(cluster.id.clone(), format!("{:40} {:10} {}", cluster.id, cluster.state, why(&cluster.id)));
    }
    for id in of_kind {
        lines.insert(id.clone(), format!("{id:40} {:10} {}", "of kind", why(&id)));
    }
    for (id, why) in kept::all(&provider.state_dir)? {
        lines.entry(id.clone()).or_insert_with(|| format!("{id:40} {:10} {why}", "elsewhere"));
    }
    Ok(lines.into_values().collect())
}

/// Why a cluster is there. `alive` are the runs that are under way.
fn why(state_dir: &Path, cluster: &str, alive: &[String]) -> String {
    let user = alive.iter().find(|run| cluster.starts_with(&format!("{run}-")));
    match (kept::why(state_dir, cluster), user) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_every_sort_are_listed_with_the_reason_why_they_are_there() {
        let state = tempfile::tempdir().unwrap();
        let provider = Embedded { state_dir: state.path().to_owned() };
        for (id, why) in [("r1-1-1", "kept: drain.quorum failed"), ("r2-1-1", "kept on staging")] {
            kept::note(state.path(), id, why).unwrap();
        }
        let lines = list(&provider, vec!["r1-1-1".to_owned(), "r3-1-1".to_owned()]).unwrap();
        let told: Vec<String> = lines.iter().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(told[0], "r1-1-1 of kind kept: drain.quorum failed");
        assert_eq!(told[1], "r2-1-1 elsewhere kept on staging");
        assert!(told[2].starts_with("r3-1-1 of kind nobody uses it"), "{told:?}");
    }
}
