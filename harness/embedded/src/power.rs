//! Nodes that are stopped, frozen and brought back, with what that does to their traffic.
//!
//! A machine without power says nothing, and one that stands still says nothing either: no reset, no refusal. Here the
//! kernel would speak for dead processes (connections closed) and for frozen ones (connections accepted), so a node's
//! traffic is dropped first and flows again last.

use std::collections::HashMap;

use async_trait::async_trait;
use embedded_network::faults::{Effect, Fault, Party};
use embedded_network::{ClusterNetwork, NodeIndex};
use embedded_node::agent::NodeAgent;
use embedded_node::agent::power::Phase;

use crate::admin::{ContainerId, NodeFaults};

/// The faults of a cluster's nodes.
pub(crate) struct Faults {
    pub agent: NodeAgent,
    pub network: ClusterNetwork,
    pub indices: HashMap<String, NodeIndex>,
}

#[async_trait]
impl NodeFaults for Faults {
    async fn hold(&self, target: &ContainerId) -> Result<(), String> {
        self.agent.hold(&target.namespace, &target.pod, &target.container).await
    }

    async fn release(&self, target: &ContainerId) -> Result<(), String> {
        self.agent.release(&target.namespace, &target.pod, &target.container).await
    }

    async fn stop_node(&self, node: &str) -> Result<(), String> {
        self.silence(node).await?;
        self.agent.stop_node(node).await
    }

    async fn freeze_node(&self, node: &str) -> Result<(), String> {
        let index = self.silence(node).await?;
        let frozen = self.agent.freeze_node(node).await;
        if frozen.is_err() && self.agent.power(node)?.phase() == Phase::On {
            // The first error is the one to report.
            let _ = self.network.restore(&silence(index)).await;
        }
        frozen
    }

    async fn return_node(&self, node: &str) -> Result<(), String> {
        let index = self.index(node)?;
        let returned = self.agent.return_node(node).await;
        let restored = self.network.restore(&silence(index)).await.map_err(|error| error.to_string());
        returned.and(restored)
    }
}

impl Faults {
    fn index(&self, node: &str) -> Result<NodeIndex, String> {
        self.indices.get(node).copied().ok_or_else(|| format!("there is no node {node:?}"))
    }

    /// Drops all that a node and its pods send and receive.
    async fn silence(&self, node: &str) -> Result<NodeIndex, String> {
        let index = self.index(node)?;
        // A block of addresses means no nodes: these are named one by one.
        let nodes = self.indices.values().map(|index| Party::Node(*index));
        let everybody = nodes.chain([Party::Addresses("0.0.0.0/0".into())]).collect();
        let fault = Fault {
            from: vec![Party::Node(index)],
            to: everybody,
            both_ways: true,
            ports: Vec::new(),
            effect: Effect::Cut,
        };
        self.network.disturb(&silence(index), fault).await.map_err(|error| error.to_string())?;
        Ok(index)
    }
}

/// The name of the network fault that goes with a node which is not on.
fn silence(node: NodeIndex) -> String {
    format!("silence-of-node-{}", node.get())
}
