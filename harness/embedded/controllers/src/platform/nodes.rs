//! Nodes: what they get when they appear, who counts as lost, and the taints that follow from their condition.
//!
//! Rules: kubernetes.io/docs/concepts/architecture/nodes and
//! kubernetes.io/docs/reference/labels-annotations-taints. A node with an unready condition takes no new pods at once;
//! pods are driven out as [`zones`] allows.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, bool_at, list_at, str_at};
use embedded_apimachinery::resource::{LEASES, NODES, PODS};
use embedded_apimachinery::{GroupResource, Object, ObjectKey, timestamp};
use serde_json::{Value, json};

use super::zones::{self, Disruption};
use crate::runtime::{Action, Change, Controller, Plan, View};

const LEASE_NAMESPACE: &str = "kube-node-lease";
const TTL: &str = "node.alpha.kubernetes.io/ttl";
/// Taints that follow from conditions: condition, status, taint.
const TAINTS: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Conditions that only a node that reports can know about.
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

pub struct NodeLifecycle {
    /// How long a node may be silent before it counts as lost.
    pub grace: Duration,
    /// The first two numbers of the network that nodes get their pod addresses from.
    pub pod_network: [u8; 2],
    /// Nodes whose appearance was announced.
    pub registered: BTreeSet<String>,
    /// The node that pods were last driven out of, and when that began.
    pub evicted: Option<(String, DateTime<Utc>)>,
}

impl Controller for NodeLifecycle {
    fn component(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![NODES, LEASES, PODS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == NODES {
            let condition = |node: &Option<Object>| node.as_ref().map(|node| ready(node).to_owned());
            // How many nodes are well decides what becomes of the others.
            return match condition(&change.before) == condition(&change.after) {
                true => vec![change.key()],
                false => view.all(&NODES).map(|node| ObjectKey::of(node)).chain([change.key()]).collect(),
            };
        }
        if change.resource == LEASES {
            // A renewal only matters to a node that counts as lost; the timer sees to the others.
            let key = ObjectKey::new("", change.key().name);
            let lost = view.get(&NODES, &key).is_some_and(|node| ready(node) == "Unknown");
            return if lost && change.key().namespace == LEASE_NAMESPACE { vec![key] } else { Vec::new() };
        }
        Vec::new()
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let Some(node) = view.get(&NODES, key) else {
            self.registered.remove(&key.name);
            return Plan::default();
        };
        let mut plan = Plan::default();
        if self.registered.insert(key.name.clone()) {
            let name = &key.name;
            plan.push(Action::normal(
                node,
                "RegisteredNode",
                format!("Node {name} event: Registered Node {name} in Controller"),
            ));
        }
        let silent_from = last_heard(view, node) + self.grace;
        if now < silent_from {
            plan.recheck_after((silent_from - now).to_std().unwrap_or_default());
        } else if let Some(status) = lost_status(node, now) {
            plan.push(Action::normal(node, "NodeNotReady", format!("Node {} status is now: NodeNotReady", key.name)));
            let mut changed = Value::clone(node);
            changed["status"] = status;
            plan.push(Action::write_status(NODES, changed));
            // The rest follows from that change.
            return plan;
        }
        if !matches!(ready(node), "" | "True") {
            plan.actions.extend(mark_pods(view, &key.name));
        }
        let evicts = self.may_evict(view, node, now, &mut plan);
        if let Some(changed) = self.completed(view, node, evicts, now) {
            plan.push(Action::update(NODES, changed));
        }
        plan
    }
}

/// What becomes of the taint that drives pods out of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evicting {
    /// It follows the node's condition.
    Yes,
    /// It is not set now, but stays where it is.
    NotYet,
    /// It goes: with every node lost, the trouble is not the nodes'.
    No,
}

fn ready(node: &Value) -> &str {
    object::condition(node, "Ready").map_or("", |ready| str_at(ready, "/status"))
}

/// The latest sign of life: the lease, a reported condition, or the node's creation.
fn last_heard(view: &View, node: &Value) -> DateTime<Utc> {
    let lease = view.get(&LEASES, &ObjectKey::new(LEASE_NAMESPACE, object::name(node)));
    let renewed = lease.map_or("", |lease| str_at(lease, "/spec/renewTime"));
    let reported = object::condition(node, "Ready").map_or("", |c| str_at(c, "/lastHeartbeatTime"));
    let created = str_at(node, "/metadata/creationTimestamp");
    let times = [renewed, reported, created].into_iter().filter_map(timestamp::parse);
    times.max().unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// The status of a node that is not heard of any more; `None` when it says so already.
fn lost_status(node: &Value, now: DateTime<Utc>) -> Option<Value> {
    let mut status = node["status"].clone();
    let conditions = object::map_at_mut(&mut status, &[]).entry("conditions").or_insert_with(|| json!([]));
    let Value::Array(conditions) = conditions else { return None };
    let mut changed = false;
    for kind in REPORTED {
        let now = timestamp::format(now);
        match conditions.iter_mut().find(|c| str_at(c, "/type") == kind) {
            None => {
                conditions.push(json!({"type": kind, "status": "Unknown", "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
                    "lastTransitionTime": now, "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status."}));
                changed = true;
            }
            Some(condition) if condition["status"] != "Unknown" => {
                condition["status"] = "Unknown".into();
                condition["reason"] = "NodeStatusUnknown".into();
                condition["message"] = "Kubelet stopped posting node status.".into();
                condition["lastTransitionTime"] = now.into();
                changed = true;
            }
            Some(_) => {}
        }
    }
    changed.then_some(status)
}

/// Pods of a node that is not ready are not ready either, whatever they said last.
fn mark_pods(view: &View, node: &str) -> Vec<Action> {
    let here = view.all(&PODS).filter(|pod| str_at(pod, "/spec/nodeName") == node && object::pod_is_ready(pod));
    let mark = |pod: &Object| {
        let mut changed = Value::clone(pod);
        for condition in changed.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            if str_at(condition, "/type") == "Ready" {
                condition["status"] = "False".into();
                condition["lastTransitionTime"] = timestamp::now().into();
            }
        }
        [Action::warning(pod, "NodeNotReady", "Node is not ready"), Action::write_status(PODS, changed)]
    };
    here.flat_map(mark).collect()
}

impl NodeLifecycle {
    /// Whether pods may be driven out of a node that is not ready: not where too many are not, and not from several
    /// nodes at a time.
    fn may_evict(&mut self, view: &View, node: &Object, now: DateTime<Utc>, plan: &mut Plan) -> Evicting {
        let states = view.all(&NODES).map(|node| (zones::zone(node), ready(node) == "True"));
        match zones::disruption(states, zones::zone(node)) {
            _ if matches!(ready(node), "" | "True") => return Evicting::Yes,
            Disruption::Everywhere => return Evicting::No,
            Disruption::Partial => return Evicting::NotYet,
            // Where it has begun it goes on.
            Disruption::None if is_evicted(node) => return Evicting::Yes,
            Disruption::None => {}
        }
        let name = object::name(node);
        let last = self.evicted.as_ref().filter(|(evicted, _)| evicted != name);
        match last.map(|(_, began)| *began + zones::BETWEEN_EVICTIONS).filter(|next| now < *next) {
            Some(next) => {
                plan.recheck_after((next - now).to_std().unwrap_or_default());
                Evicting::NotYet
            }
            None => {
                self.evicted = Some((name.to_owned(), now));
                Evicting::Yes
            }
        }
    }

    /// The node with the taints of its condition, a network for its pods, and what else every node has.
    fn completed(&self, view: &View, node: &Object, evicting: Evicting, now: DateTime<Utc>) -> Option<Value> {
        let mut changed = Value::clone(node);
        if object::annotation(node, TTL).is_none() {
            object::set_annotation(&mut changed, TTL, "0");
        }
        if str_at(node, "/spec/podCIDR").is_empty()
            && let Some(network) = self.free_network(view)
        {
            changed["spec"]["podCIDRs"] = json!([network]);
            changed["spec"]["podCIDR"] = network.into();
        }
        let taints = taints(node, evicting, now);
        if taints != list_at(node, "/spec/taints") {
            match taints.is_empty() {
                true => drop(object::map_at_mut(&mut changed, &["spec"]).remove("taints")),
                false => changed["spec"]["taints"] = taints.into(),
            }
        }
        (changed != **node).then_some(changed)
    }

    fn free_network(&self, view: &View) -> Option<String> {
        let taken: BTreeSet<&str> = view.all(&NODES).map(|node| str_at(node, "/spec/podCIDR")).collect();
        let [a, b] = self.pod_network;
        (0..=255).map(|n| format!("{a}.{b}.{n}.0/24")).find(|network| !taken.contains(network.as_str()))
    }
}

/// Whether a node has a taint that drives pods out because the node is not ready.
fn is_evicted(node: &Value) -> bool {
    let keys = TAINTS.iter().filter(|(condition, ..)| *condition == "Ready").map(|(_, _, key)| *key);
    let executes = |taint: &Value| str_at(taint, "/effect") == "NoExecute";
    list_at(node, "/spec/taints").iter().any(|t| executes(t) && keys.clone().any(|key| str_at(t, "/key") == key))
}

/// The taints that somebody else set, and those that follow from the node's condition.
fn taints(node: &Value, evicting: Evicting, now: DateTime<Utc>) -> Vec<Value> {
    let current = list_at(node, "/spec/taints");
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (condition, status, taint) in TAINTS {
        if object::condition(node, condition).is_some_and(|c| str_at(c, "/status") == status) {
            wanted.push((taint, "NoSchedule"));
            let executes = |t: &Value| str_at(t, "/key") == taint && str_at(t, "/effect") == "NoExecute";
            let evicts = match evicting {
                Evicting::Yes => true,
                Evicting::NotYet => current.iter().any(executes),
                Evicting::No => false,
            };
            if condition == "Ready" && evicts {
                wanted.push((taint, "NoExecute"));
            }
        }
    }
    if bool_at(node, "/spec/unschedulable") {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let is =
        |taint: &Value, key: &str, effect: &str| str_at(taint, "/key") == key && str_at(taint, "/effect") == effect;
    let ours = |taint: &Value| {
        let effects: &[&str] =
            if str_at(taint, "/key") == UNSCHEDULABLE { &["NoSchedule"] } else { &["NoSchedule", "NoExecute"] };
        let keys = TAINTS.iter().map(|(_, _, key)| *key).chain([UNSCHEDULABLE]);
        keys.clone().any(|key| str_at(taint, "/key") == key) && effects.contains(&str_at(taint, "/effect"))
    };
    let kept = current.iter().filter(|taint| !ours(taint) || wanted.iter().any(|(key, effect)| is(taint, key, effect)));
    let mut taints: Vec<Value> = kept.cloned().collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| is(taint, key, effect)) {
            taints.push(json!({"key": key, "effect": effect, "timeAdded": timestamp::format(now)}));
        }
    }
    taints
}

#[cfg(test)]
mod tests;
