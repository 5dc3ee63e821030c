//! Which of several nodes is best.
//!
//! Each criterion gives a node 0 to 100 points; they are weighted as in the default profile. Of equals the node with
//! fewer pods wins, then the first by name: the same cluster always gives the same answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use embedded_apimachinery::object::{self, int_at, list_at};
use embedded_apimachinery::placement;

use crate::cluster::{Cluster, NodeInfo};
use crate::filter;
use crate::pod::{PodInfo, Spread};

const TAINTS: f64 = 3.0;
const NODE_AFFINITY: f64 = 2.0;
const SPREAD: f64 = 2.0;
const POD_AFFINITY: f64 = 2.0;
const LEAST_ALLOCATED: f64 = 1.0;
const BALANCED: f64 = 1.0;
const FULL: f64 = 100.0;

/// The best of `nodes`; `None` when there are none.
pub fn best<'a>(pod: &PodInfo, nodes: &[&'a NodeInfo], cluster: &Cluster) -> Option<&'a NodeInfo> {
    if nodes.len() < 2 {
        return nodes.first().copied();
    }
    let points = points(pod, nodes, cluster);
    let ranked = nodes.iter().zip(points);
    // Compared as whole points: differences below one are noise of the arithmetic.
    let rank = |(node, points): &(&&NodeInfo, f64)| {
        (points.round() as i64, Reverse(node.pods.len()), Reverse(node.name().to_owned()))
    };
    ranked.max_by_key(rank).map(|(node, _)| *node)
}

/// The weighted sum for each node.
pub fn points(pod: &PodInfo, nodes: &[&NodeInfo], cluster: &Cluster) -> Vec<f64> {
    let mut sums = vec![0.0; nodes.len()];
    let mut add = |weight: f64, points: Vec<f64>| {
        for (sum, points) in sums.iter_mut().zip(points) {
            *sum += weight * points.floor();
        }
    };
    add(TAINTS, fewer_is_better(nodes.iter().map(|node| avoided_taints(pod, node)).collect()));
    add(NODE_AFFINITY, more_is_better(nodes.iter().map(|node| preferred_terms(pod, node)).collect()));
    add(POD_AFFINITY, between_extremes(pod_preferences(pod, nodes, cluster)));
    add(SPREAD, spread(pod, nodes, cluster));
    add(LEAST_ALLOCATED, nodes.iter().map(|node| free_share(pod, node)).collect());
    add(BALANCED, nodes.iter().map(|node| balance(pod, node)).collect());
    sums
}

fn more_is_better(values: Vec<f64>) -> Vec<f64> {
    let most = values.iter().copied().fold(0.0, f64::max);
    values.iter().map(|v| if most > 0.0 { v * FULL / most } else { 0.0 }).collect()
}

fn fewer_is_better(values: Vec<f64>) -> Vec<f64> {
    let most = values.iter().copied().fold(0.0, f64::max);
    values.iter().map(|v| if most > 0.0 { FULL - v * FULL / most } else { FULL }).collect()
}

fn between_extremes(values: Vec<f64>) -> Vec<f64> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().map(|v| if most > least { (v - least) * FULL / (most - least) } else { 0.0 }).collect()
}

/// Taints of effect `PreferNoSchedule` that the pod does not tolerate.
fn avoided_taints(pod: &PodInfo, node: &NodeInfo) -> f64 {
    let tolerations = list_at(&pod.object, "/spec/tolerations");
    let soft = list_at(&node.object, "/spec/taints").iter().filter(|taint| taint["effect"] == "PreferNoSchedule");
    soft.filter(|taint| !tolerations.iter().any(|t| placement::tolerates(t, taint))).count() as f64
}

fn preferred_terms(pod: &PodInfo, node: &NodeInfo) -> f64 {
    let pointer = "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution";
    let met = list_at(&pod.object, pointer)
        .iter()
        .filter(|term| term.get("preference").is_some_and(|p| placement::node_matches_term(&node.object, p)));
    met.filter_map(|term| int_at(term, "/weight")).sum::<i64>() as f64
}

/// Preferred affinities of the pod towards others, and of others towards it; their required affinity counts 1.
fn pod_preferences(pod: &PodInfo, nodes: &[&NodeInfo], cluster: &Cluster) -> Vec<f64> {
    let labels_of = |ns: &str| cluster.namespace_labels(ns);
    let mut places: HashMap<(&str, &str), f64> = HashMap::new();
    for (node, other) in cluster.pods() {
        let mut count = |key: &'_ str, weight: i64| {
            if let Some((key, value)) = node_label(node, key) {
                *places.entry((key, value)).or_default() += weight as f64;
            }
        };
        for (weight, term) in pod.preferences.iter().filter(|(_, term)| term.matches(other, labels_of)) {
            count(&term.topology_key, *weight);
        }
        for (weight, term) in other.preferences.iter().filter(|(_, term)| term.matches(pod, labels_of)) {
            count(&term.topology_key, *weight);
        }
        for term in other.affinity.iter().filter(|term| term.matches(pod, labels_of)) {
            count(&term.topology_key, 1);
        }
    }
    let of = |node: &&NodeInfo| {
        places.iter().filter(|((key, value), _)| node.label(key) == Some(*value)).map(|(_, weight)| weight).sum()
    };
    nodes.iter().map(of).collect()
}

/// The label as the node has it, so that it lives as long as the node.
fn node_label<'a>(node: &'a NodeInfo, key: &str) -> Option<(&'a str, &'a str)> {
    let labels = node.object.pointer("/metadata/labels")?.as_object()?;
    labels.get_key_value(key).and_then(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// How evenly pods like this one are spread: soft constraints, or by default those of the same owner over nodes and
/// zones.
fn spread(pod: &PodInfo, nodes: &[&NodeInfo], cluster: &Cluster) -> Vec<f64> {
    let soft: Vec<&Spread> = pod.spread.iter().filter(|s| !s.required).collect();
    let crowding = |node: &&NodeInfo| {
        if soft.is_empty() {
            siblings_near(pod, node, nodes, cluster)
        } else {
            soft_crowding(pod, &soft, node, nodes, cluster)
        }
    };
    let crowding: Vec<Option<f64>> = nodes.iter().map(crowding).collect();
    let known = || crowding.iter().flatten().copied();
    let (least, most) = (known().fold(f64::INFINITY, f64::min), known().fold(0.0, f64::max));
    let points = |c: &Option<f64>| match c {
        None => 0.0,
        Some(_) if most == 0.0 => FULL,
        Some(c) => FULL * (most + least - c) / most,
    };
    crowding.iter().map(points).collect()
}

/// `None` for nodes without the topology labels: they are ranked last.
fn soft_crowding(
    pod: &PodInfo,
    soft: &[&Spread],
    node: &NodeInfo,
    nodes: &[&NodeInfo],
    cluster: &Cluster,
) -> Option<f64> {
    let mut sum: f64 = 0.0;
    for constraint in soft {
        let value = node.label(&constraint.topology_key)?;
        let counted = cluster
            .nodes
            .values()
            .filter(|n| n.label(&constraint.topology_key) == Some(value) && filter::eligible(pod, n, constraint));
        let pods: i64 = counted.map(|n| filter::matching(pod, n, constraint)).sum();
        sum += pods as f64 * domain_weight(&constraint.topology_key, nodes) + (constraint.max_skew - 1) as f64;
    }
    Some(sum.round())
}

/// More domains make each pod in one of them weigh more.
fn domain_weight(key: &str, nodes: &[&NodeInfo]) -> f64 {
    let domains: std::collections::BTreeSet<&str> = nodes.iter().filter_map(|node| node.label(key)).collect();
    ((domains.len() + 2) as f64).ln()
}

/// The default constraints: skew 3 over hosts, 5 over zones, for pods of the same owner.
fn siblings_near(pod: &PodInfo, node: &NodeInfo, nodes: &[&NodeInfo], cluster: &Cluster) -> Option<f64> {
    let owner = object::controller_ref(&pod.object)?;
    let sibling = |other: &PodInfo| {
        !object::is_deleting(&other.object)
            && object::controller_ref(&other.object).is_some_and(|o| o["uid"] == owner["uid"])
    };
    let mut sum: f64 = 0.0;
    for (key, max_skew) in [("kubernetes.io/hostname", 3.0), ("topology.kubernetes.io/zone", 5.0)] {
        let Some(value) = node.label(key) else { continue };
        let near = cluster.pods().filter(|(n, other)| n.label(key) == Some(value) && sibling(other)).count();
        sum += near as f64 * domain_weight(key, nodes) + (max_skew - 1.0);
    }
    Some(sum.round())
}

/// CPU and memory in use on the node with the pod on it, as shares of what is allocatable.
fn shares(pod: &PodInfo, node: &NodeInfo) -> [f64; 2] {
    let mut used: BTreeMap<&str, i128> = BTreeMap::from([("cpu", pod.weight.0), ("memory", pod.weight.1)]);
    for other in node.pods.values() {
        used.entry("cpu").and_modify(|sum| *sum += other.weight.0);
        used.entry("memory").and_modify(|sum| *sum += other.weight.1);
    }
    ["cpu", "memory"].map(|name| {
        let allocatable = node.allocatable.get(name).copied().unwrap_or(0);
        if allocatable == 0 { 1.0 } else { (used[name] as f64 / allocatable as f64).min(1.0) }
    })
}

fn free_share(pod: &PodInfo, node: &NodeInfo) -> f64 {
    let [cpu, memory] = shares(pod, node);
    FULL * (2.0 - cpu - memory) / 2.0
}

fn balance(pod: &PodInfo, node: &NodeInfo) -> f64 {
    let [cpu, memory] = shares(pod, node);
    FULL * (1.0 - (cpu - memory).abs() / 2.0)
}
