//! Rules between pods: required affinity and anti-affinity, in both directions.

use std::collections::HashMap;
use std::sync::Arc;

use super::Rejection;
use crate::cluster::{Cluster, NodeInfo};
use crate::pod::{PodInfo, PodTerm};

/// How many pods concern a term, by the value of its topology key.
type Counts = HashMap<String, usize>;

/// Counts over the whole cluster, so that each node is a look-up.
pub struct PodRules {
    /// Per affinity term: where the pods are that the new pod wants to be with.
    affinity: Vec<(String, Counts)>,
    /// Nobody matches, but the pod matches its own terms: it may be the first.
    first_of_its_kind: bool,
    /// Per anti-affinity term: where the pods are that it will not be with.
    anti_affinity: Vec<(String, Counts)>,
    /// Topology key and value of places where pods are that will not have the new pod with them.
    unwelcome: Vec<(String, String)>,
}

impl PodRules {
    pub fn new(pod: &PodInfo, cluster: &Cluster) -> Self {
        let matches = |term: &PodTerm, other: &PodInfo| term.matches(other, |ns| cluster.namespace_labels(ns));
        let wanted = |other: &PodInfo| pod.affinity.iter().all(|term| matches(term, other));
        let affinity: Vec<_> =
            pod.affinity.iter().map(|t| (t.topology_key.clone(), count(t, cluster, |p| wanted(p)))).collect();
        let nobody = affinity.iter().all(|(_, counts)| counts.is_empty());
        let anti_affinity =
            pod.anti_affinity.iter().map(|t| (t.topology_key.clone(), count(t, cluster, |p| matches(t, p)))).collect();
        let mut unwelcome = Vec::new();
        for (node, other) in cluster.pods() {
            for term in other.anti_affinity.iter().filter(|term| matches(term, pod)) {
                if let Some(value) = node.label(&term.topology_key) {
                    unwelcome.push((term.topology_key.clone(), value.to_owned()));
                }
            }
        }
        Self { affinity, first_of_its_kind: nobody && wanted(pod), anti_affinity, unwelcome }
    }

    pub fn check(&self, node: &NodeInfo) -> Result<(), Rejection> {
        let there = |key: &str, counts: &Counts| node.label(key).is_some_and(|value| counts.contains_key(value));
        let together = self.affinity.iter().all(|(key, counts)| there(key, counts));
        let labelled = || self.affinity.iter().all(|(key, _)| node.label(key).is_some());
        if !(together || self.first_of_its_kind && labelled()) {
            return Err(Rejection::hopeless("node(s) didn't match pod affinity rules"));
        }
        if self.anti_affinity.iter().any(|(key, counts)| there(key, counts)) {
            return Err(Rejection::for_now("node(s) didn't match pod anti-affinity rules"));
        }
        if self.unwelcome.iter().any(|(key, value)| node.label(key) == Some(value)) {
            return Err(Rejection::for_now("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

fn count(term: &PodTerm, cluster: &Cluster, concerns: impl Fn(&PodInfo) -> bool) -> Counts {
    let mut counts = Counts::new();
    let concerned = |(node, pod): (&NodeInfo, &Arc<PodInfo>)| {
        let value = node.label(&term.topology_key)?.to_owned();
        concerns(pod).then_some(value)
    };
    for value in cluster.pods().filter_map(concerned) {
        *counts.entry(value).or_default() += 1;
    }
    counts
}
