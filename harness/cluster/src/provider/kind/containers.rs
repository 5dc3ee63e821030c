//! The containers that a cluster's nodes are, as Docker knows them.

use super::command::Call;
use gauntlet_core::Trouble;
use std::path::Path;
use std::time::Duration;

/// How long the engine may take to list and remove containers.
const REMOVED_WITHIN: Duration = Duration::from_secs(120);

/// By this label kind knows the containers of a cluster.
const CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";

/// The containers that a cluster's nodes are.
pub async fn of(docker: &Path, name: &str) -> Result<Vec<String>, Trouble> {
    let filter = format!("label={CLUSTER_LABEL}={name}");
    let list = ["ps", "--all", "--quiet", "--filter", &filter];
    let found = Call::new(docker, list, REMOVED_WITHIN).run().await?;
    Ok(found.split_whitespace().map(str::to_owned).collect())
}

/// The ports of this machine that lead to a cluster's nodes: for each a line with its name and them.
pub async fn ports(docker: &Path, name: &str) -> Result<String, Trouble> {
    let filter = format!("label={CLUSTER_LABEL}={name}");
    let list = ["ps", "--filter", &filter, "--format", "{{.Names}} {{.Ports}}"];
    Call::new(docker, list, REMOVED_WITHIN).run().await
}

/// Removes the containers of a cluster, and makes sure that none is left.
pub async fn remove(docker: &Path, name: &str) -> Result<(), Trouble> {
    let found = of(docker, name).await?;
    if found.is_empty() {
        return Ok(());
    }
    let remove = Call::new(docker, ["rm", "--force", "--volumes"], REMOVED_WITHIN);
    remove.with(found).run().await?;
    match of(docker, name).await? {
        left if left.is_empty() => Ok(()),
        left => Err(Trouble::harness(format!("containers are left: {}", left.join(", ")))),
    }
}
