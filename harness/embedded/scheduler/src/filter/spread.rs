//! Topology spread constraints that must be met.

use std::collections::BTreeMap;

use embedded_apimachinery::object;
use embedded_apimachinery::placement;

use super::Rejection;
use crate::cluster::{Cluster, NodeInfo};
use crate::pod::{PodInfo, Spread};

/// Matching pods per domain for one constraint.
pub struct Domains {
    key: String,
    max_skew: i64,
    /// Whether the new pod counts itself.
    own: i64,
    counts: BTreeMap<String, i64>,
    /// The smallest count, or 0 if there are fewer domains than asked for.
    least: i64,
}

impl Domains {
    /// The state of every constraint of the pod that says `DoNotSchedule`.
    pub fn required(pod: &PodInfo, cluster: &Cluster) -> Vec<Self> {
        let required: Vec<&Spread> = pod.spread.iter().filter(|s| s.required).collect();
        let keyed = |node: &NodeInfo| required.iter().all(|s| node.label(&s.topology_key).is_some());
        let domains = |constraint: &&Spread| {
            let mut counts = BTreeMap::new();
            for node in cluster.nodes.values().filter(|node| keyed(node) && eligible(pod, node, constraint)) {
                if let Some(value) = node.label(&constraint.topology_key) {
                    *counts.entry(value.to_owned()).or_insert(0) += matching(pod, node, constraint);
                }
            }
            let enough = i64::try_from(counts.len()).unwrap_or(i64::MAX) >= constraint.min_domains;
            let least = if enough { counts.values().copied().min().unwrap_or(0) } else { 0 };
            Self {
                key: constraint.topology_key.clone(),
                max_skew: constraint.max_skew,
                own: constraint.selector.as_ref().is_some_and(|s| s.matches(&pod.labels)).into(),
                counts,
                least,
            }
        };
        required.iter().map(domains).collect()
    }
}

/// Whether a node counts for a constraint.
pub fn eligible(pod: &PodInfo, node: &NodeInfo, constraint: &Spread) -> bool {
    let tolerated = || placement::untolerated_taint(&pod.object, &node.object, &["NoSchedule", "NoExecute"]).is_none();
    (!constraint.honor_affinity || placement::node_matches_pod(&pod.object, &node.object))
        && (!constraint.honor_taints || tolerated())
}

/// Pods on the node that the constraint counts: of the same namespace, selected, not going away.
pub fn matching(pod: &PodInfo, node: &NodeInfo, constraint: &Spread) -> i64 {
    let Some(selector) = &constraint.selector else { return 0 };
    let counted = node.pods.values().filter(|other| {
        other.namespace() == pod.namespace() && !object::is_deleting(&other.object) && selector.matches(&other.labels)
    });
    i64::try_from(counted.count()).unwrap_or(i64::MAX)
}

pub fn check(constraints: &[Domains], node: &NodeInfo) -> Result<(), Rejection> {
    for domains in constraints {
        let Some(value) = node.label(&domains.key) else {
            let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
            return Err(Rejection::hopeless(reason));
        };
        let there = domains.counts.get(value).copied().unwrap_or(0);
        if there + domains.own - domains.least > domains.max_skew {
            return Err(Rejection::for_now("node(s) didn't match pod topology spread constraints"));
        }
    }
    Ok(())
}
