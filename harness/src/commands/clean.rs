//! `gauntlet clean`: heals what dead runs left open, then removes dead clusters, or what dead runs left on an
//! existing one.

use super::{Details, Source, consent, lost};
use crate::cli::ClusterArgs;
use crate::console::{self, say};
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::provider::kind::Kind;
use gauntlet_cluster::provider::kubeconfig::Kubeconfig;
use gauntlet_cluster::{host, ownership};
use gauntlet_core::{ExitCode, Trouble};
use gauntlet_engine::clean::{self, Cleaned};
use gauntlet_engine::folder::RunRecord;
use gauntlet_engine::kept;
use std::time::Duration;

/// How long namespaces may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(180);

/// # Errors
/// The cluster cannot be reached, or nobody has agreed. What could not be cleaned is printed, and the exit code says so.
pub async fn clean(arguments: &ClusterArgs) -> Result<ExitCode, Trouble> {
    let details = Details { node_faults: true, ..Details::default() };
    let (cleaned, remarks) = match super::source(arguments, &details)? {
        Source::Embedded(provider) => {
            let kind = super::kind(&details)?;
            let remarks = lost::adopt(&kind, arguments.yes).await.unwrap_or_else(|trouble| {
                tracing::info!(%trouble, "whether Docker has clusters that are on no record is not known");
                vec![]
            });
            (on_this_machine(&provider, &kind).await, remarks)
        }
        Source::Kind(provider) => {
            let lost = lost::adopt(&provider, arguments.yes).await;
            let mut cleaned = of_kind(&provider).await;
            let remarks = lost.unwrap_or_else(|trouble| {
                cleaned.troubles.push(trouble);
                vec![]
            });
            (cleaned, remarks)
        }
        Source::Kubeconfig(provider) => (existing(&provider, arguments.yes).await?, vec![]),
    };
    cleaned.done.iter().for_each(say);
    cleaned.elsewhere.iter().for_each(|run| say(format!("{run}: clean up there with --cluster")));
    cleaned.troubles.iter().for_each(console::report);
    remarks.iter().for_each(say);
    if [&cleaned.done, &cleaned.elsewhere, &remarks].iter().all(|told| told.is_empty()) && cleaned.troubles.is_empty() {
        say("nothing to clean");
    }
    Ok(if cleaned.troubles.is_empty() { ExitCode::Passed } else { ExitCode::Inconclusive })
}

/// Clusters of both kinds that live here. A run that neither knows was elsewhere.
async fn on_this_machine(embedded: &Embedded, kind: &Kind) -> Cleaned {
    let mut cleaned = of_embedded(embedded).await;
    let other = of_kind(kind).await;
    cleaned.done.extend(other.done);
    cleaned.troubles.extend(other.troubles);
    cleaned.elsewhere.retain(|run| other.elsewhere.contains(run));
    cleaned
}

async fn of_kind(provider: &Kind) -> Cleaned {
    let mut cleaned = clean::clean(&provider.state_dir, provider).await;
    clean::end_orphans(&provider.state_dir, provider, &mut cleaned).await;
    cleaned
}

async fn of_embedded(provider: &Embedded) -> Cleaned {
    let mut cleaned = clean::clean(&provider.state_dir, provider).await;
    let (clusters, troubles) = provider.clean_dead();
    cleaned.done.extend(clusters.into_iter().map(|id| format!("removed what was left of cluster {id}")));
    cleaned.troubles.extend(troubles);
    if host::apt::remove_stale_policy() {
        cleaned.done.push("removed the policy that kept package services from starting".to_owned());
    }
    cleaned
}

/// Runs that live on this machine are left alone; of runs on other machines only a person can know whether they live.
async fn existing(provider: &Kubeconfig, yes: bool) -> Result<Cleaned, Trouble> {
    let access = provider.access().await?;
    let state_dir = gauntlet_embedded::default_state_dir();
    let alive = RunRecord::alive(&state_dir)?;
    let dead: Vec<String> = ownership::runs(&access).await?.into_iter().filter(|run| !alive.contains(run)).collect();
    if !dead.is_empty() {
        let context = &provider.context;
        consent::ask(format!("everything of these runs in context {context} will go: {}\n", dead.join(", ")), yes)?;
    }
    let mut cleaned = clean::clean(&state_dir, provider).await;
    cleaned.elsewhere.clear();
    let (removed, troubles) = ownership::remove(&access, |run| dead.iter().any(|dead| dead == run), GONE_WITHIN).await;
    cleaned.done.extend(removed.into_iter().map(|what| format!("removed {what}")));
    if troubles.is_empty() {
        cleaned.troubles.extend(dead.iter().filter_map(|run| kept::forget_run(&state_dir, run).err()));
    }
    cleaned.troubles.extend(troubles);
    Ok(cleaned)
}
