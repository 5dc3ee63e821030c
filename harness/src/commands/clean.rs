//! `gauntlet clean`: heals what dead runs left open, then removes dead clusters.

use crate::console;
use gauntlet_cluster::host;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_core::{ExitCode, Trouble};

/// # Errors
/// Never: what could not be cleaned is printed, and the exit code says so.
pub async fn clean() -> Result<ExitCode, Trouble> {
    let provider = Embedded::default();
    let mut cleaned = gauntlet_engine::clean::clean(&provider.state_dir, &provider).await;
    let (clusters, troubles) = provider.clean_dead();
    cleaned.done.extend(clusters.into_iter().map(|id| format!("removed what was left of cluster {id}")));
    cleaned.troubles.extend(troubles);
    if host::apt::remove_stale_policy() {
        cleaned.done.push("removed the policy that kept package services from starting".to_owned());
    }
    cleaned.done.iter().for_each(|done| println!("{done}"));
    cleaned.troubles.iter().for_each(console::report);
    if cleaned.done.is_empty() && cleaned.troubles.is_empty() {
        println!("nothing to clean");
    }
    Ok(if cleaned.troubles.is_empty() { ExitCode::Passed } else { ExitCode::Inconclusive })
}
