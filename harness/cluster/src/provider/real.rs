//! A running cluster that a kubeconfig leads to, whoever made it: its powers are those of the Kubernetes API, of agents on
//! its nodes where those may be, and of whoever made it.

use super::kubeconfig::nodes::Nodes;
use super::machines::{Links, Machines};
use super::{Cluster, no_verb};
use crate::access::Access;
use crate::node_agent::NodeAgents;
use crate::traffic::{Counters, Dialled, TrafficFault};
use async_trait::async_trait;
use gauntlet_core::{Capability, Trouble};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Who made the cluster and can end it.
#[async_trait]
pub trait Maker: Send + Sync {
    /// Why whoever rules over the cluster does not allow what a power takes; `None` where it is allowed.
    fn denies(&self, _capability: Capability) -> Option<String> {
        None
    }

    /// As [`Cluster::machines`], where they are in its hands.
    fn machines(&self) -> Option<&dyn Machines> {
        None
    }

    /// As [`Cluster::links`], where they are in its hands.
    fn links(&self) -> Option<&dyn Links> {
        None
    }

    /// As [`Cluster::remarks`].
    async fn remarks(&self, _id: &str) -> Vec<String> {
        vec![]
    }

    /// How a person ends the cluster, or what is ours on it.
    fn ended_by(&self, id: &str) -> String {
        format!("gauntlet cluster down {id}")
    }

    async fn shutdown(&self, access: &Access, id: &str) -> Result<(), Trouble>;
}

pub struct Real {
    pub id: String,
    pub access: Access,
    pub nodes: Nodes,
    pub agent_image: String,
    /// Nodes may be cordoned and drained.
    pub may_drain: bool,
    pub agents: Option<NodeAgents>,
    pub maker: Box<dyn Maker>,
    /// What the cluster has and lacks.
    pub found: BTreeMap<String, String>,
}

impl Real {
    fn agents(&self, what: &str) -> Result<&NodeAgents, Trouble> {
        self.agents.as_ref().ok_or_else(|| no_verb(what))
    }
}

#[async_trait]
impl Cluster for Real {
    fn id(&self) -> &str {
        &self.id
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        // Without a node set aside the clients would be drained themselves.
        let drains = self.may_drain && self.nodes.quiet.is_some();
        let by_agents = self.agents.is_some();
        let has = [
            (Capability::DrainNodes, drains),
            (Capability::HoldContainer, by_agents),
            (Capability::ShapeNetwork, by_agents),
            (Capability::StopNode, self.maker.machines().is_some()),
            (Capability::NodeNetwork, self.maker.links().is_some()),
            (Capability::EnterPods, true),
            (Capability::RestoreData, true),
        ];
        let has = has.into_iter().filter(|(capability, has)| *has && self.maker.denies(*capability).is_none());
        has.map(|(capability, _)| capability).collect()
    }

    fn lack(&self, capability: Capability) -> Option<String> {
        let agents = "there are no agents on its nodes, which --allow-node-faults allows";
        if let Some(why) = self.maker.denies(capability) {
            return Some(why);
        }
        match capability {
            Capability::DrainNodes if !self.may_drain => {
                Some("nodes may not be drained without --allow-node-faults".to_owned())
            }
            Capability::DrainNodes => Some(self.nodes.too_few()),
            Capability::HoldContainer | Capability::ShapeNetwork => Some(agents.to_owned()),
            Capability::StopNode | Capability::NodeNetwork => {
                Some("whoever made it gives no power over its nodes".to_owned())
            }
            Capability::EnforcePolicies | Capability::EnterPods | Capability::RestoreData => None,
        }
    }

    fn found(&self) -> BTreeMap<String, String> {
        self.found.clone()
    }

    fn workers(&self) -> &[String] {
        &self.nodes.workers
    }

    fn quiet_node(&self) -> Option<&str> {
        self.nodes.quiet.as_deref()
    }

    fn agent_image(&self) -> &str {
        &self.agent_image
    }

    async fn hold_container(&self, namespace: &str, pod: &str, container: &str) -> Result<(), Trouble> {
        self.agents("kill a container and keep it down")?.hold(namespace, pod, container).await
    }

    async fn release_container(&self, namespace: &str, pod: &str, container: &str) -> Result<(), Trouble> {
        self.agents("let a container start again")?.release(namespace, pod, container).await
    }

    async fn stands_still(&self, namespace: &str, pod: &str, container: &str) -> Result<bool, Trouble> {
        let (running, still) =
            self.agents("look at a container's processes")?.processes(namespace, pod, container).await?;
        Ok(running == 0 && still > 0)
    }

    fn machines(&self) -> Result<&dyn Machines, Trouble> {
        self.maker.machines().ok_or_else(|| no_verb("stop, freeze or bring back a node"))
    }

    fn links(&self) -> Result<&dyn Links, Trouble> {
        self.maker.links().ok_or_else(|| no_verb("disconnect a node or shape what it sends"))
    }

    async fn disturb_traffic(&self, id: &str, fault: &TrafficFault) -> Result<(), Trouble> {
        self.agents("disturb traffic")?.disturb(id, fault).await
    }

    async fn restore_traffic(&self, id: &str) -> Result<(), Trouble> {
        self.agents("restore traffic")?.restore(id).await
    }

    async fn traffic_counters(&self, id: &str) -> Result<Counters, Trouble> {
        self.agents("count traffic")?.counters(id).await
    }

    async fn dial(&self, namespace: &str, pod: &str, to: SocketAddr, within: Duration) -> Result<Dialled, Trouble> {
        self.agents("dial from a pod")?.dial(namespace, pod, to, within).await
    }

    async fn remarks(&self) -> Vec<String> {
        self.maker.remarks(&self.id).await
    }

    async fn network_rules(&self) -> Result<Option<String>, Trouble> {
        match &self.agents {
            Some(agents) => Ok(Some(agents.networks().await)),
            None => Ok(None),
        }
    }

    fn ended_by(&self) -> String {
        self.maker.ended_by(&self.id)
    }

    async fn shutdown(&self) -> Result<(), Trouble> {
        self.maker.shutdown(&self.access, &self.id).await
    }
}
