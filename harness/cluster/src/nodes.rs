//! Cordon, evict, drain and their undoing, as `kubectl` does them; and signs of life.

use crate::access::{Access, said};
use crate::progress::{Progress, Waiting};
use crate::ready::is_finished;
use crate::view::View;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, EvictParams};
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long after a refused eviction it is tried again, at the latest; any change of the budgets tries at once.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// # Errors
/// What the API said.
pub async fn cordon(access: &Access, node: &str) -> Result<(), Trouble> {
    let nodes: Api<Node> = Api::all(access.client.clone());
    nodes.cordon(node).await.map(drop).map_err(|e| Trouble::harness(format!("cannot cordon {node}: {}", said(&e))))
}

/// # Errors
/// What the API said.
pub async fn uncordon(access: &Access, node: &str) -> Result<(), Trouble> {
    let nodes: Api<Node> = Api::all(access.client.clone());
    nodes.uncordon(node).await.map(drop).map_err(|e| Trouble::harness(format!("cannot uncordon {node}: {}", said(&e))))
}

/// # Errors
/// What the API said.
pub async fn is_cordoned(access: &Access, node: &str) -> Result<bool, Trouble> {
    let nodes: Api<Node> = Api::all(access.client.clone());
    let node = nodes.get(node).await.or_trouble(|| format!("cannot get node {node}"))?;
    Ok(node.spec.and_then(|spec| spec.unschedulable).unwrap_or(false))
}

/// A node's last sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// RFC 3339; empty when there never was one.
    pub renewed: String,
    /// How often a node that is well gives one: a quarter of the time for which it is good, as kubelets do.
    pub due_every: Duration,
}

/// # Errors
/// The node has no lease, or the API does not give it.
pub async fn heartbeat(access: &Access, node: &str) -> Result<Heartbeat, Trouble> {
    let leases: Api<Lease> = Api::namespaced(access.client.clone(), "kube-node-lease");
    let lease = leases.get(node).await.or_trouble(|| format!("cannot get the lease of node {node}"))?;
    let spec = lease.spec.unwrap_or_default();
    let good_for = spec.lease_duration_seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(40);
    let renewed = spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default();
    Ok(Heartbeat { renewed, due_every: Duration::from_secs(good_for.into()) / 4 })
}

/// What came of one request to evict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    Granted,
    /// 429: a budget does not allow it now.
    Refused {
        why: String,
    },
    /// The pod is not there any more.
    Gone,
}

/// Asks once for the eviction of a pod.
///
/// # Errors
/// Anything but a grant, a refusal by a budget, or a pod that is gone.
pub async fn evict(access: &Access, namespace: &str, pod: &str) -> Result<Eviction, Trouble> {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), namespace);
    match pods.evict(pod, &EvictParams::default()).await {
        Ok(_) => Ok(Eviction::Granted),
        Err(kube::Error::Api(status)) if status.code == 429 => {
            let causes = status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.message.clone());
            let why: Vec<String> = std::iter::once(status.message.clone()).chain(causes).collect();
            Ok(Eviction::Refused { why: why.join(" ") })
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Eviction::Gone),
        Err(error) => Err(Trouble::harness(format!("cannot evict {namespace}/{pod}: {}", said(&error)))),
    }
}

/// What a drain did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drained {
    /// Pods that were evicted, as `namespace/name`.
    pub evicted: Vec<String>,
    /// How often an eviction was refused by a budget.
    pub refusals: u64,
}

/// Evicts every pod from a node that is cordoned, and waits until they are gone. Pods of DaemonSets
/// stay, as with `kubectl drain --ignore-daemonsets`.
///
/// # Errors
/// The node is not empty at the deadline: which pods are left, and what was said about them.
pub async fn empty(
    access: &Access,
    view: &View,
    node: &str,
    deadline: Duration,
    progress: &dyn Progress,
) -> Result<Drained, Trouble> {
    let mut drained = Drained::default();
    let mut waiting = Waiting::start(format!("node {node} to be empty"), deadline, progress);
    let until = waiting.until();
    let work = async {
        let mut granted = BTreeSet::new();
        let mut changes = view.changes();
        view.complete().await;
        loop {
            changes.mark_unchanged();
            let left = left_on(&view.snapshot().pods, node);
            if left.is_empty() {
                return Ok(());
            }
            let refused = evict_all(access, &left, &mut granted, &mut drained, progress).await?;
            waiting.seen(&describe(&left, &refused));
            let again = if refused.is_empty() { deadline } else { RETRY_AFTER };
            let _ = tokio::time::timeout(again, changes.changed()).await;
        }
    };
    match tokio::time::timeout_at(until, work).await {
        Ok(Ok(())) => Ok(drained),
        Ok(Err(trouble)) => Err(trouble),
        Err(_) => Err(Trouble::harness(waiting.gave_up())),
    }
}

fn left_on(pods: &[std::sync::Arc<Pod>], node: &str) -> Vec<std::sync::Arc<Pod>> {
    let here = |pod: &&std::sync::Arc<Pod>| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    let of_daemon_set = |pod: &Pod| pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet");
    pods.iter().filter(here).filter(|pod| !of_daemon_set(pod) && !is_finished(pod)).cloned().collect()
}

/// Asks for every pod not yet granted; returns the refusals. One refused pod does not hold up the others.
async fn evict_all(
    access: &Access,
    left: &[std::sync::Arc<Pod>],
    granted: &mut BTreeSet<String>,
    drained: &mut Drained,
    progress: &dyn Progress,
) -> Result<Vec<String>, Trouble> {
    let mut refused = Vec::new();
    for pod in left {
        let Some(uid) = pod.meta().uid.clone() else { continue };
        if granted.contains(&uid) || pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        match evict(access, &namespace, &name).await? {
            Eviction::Granted => {
                granted.insert(uid);
                progress.acted(&format!("eviction of {namespace}/{name}: granted"));
                drained.evicted.push(format!("{namespace}/{name}"));
            }
            Eviction::Refused { why } => {
                drained.refusals += 1;
                refused.push(format!("{name}: {why}"));
            }
            Eviction::Gone => {}
        }
    }
    Ok(refused)
}

fn describe(left: &[std::sync::Arc<Pod>], refused: &[String]) -> String {
    let names: Vec<String> = left.iter().map(|pod| pod.name_any()).collect();
    match refused.first() {
        None => format!("still there: {}", names.join(", ")),
        Some(why) => format!("still there: {}; refused: {why}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn pod(name: &str, node: &str, owner: &str, phase: &str) -> Arc<Pod> {
        let owner = json!([{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "u"}]);
        let pod = json!({"metadata": {"name": name, "ownerReferences": owner},
            "spec": {"nodeName": node, "containers": []}, "status": {"phase": phase}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_drain_leaves_daemons_finished_pods_and_other_nodes_alone() {
        let pods = [
            pod("a", "n1", "ReplicaSet", "Running"),
            pod("b", "n2", "ReplicaSet", "Running"),
            pod("c", "n1", "DaemonSet", "Running"),
            pod("d", "n1", "Job", "Succeeded"),
        ];
        let names: Vec<String> = left_on(&pods, "n1").iter().map(|pod| pod.name_any()).collect();
        assert_eq!(names, ["a"]);
    }
}
