//! Cordon, evict, drain and their undoing, as `kubectl` does them; and signs of life.

use crate::access::{Access, said};
use crate::ownership;
use crate::progress::{Progress, Waiting};
use crate::ready::is_finished;
use crate::view::View;
use gauntlet_core::Trouble;
use gauntlet_core::span::Span;
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
    /// 429 as well, but of a server that has too much to do: when it wants to be asked again.
    Busy {
        again: Duration,
    },
}

/// Asks once for the eviction of a pod.
///
/// # Errors
/// Anything but the answers that an [`Eviction`] may have.
pub async fn evict(access: &Access, namespace: &str, pod: &str) -> Result<Eviction, Trouble> {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), namespace);
    match pods.evict(pod, &EvictParams::default()).await {
        Ok(_) => Ok(Eviction::Granted),
        Err(kube::Error::Api(status)) if is_of_a_budget(&status) => {
            let causes = status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.message.clone());
            let why: Vec<String> = std::iter::once(status.message.clone()).chain(causes).collect();
            Ok(Eviction::Refused { why: why.join(" ") })
        }
        Err(kube::Error::Api(status)) if status.code == 429 => {
            let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
            Ok(Eviction::Busy { again: Duration::from_secs(asked.clamp(1, 10).into()) })
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Eviction::Gone),
        Err(error) => Err(Trouble::harness(format!("cannot evict {namespace}/{pod}: {}", said(&error)))),
    }
}

/// A server that has too much to do answers 429 as well; only a budget gives this cause (`policy/v1`,
/// `DisruptionBudgetCause`).
fn is_of_a_budget(status: &kube::core::Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 429 && causes.any(|cause| cause.reason == "DisruptionBudget")
}

/// What became of a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emptied {
    Empty(Drained),
    /// Not in its time: which pods are left, and what was said about them.
    Late {
        left: String,
    },
}

/// What a drain did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drained {
    /// Pods that were evicted, as `namespace/name`.
    pub evicted: Vec<String>,
    /// How often an eviction was refused by a budget.
    pub refusals: u64,
}

/// Evicts every pod from a node that is cordoned, and waits until they are gone. Pods of DaemonSets and mirrors of static
/// pods stay, as with `kubectl drain --ignore-daemonsets`.
///
/// # Errors
/// The API gave no answer that says anything of the node.
pub async fn empty(
    access: &Access,
    view: &View,
    node: &str,
    deadline: Duration,
    progress: &dyn Progress,
) -> Result<Emptied, Trouble> {
    let (mut drained, mut busy) = (Drained::default(), None);
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
            busy = refused.busy;
            let refused = refused.by_budgets;
            waiting.seen(&describe(&left, &refused));
            let again = match busy {
                Some(again) => again,
                None if refused.is_empty() => deadline,
                None => RETRY_AFTER,
            };
            let _ = tokio::time::timeout(again, changes.changed()).await;
        }
    };
    match tokio::time::timeout_at(until, work).await {
        Ok(Ok(())) => Ok(Emptied::Empty(drained)),
        Ok(Err(trouble)) => Err(trouble),
        Err(_) if busy.is_some() => Err(Trouble::harness(format!(
            "the API server had no time to evict everything from {node} within {}",
            Span(deadline)
        ))
        .hint("run again when the cluster has less to do")),
        Err(_) => Ok(Emptied::Late { left: waiting.gave_up() }),
    }
}

fn left_on(pods: &[std::sync::Arc<Pod>], node: &str) -> Vec<std::sync::Arc<Pod>> {
    let here = |pod: &&std::sync::Arc<Pod>| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    let of_daemon_set = |pod: &Pod| pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet");
    let stays = |pod: &Pod| of_daemon_set(pod) || pod.annotations().contains_key(MIRROR) || is_finished(pod);
    pods.iter().filter(here).filter(|pod| !stays(pod)).cloned().collect()
}

/// Stands on what a kubelet shows of its static pods, which no eviction ends (kubectl's drain, `mirrorPodFilter`).
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Makes sure that nobody else loses for good what runs on a node (`kubectl drain` wants `--force` for that).
///
/// # Errors
/// Pods of others that no controller makes anew.
pub async fn check_drainable(access: &Access, view: &View, node: &str) -> Result<(), Trouble> {
    if !access.is_shared {
        return Ok(());
    }
    view.complete().await;
    check_brought_back(&left_on(&view.snapshot().pods, node), node)
}

fn check_brought_back(pods: &[std::sync::Arc<Pod>], node: &str) -> Result<(), Trouble> {
    let is_controlled = |pod: &Pod| pod.owner_references().iter().any(|owner| owner.controller == Some(true));
    let is_ours = |pod: &Pod| ownership::run_of(pod).is_some();
    let lost = pods.iter().filter(|pod| !is_controlled(pod) && !is_ours(pod));
    let lost: Vec<String> =
        lost.map(|pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Trouble::harness(format!("node {node} is not drained, since nothing would bring back {}", lost.join(", ")))
        .hint("move these pods, or give them a controller"))
}

/// What kept pods from being evicted at once.
#[derive(Default)]
struct Refusals {
    by_budgets: Vec<String>,
    /// When a server that has too much to do wants to be asked again.
    busy: Option<Duration>,
}

/// Asks for every pod not yet granted; one that is refused does not hold up the others.
async fn evict_all(
    access: &Access,
    left: &[std::sync::Arc<Pod>],
    granted: &mut BTreeSet<String>,
    drained: &mut Drained,
    progress: &dyn Progress,
) -> Result<Refusals, Trouble> {
    let mut refused = Refusals::default();
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
                refused.by_budgets.push(format!("{name}: {why}"));
            }
            Eviction::Busy { again } => refused.busy = Some(again),
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
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn pod(name: &str, node: &str, owner: &str, phase: &str) -> Arc<Pod> {
        let owner = json!([{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "u"}]);
        let pod = json!({"metadata": {"name": name, "ownerReferences": owner},
            "spec": {"nodeName": node, "containers": []}, "status": {"phase": phase}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn only_a_budget_refuses() {
        let status = |details: Value| {
            let status = json!({"status": "Failure", "code": 429, "reason": "TooManyRequests", "details": details});
            serde_json::from_value::<kube::core::Status>(status).unwrap()
        };
        assert!(is_of_a_budget(&status(json!({"causes": [{"reason": "DisruptionBudget", "message": "m"}]}))));
        assert!(!is_of_a_budget(&status(json!({"retryAfterSeconds": 1}))));
    }

    #[test]
    fn a_drain_leaves_mirrors_of_static_pods_alone() {
        let mut mirror = (*pod("kube-proxy", "n1", "Node", "Running")).clone();
        mirror.annotations_mut().insert(MIRROR.to_owned(), "hash".to_owned());
        assert!(left_on(&[Arc::new(mirror)], "n1").is_empty());
    }

    #[test]
    fn what_others_would_lose_for_good_keeps_a_node_from_being_drained() {
        let bare = |labels: Value| {
            let pod = json!({"metadata": {"name": "bare", "namespace": "theirs", "labels": labels}});
            vec![Arc::new(serde_json::from_value::<Pod>(pod).unwrap())]
        };
        let said = check_brought_back(&bare(json!({})), "n1").unwrap_err().message;
        assert_eq!(said, "node n1 is not drained, since nothing would bring back theirs/bare");
        assert!(check_brought_back(&bare(json!({"gauntlet.test/run": "r1"})), "n1").is_ok());
        let mut controlled = (*pod("a", "n1", "ReplicaSet", "Running")).clone();
        controlled.owner_references_mut()[0].controller = Some(true);
        assert!(check_brought_back(&[Arc::new(controlled)], "n1").is_ok());
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
