//! The rules that a node must meet before a pod may run on it.
//!
//! What depends on the pod and the cluster but not on the node is worked out once ([`prepare`]); [`check`] then asks
//! the rules in the order of the default profile, and the first one that objects gives the reasons.

mod node;
mod pods;
mod resources;
mod spread;
mod volumes;

pub use pods::PodRules;
pub use spread::{Domains, eligible, matching};
pub use volumes::{ClaimPlan, VolumeRules};

use crate::cluster::{Cluster, NodeInfo};
use crate::pod::PodInfo;

/// Why a node will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reasons: Vec<String>,
    /// Whether fewer pods on the node could change that.
    pub preemption_may_help: bool,
}

impl Rejection {
    fn hopeless(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], preemption_may_help: false }
    }

    fn for_now(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], preemption_may_help: true }
    }
}

/// What the rules need to know beyond the node.
pub struct Prepared {
    /// Required node affinity by name leaves only these nodes.
    only: Option<Vec<String>>,
    pods: PodRules,
    spread: Vec<Domains>,
    volumes: VolumeRules,
}

/// Works out what is the same for every node. The error says why no node will do.
pub fn prepare(pod: &PodInfo, cluster: &Cluster) -> Result<Prepared, String> {
    Ok(Prepared {
        only: node::named_nodes(pod)?,
        volumes: VolumeRules::new(pod, cluster)?,
        pods: PodRules::new(pod, cluster),
        spread: Domains::required(pod, cluster),
    })
}

/// Whether the pod may run on this node, and what is to be done about its unbound claims there.
pub fn check(
    pod: &PodInfo,
    node: &NodeInfo,
    cluster: &Cluster,
    prepared: &Prepared,
) -> Result<Vec<ClaimPlan>, Rejection> {
    if prepared.only.as_ref().is_some_and(|names| !names.iter().any(|name| name == node.name())) {
        return Err(Rejection::hopeless("node(s) didn't satisfy plugin(s) [NodeAffinity]"));
    }
    node::unschedulable(pod, node)?;
    node::taints(pod, node)?;
    node::affinity(pod, node)?;
    resources::host_ports(pod, node)?;
    resources::fits(pod, node)?;
    let plans = prepared.volumes.check(node, cluster)?;
    spread::check(&prepared.spread, node)?;
    prepared.pods.check(node)?;
    Ok(plans)
}
