//! Outages of nodes: a node of kind is a container, which Docker ends, pauses, takes off its network, and brings back.
//!
//! Docker refuses what is so already. So it is asked how a node is, told only what is lacking, and asked again: what it is
//! then is what counts.

use super::command::Call;
use gauntlet_core::Trouble;
use std::fmt;
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
    reach(docker, node, Goal::Stopped).await.map(drop)
}

/// Lets everything on a node stand still.
pub async fn freeze(docker: &Path, node: &str) -> Result<(), Trouble> {
    reach(docker, node, Goal::Frozen).await.map(drop)
}

/// Takes a node off its network. Everything on it runs on.
pub async fn disconnect(docker: &Path, node: &str) -> Result<(), Trouble> {
    reach(docker, node, Goal::Disconnected).await.map(drop)
}

/// Brings a node back from any of them.
pub async fn bring_back(docker: &Path, node: &str) -> Result<(), Trouble> {
    let told = reach(docker, node, Goal::Well).await?;
    // A node that starts finds out by itself.
    if told.contains(&Step::Start) {
        return Ok(());
    }
    settle(docker, node, &network()).await
}

/// Whoever is connected again gets an address that is free, which need not be the one from before. To be configured for
/// another a node of kind has to start; also where somebody has connected it and has died since.
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

/// How a node is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Stopped,
    Frozen,
    Disconnected,
    Well,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Kill,
    Pause,
    Disconnect,
    Connect,
    Unpause,
    Start,
}

/// Whether anything on a node goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Running,
    /// Docker calls it running as well, but nothing can be started on it.
    Paused,
    Off,
}

/// How a node is, as Docker tells it.
#[derive(Debug, PartialEq, Eq)]
struct State {
    power: Power,
    is_connected: bool,
}

impl State {
    /// Of a status and the names of networks.
    fn read(told: &str, network: &str) -> Self {
        let mut words = told.split_whitespace();
        let power = match words.next() {
            Some("running") => Power::Running,
            Some("paused") => Power::Paused,
            _ => Power::Off,
        };
        Self { power, is_connected: words.any(|connected| connected == network) }
    }

    /// What leads from here to there; nothing where it is so already.
    fn steps(&self, goal: Goal) -> Vec<Step> {
        let wanted = match (goal, self.power) {
            (Goal::Stopped, Power::Running | Power::Paused) => vec![Step::Kill],
            // Docker refuses that for a node that is off, and says so.
            (Goal::Frozen, Power::Running | Power::Off) => vec![Step::Pause],
            (Goal::Disconnected, _) if self.is_connected => vec![Step::Disconnect],
            (Goal::Well, Power::Paused) => vec![Step::Unpause],
            (Goal::Well, Power::Off) => vec![Step::Start],
            _ => vec![],
        };
        let connects = goal == Goal::Well && !self.is_connected;
        connects.then_some(Step::Connect).into_iter().chain(wanted).collect()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = match self.power {
            Power::Running => "running",
            Power::Paused => "paused",
            Power::Off => "off",
        };
        write!(f, "{power} and {}", if self.is_connected { "connected" } else { "not connected" })
    }
}

/// Gets a node to be as it should be, from however it is. What Docker was told for that.
async fn reach(docker: &Path, node: &str, goal: Goal) -> Result<Vec<Step>, Trouble> {
    let network = network();
    let steps = state(docker, node, &network).await?.steps(goal);
    let told = tell(docker, node, &network, &steps).await;
    let now = state(docker, node, &network).await?;
    match (now.steps(goal).is_empty(), told) {
        // Docker refuses also where somebody else was faster.
        (true, _) => Ok(steps),
        (false, Err(refused)) => Err(refused),
        (false, Ok(())) => Err(Trouble::harness(format!("{node} is {now}, though Docker did all of {steps:?}"))),
    }
}

async fn tell(docker: &Path, node: &str, network: &str, steps: &[Step]) -> Result<(), Trouble> {
    for step in steps {
        let arguments = match step {
            Step::Kill => vec!["kill", node],
            Step::Pause => vec!["pause", node],
            Step::Disconnect => vec!["network", "disconnect", network, node],
            Step::Connect => vec!["network", "connect", network, node],
            Step::Unpause => vec!["unpause", node],
            Step::Start => vec!["start", node],
        };
        docker_does(docker, &arguments).await?;
    }
    Ok(())
}

async fn state(docker: &Path, node: &str, network: &str) -> Result<State, Trouble> {
    let format = "{{.State.Status}}{{range $name, $_ := .NetworkSettings.Networks}} {{$name}}{{end}}";
    let told = docker_does(docker, &["inspect", "--format", format, node]).await?;
    Ok(State::read(&told, network))
}

/// Whether a node goes on; programs can be started only where it does.
pub(super) async fn power(docker: &Path, node: &str) -> Result<Power, Trouble> {
    state(docker, node, &network()).await.map(|state| state.power)
}

pub(super) async fn docker_does(docker: &Path, arguments: &[&str]) -> Result<String, Trouble> {
    Call::new(docker, arguments, DONE_WITHIN).run().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_got_wherever_it_is_to_be_from_however_it_is() {
        use Step::{Connect, Disconnect, Kill, Pause, Start, Unpause};
        // To stop it, to freeze it, to disconnect it, to bring it back. It cannot be frozen while it is off.
        for (told, [stopped, frozen, disconnected, well]) in [
            ("running kind\n", [&[Kill][..], &[Pause], &[Disconnect], &[]]),
            ("running other kind\n", [&[Kill], &[Pause], &[Disconnect], &[]]),
            ("running\n", [&[Kill], &[Pause], &[], &[Connect]]),
            ("running other\n", [&[Kill], &[Pause], &[], &[Connect]]),
            ("paused kind\n", [&[Kill], &[], &[Disconnect], &[Unpause]]),
            ("paused\n", [&[Kill], &[], &[], &[Connect, Unpause]]),
            ("exited kind\n", [&[], &[Pause], &[Disconnect], &[Start]]),
            ("created\n", [&[], &[Pause], &[], &[Connect, Start]]),
        ] {
            let state = State::read(told, "kind");
            for (goal, expected) in [
                (Goal::Stopped, stopped),
                (Goal::Frozen, frozen),
                (Goal::Disconnected, disconnected),
                (Goal::Well, well),
            ] {
                assert_eq!(state.steps(goal), expected, "{told:?} {goal:?}");
            }
        }
    }
}
