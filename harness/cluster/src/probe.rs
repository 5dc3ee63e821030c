//! Connections tried from inside pods, by the agent's prober: what a client there would see, told apart finely enough to
//! believe a denial.

use crate::access::{Access, said};
use crate::agent_pod;
use crate::exec::{self, Place};
use gauntlet_core::Trouble;
use gauntlet_core::contract::network::Protocol;
use gauntlet_core::matrix::Seen;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// The agent, as containers that run its image have it.
const AGENT: [&str; 2] = ["/gauntlet", "agent"];

/// Starting a command in a container of a loaded machine takes time of its own.
const STARTS_WITHIN: Duration = Duration::from_secs(45);

/// What is reached for: `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub protocol: Protocol,
    pub address: String,
}

impl Target {
    pub fn new(host: &str, port: u16, protocol: Protocol) -> Self {
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { protocol, address }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.protocol)
    }
}

/// Tries all targets at once from one container that has the agent, each by a new connection of its own. The answers
/// come in the order of the targets.
///
/// # Errors
/// The prober could not be run, or did not say what it saw.
pub async fn probe(
    access: &Access,
    place: Place<'_>,
    targets: &[Target],
    patience: Duration,
) -> Result<Vec<Seen>, Trouble> {
    let command = command(targets, patience);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = exec::ask(access, place, &command, patience + STARTS_WITHIN).await?;
    if !output.success() {
        return Err(Trouble::harness(format!("the prober in {place} ended with {}: {}", output.code, output.stderr)));
    }
    answers(&output.stdout, targets).or_trouble(|| format!("the prober in {place} did not say what it saw"))
}

fn command(targets: &[Target], patience: Duration) -> Vec<String> {
    let mut command: Vec<String> = AGENT.iter().map(|word| (*word).to_owned()).collect();
    command.extend(["probe".to_owned(), format!("--timeout-ms={}", patience.as_millis())]);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let list: Vec<&str> =
            targets.iter().filter(|target| target.protocol == protocol).map(|target| target.address.as_str()).collect();
        if !list.is_empty() {
            command.push(format!("--{protocol}={}", list.join(",")));
        }
    }
    command
}

#[derive(Deserialize)]
struct Answer {
    protocol: Protocol,
    target: String,
    outcome: Seen,
}

fn answers(text: &str, targets: &[Target]) -> Result<Vec<Seen>, String> {
    let answers: Vec<Answer> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let of = |target: &Target| {
        let is_it = |answer: &&Answer| answer.protocol == target.protocol && answer.target == target.address;
        answers.iter().find(is_it).map(|answer| answer.outcome).ok_or_else(|| format!("no answer about {target}"))
    };
    targets.iter().map(of).collect()
}

/// Adds a container with the agent to a pod that runs, as `kubectl debug` does: it shares the pod's network and nothing
/// else. It cannot be removed, so it ends by itself after `seconds`.
///
/// # Errors
/// What the API said instead.
pub async fn add_container(
    access: &Access,
    namespace: &str,
    pod: &str,
    container: &str,
    image: &str,
    seconds: u64,
) -> Result<(), String> {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), namespace);
    let mut added = agent_pod::guest(container, image);
    added["args"] = json!(["idle", format!("--seconds={seconds}")]);
    let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [added]}}));
    pods.patch_ephemeral_containers(pod, &PatchParams::default(), &patch).await.map(drop).map_err(|error| said(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<Target> {
        vec![
            Target::new("10.0.0.1", 53, Protocol::Udp),
            Target::new("10.0.0.1", 53, Protocol::Tcp),
            Target::new("fd::1", 80, Protocol::Tcp),
        ]
    }

    #[test]
    fn one_command_asks_about_all_targets() {
        let command = command(&targets(), Duration::from_secs(2)).join(" ");
        assert_eq!(command, "/gauntlet agent probe --timeout-ms=2000 --tcp=10.0.0.1:53,[fd::1]:80 --udp=10.0.0.1:53");
    }

    #[test]
    fn every_target_gets_its_own_answer_or_none_is_believed() {
        let one = |protocol: &str, target: &str, outcome: &str| json!({"protocol": protocol, "target": target, "outcome": outcome, "detail": "", "took_ms": 1});
        let all = json!([
            one("tcp", "10.0.0.1:53", "open"),
            one("tcp", "[fd::1]:80", "probe_failed"),
            one("udp", "10.0.0.1:53", "timeout")
        ]);
        assert_eq!(answers(&all.to_string(), &targets()).unwrap(), [Seen::Timeout, Seen::Open, Seen::ProbeFailed]);
        let error = answers(&json!([one("tcp", "10.0.0.1:53", "open")]).to_string(), &targets()).unwrap_err();
        assert_eq!(error, "no answer about 10.0.0.1:53/udp");
    }
}
