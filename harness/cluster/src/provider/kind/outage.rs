//! Outages of nodes: a node of kind is a container, which Docker ends, pauses, takes off its network, and brings back.

use super::command::Call;
use gauntlet_core::Trouble;
use std::path::Path;
use std::time::Duration;

/// How long Docker may take to do that to a container.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// Names the network that kind uses, in its place; kind reads it, too.
const NETWORK_VARIABLE: &str = "KIND_EXPERIMENTAL_DOCKER_NETWORK";

/// Where a node remembers the address that it was configured for.
const CONFIGURED_FOR: &str = "/kind/old-ipv4";

/// Takes the power from a node: nothing on it is asked to end.
pub async fn stop(docker: &Path, node: &str) -> Result<(), Trouble> {
    docker_does(docker, &["kill", node]).await.map(drop)
}

/// Lets everything on a node stand still.
pub async fn freeze(docker: &Path, node: &str) -> Result<(), Trouble> {
    docker_does(docker, &["pause", node]).await.map(drop)
}

/// Takes a node off its network. Everything on it runs on.
pub async fn disconnect(docker: &Path, node: &str) -> Result<(), Trouble> {
    docker_does(docker, &["network", "disconnect", &network(), node]).await.map(drop)
}

/// Brings a node back from any of them.
pub async fn bring_back(docker: &Path, node: &str) -> Result<(), Trouble> {
    let network = network();
    let format = "{{.State.Status}}{{range $name, $_ := .NetworkSettings.Networks}} {{$name}}{{end}}";
    let state = docker_does(docker, &["inspect", "--format", format, node]).await?;
    let steps = steps(&state, &network);
    for step in &steps {
        let arguments = match step {
            Step::Connect => vec!["network", "connect", &network, node],
            Step::Unpause => vec!["unpause", node],
            Step::Start => vec!["start", node],
        };
        docker_does(docker, &arguments).await?;
    }
    // A node that starts finds out by itself.
    if steps.contains(&Step::Connect) && !steps.contains(&Step::Start) {
        return settle(docker, node, &network).await;
    }
    Ok(())
}

/// Whoever is connected again gets an address that is free, which need not be the one from before. To be configured for
/// another a node of kind has to start.
async fn settle(docker: &Path, node: &str, network: &str) -> Result<(), Trouble> {
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    let address = docker_does(docker, &["inspect", "--format", &format, node]).await?;
    let configured = docker_does(docker, &["exec", node, "cat", CONFIGURED_FOR]).await?;
    if address.trim() == configured.trim() {
        return Ok(());
    }
    docker_does(docker, &["restart", "-t", "0", node]).await.map(drop)
}

/// The network of the nodes.
fn network() -> String {
    std::env::var(NETWORK_VARIABLE).ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "kind".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Unpause,
    Start,
}

/// What brings a node back, by its state and its networks as Docker tells them.
fn steps(state: &str, network: &str) -> Vec<Step> {
    let mut words = state.split_whitespace();
    let status = words.next();
    let mut steps = Vec::new();
    if !words.any(|connected| connected == network) {
        steps.push(Step::Connect);
    }
    match status {
        Some("running") => {}
        Some("paused") => steps.push(Step::Unpause),
        _ => steps.push(Step::Start),
    }
    steps
}

/// Whether a node's container runs; only there can programs be started.
pub(super) async fn runs(docker: &Path, node: &str) -> Result<bool, Trouble> {
    let state = docker_does(docker, &["inspect", "--format", "{{.State.Running}}", node]).await?;
    Ok(state.trim() == "true")
}

pub(super) async fn docker_does(docker: &Path, arguments: &[&str]) -> Result<String, Trouble> {
    Call::new(docker, arguments, DONE_WITHIN).run().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_brought_back_from_whatever_it_is_in() {
        use Step::{Connect, Start, Unpause};
        for (state, expected) in [
            ("running kind\n", &[][..]),
            ("running other kind\n", &[]),
            ("running\n", &[Connect]),
            ("running other\n", &[Connect]),
            ("paused kind\n", &[Unpause]),
            ("paused\n", &[Connect, Unpause]),
            ("exited kind\n", &[Start]),
            ("exited\n", &[Connect, Start]),
        ] {
            assert_eq!(steps(state, "kind"), expected, "{state:?}");
        }
    }
}
