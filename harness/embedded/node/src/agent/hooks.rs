//! Lifecycle hooks, and the node's side of the network for them and for probes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use embedded_apimachinery::object;
use serde_json::Value;
use tokio::net::TcpStream;

use super::context::Machine;
use super::network::PodNetwork;
use super::worker::Worker;
use crate::probe::{self, Dialer, Outcome, ProbeTarget};

/// Connections from the node.
pub struct NodeDialer(pub Arc<dyn PodNetwork>);

#[async_trait]
impl Dialer for NodeDialer {
    async fn connect(&self, to: SocketAddr) -> std::io::Result<TcpStream> {
        self.0.connect(to).await
    }
}

/// Runs a hook's handler; what went wrong, if something did. The caller sets the deadline.
pub async fn run(machine: &Machine, handler: &Value, target: &ProbeTarget) -> Result<(), String> {
    if let Some(seconds) = object::int_at(handler, "/sleep/seconds") {
        tokio::time::sleep(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))).await;
        return Ok(());
    }
    let dialer = NodeDialer(machine.network.clone());
    match probe::check(handler, target, &dialer, machine.runtime.as_ref()).await {
        Outcome::Success => Ok(()),
        Outcome::Failure(why) | Outcome::Errored(why) => Err(why),
    }
}

/// Runs a container's `postStart`; the container is killed when it fails.
pub async fn post_start(worker: &mut Worker, index: usize, container: &Value) {
    let Some(handler) = container.pointer("/lifecycle/postStart") else { return };
    let (Some(running), Some(sandbox)) = (worker.slots[index].running().cloned(), &worker.sandbox) else { return };
    let target = ProbeTarget::new(sandbox.attachment.address, running.id.clone(), container);
    let (machine, name) = (worker.node.machine.clone(), worker.slots[index].name.clone());
    let mut hook = Box::pin(run(&machine, handler, &target));
    let result = loop {
        tokio::select! {
            result = &mut hook => break result,
            message = worker.inbox.recv() => match message {
                Some(message) => Box::pin(worker.take(message)).await,
                None => return,
            },
            () = worker.node.power.interrupted() => {
                if !worker.node.power.awake().await {
                    return;
                }
            }
        }
        // Neither a pod that ends nor a container that has ended waits for its hook.
        let ending = worker.removed || object::is_deleting(&worker.pod);
        if ending || worker.slots[index].running().is_none_or(|now| now.id != running.id) {
            return;
        }
    };
    if let Err(why) = result {
        worker.node.event("Warning", &worker.pod, &name, "FailedPostStartHook", format!("PostStartHook failed: {why}"));
        worker.node.event("Normal", &worker.pod, &name, "Killing", "FailedPostStartHook".into());
        worker.stop_container(&name, None);
    }
}
