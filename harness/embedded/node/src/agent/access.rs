//! Logs, commands and port-forwarding, for the API server.

use std::net::SocketAddr;
use std::path::Path;

use async_trait::async_trait;
use embedded_apimachinery::kubelet::{Duplex, ExecOptions, ExecSession, Kubelet, LogOptions, LogStream};
use embedded_apimachinery::{Status, object};
use futures::StreamExt;
use serde_json::Value;

use super::NodeAgent;
use super::launch;
use super::power::Phase;
use super::slot::{Slot, State};
use crate::runtime::ContainerRuntime;

/// Where a kubelet serves logs and commands; here only its errors name it.
const KUBELET_PORT: u16 = 10250;

#[async_trait]
impl Kubelet for NodeAgent {
    async fn logs(&self, pod: &Value, options: LogOptions) -> Result<LogStream, Status> {
        self.answers(pod, "containerLogs")?;
        let slot = self.slot(pod, &options.container)?;
        let run = run_of(pod, &slot, options.previous)?;
        let node = self.nodes.get(object::str_at(pod, "/spec/nodeName"));
        let node = node.ok_or_else(|| Status::internal("the pod's node is not here"))?;
        let path = launch::log_path(node, object::uid(pod), &slot.name, run);
        self.machine.runtime.logs(&path, &options).await.map_err(Status::internal)
    }

    async fn exec(&self, pod: &Value, options: ExecOptions) -> Result<ExecSession, Status> {
        self.answers(pod, "exec")?;
        let slot = self.slot(pod, &options.container)?;
        let Some(running) = slot.running() else {
            return Err(Status::internal(format!("container {} is not running", slot.name)));
        };
        self.machine.runtime.exec(&running.id, &options).await.map_err(Status::internal)
    }

    async fn port_forward(&self, pod: &Value, port: u16) -> Result<Box<dyn Duplex>, Status> {
        self.answers(pod, "portForward")?;
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let network = &self.machine.network;
        let connected = match object::bool_at(pod, "/spec/hostNetwork") {
            true => network.connect(to).await,
            false => network.connect_from(object::uid(pod), to).await,
        };
        match connected {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                Err(Status::internal(format!("failed to connect to localhost:{port} inside namespace: {error}")))
            }
        }
    }
}

impl NodeAgent {
    /// Whether the pod's kubelet answers. A real API server waits in vain for one that does not; this one says at once
    /// what that comes to.
    fn answers(&self, pod: &Value, what: &str) -> Result<(), Status> {
        let node = self.nodes.get(object::str_at(pod, "/spec/nodeName"));
        let Some(node) = node.filter(|node| node.power.phase() != Phase::On) else { return Ok(()) };
        let (namespace, name) = (object::namespace(pod), object::name(pod));
        let at = SocketAddr::new(node.address, KUBELET_PORT);
        let text = format!("Get \"https://{at}/{what}/{namespace}/{name}\": dial tcp {at}: i/o timeout");
        Err(Status::new(500, "", text))
    }

    /// A container by name; without one, the only or first.
    fn slot(&self, pod: &Value, container: &str) -> Result<Slot, Status> {
        let first = object::str_at(pod, "/spec/containers/0/name");
        let name = if container.is_empty() { first } else { container };
        let directory = self.directory(pod)?;
        let slot = directory.lock().get(name).cloned();
        slot.ok_or_else(|| Status::bad_request(waiting(pod, name, "ContainerCreating")))
    }
}

fn waiting(pod: &Value, container: &str, reason: &str) -> String {
    format!("container \"{container}\" in pod \"{}\" is waiting to start: {reason}", object::name(pod))
}

/// Which run of a container is meant.
fn run_of(pod: &Value, slot: &Slot, previous: bool) -> Result<u32, Status> {
    if previous {
        let before = match &slot.state {
            // Between two runs, the one that has ended is the previous one.
            State::Waiting { .. } if slot.last.is_some() => Some(slot.restarts),
            _ => slot.restarts.checked_sub(1),
        };
        let name = &slot.name;
        let missing = || {
            Status::bad_request(format!(
                "previous terminated container \"{name}\" in pod \"{}\" not found",
                object::name(pod)
            ))
        };
        return before.filter(|_| slot.last.is_some()).ok_or_else(missing);
    }
    match &slot.state {
        State::Waiting { reason, .. } if slot.last.is_none() => {
            Err(Status::bad_request(waiting(pod, &slot.name, reason)))
        }
        _ => Ok(slot.restarts),
    }
}

/// The last lines of a log, for a termination message.
pub async fn log_tail(runtime: &dyn ContainerRuntime, path: &Path, lines: u64, bytes: usize) -> String {
    let options = LogOptions { tail_lines: Some(lines), ..LogOptions::default() };
    let Ok(mut stream) = runtime.logs(path, &options).await else { return String::new() };
    let mut text = Vec::new();
    while let Some(Ok(chunk)) = stream.next().await {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8_lossy(&text[text.len().saturating_sub(bytes)..]).into_owned()
}
