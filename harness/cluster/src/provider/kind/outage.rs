//! Outages of nodes: a node of kind is a container, which Docker ends, pauses and starts.

use super::command::Call;
use gauntlet_core::Trouble;
use std::path::Path;
use std::time::Duration;

/// How long Docker may take to do that to a container.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// Takes the power from a node: nothing on it is asked to end.
pub async fn stop(docker: &Path, node: &str) -> Result<(), Trouble> {
    docker_does(docker, "kill", node).await
}

/// Lets everything on a node stand still.
pub async fn freeze(docker: &Path, node: &str) -> Result<(), Trouble> {
    docker_does(docker, "pause", node).await
}

/// Brings a node back from either.
pub async fn bring_back(docker: &Path, node: &str) -> Result<(), Trouble> {
    let state = ["inspect", "--format", "{{.State.Status}}", node];
    let state = Call::new(docker, state, DONE_WITHIN).undisturbed().run().await?;
    match state.trim() {
        "paused" => docker_does(docker, "unpause", node).await,
        "running" => Ok(()),
        _ => docker_does(docker, "start", node).await,
    }
}

/// Undoing must go on though the run is being ended.
async fn docker_does(docker: &Path, verb: &str, node: &str) -> Result<(), Trouble> {
    Call::new(docker, [verb, node], DONE_WITHIN).undisturbed().run().await.map(drop)
}
