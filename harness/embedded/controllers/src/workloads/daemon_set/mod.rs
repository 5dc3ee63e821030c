//! DaemonSets: one pod on every node that fits.
//!
//! - [`placement`]: which nodes want a pod, and the pod that a node gets
//! - [`manage`]: pods to make and to remove
//! - [`roll`]: the rolling update
//! - [`status`]: the counters
//!
//! The rules are those of k8s.io/kubernetes/pkg/controller/daemon.

mod manage;
mod placement;
mod roll;
mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, str_at};
use embedded_apimachinery::resource::{CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS};
use embedded_apimachinery::{GroupResource, Object, ObjectKey};
use serde_json::Value;

use super::pods;
use super::revisions::{Revision, Revisions, label_of};
use crate::runtime::claim::claim;
use crate::runtime::{Change, Controller, Outcome, Plan, View};

/// The label of pods and ControllerRevisions that holds the revision's hash.
const HASH_LABEL: &str = "controller-revision-hash";

#[derive(Default)]
pub struct DaemonSets {
    patience: manage::Patience,
}

impl Controller for DaemonSets {
    fn component(&self) -> &'static str {
        "daemonset-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![DAEMON_SETS, PODS, NODES, CONTROLLER_REVISIONS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == DAEMON_SETS {
            return vec![change.key()];
        }
        if change.resource == NODES {
            let sets = view.all(&DAEMON_SETS).filter(|_| placement::matters(change));
            return sets.map(|set| ObjectKey::of(set)).collect();
        }
        pods::keys_of_owners(view, change, &DAEMON_SETS, "DaemonSet")
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let Some(set) = view.get(&DAEMON_SETS, key).filter(|set| !object::is_deleting(set)) else {
            self.patience.forget(key);
            return Plan::default();
        };
        let claim = claim(view, set, &PODS, |_| true);
        let revisions = Revisions::of(view, set);
        if !claim.actions.is_empty() || !revisions.adoptions.is_empty() {
            return Plan::of(claim.actions.into_iter().chain(revisions.adoptions).collect());
        }
        let (update, promotion) = revisions.current(view, set, HASH_LABEL);
        let by_node = by_node(&claim.owned);
        let round = Round { view, set, update: &update, by_node: &by_node, now };
        let mut plan = manage::next(&round, &mut self.patience);
        if plan.actions.is_empty() {
            plan.actions.extend(roll::next(&round));
        }
        plan.actions.splice(0..0, promotion);
        let hashes: HashSet<&str> = claim.owned.iter().map(|pod| label_of(pod)).chain([update.hash.as_str()]).collect();
        let names: Vec<String> = hashes.iter().map(|hash| format!("{}-{hash}", object::name(set))).collect();
        plan.actions.extend(revisions.forget(set, &names.iter().map(String::as_str).collect()));
        plan
    }

    fn settle(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>, _outcome: &Outcome) -> Plan {
        let Some(set) = view.get(&DAEMON_SETS, key).filter(|set| !object::is_deleting(set)) else {
            return Plan::default();
        };
        let owned = claim(view, set, &PODS, |_| true).owned;
        let (update, _) = Revisions::of(view, set).current(view, set, HASH_LABEL);
        let by_node = by_node(&owned);
        let status = status::of(&Round { view, set, update: &update, by_node: &by_node, now });
        let mut plan = Plan::of(super::status::set_status(DAEMON_SETS, set, status).into_iter().collect());
        plan.recheck = pods::next_available(&owned, min_ready_seconds(set), now);
        plan
    }
}

/// What decisions about one DaemonSet are made from.
struct Round<'a> {
    view: &'a View,
    set: &'a Object,
    update: &'a Revision,
    by_node: &'a BTreeMap<&'a str, Vec<&'a Object>>,
    now: DateTime<Utc>,
}

impl Round<'_> {
    fn nodes(&self) -> impl Iterator<Item = &Object> {
        self.view.all(&NODES)
    }

    fn pods_on(&self, node: &str) -> &[&Object] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    fn is_updated(&self, pod: &Value) -> bool {
        let generation = template_generation(self.set);
        label_of(pod) == self.update.hash || generation.is_some_and(|g| object::label(pod, GENERATION_LABEL) == Some(g))
    }

    fn is_available(&self, pod: &Value) -> bool {
        pods::is_available(pod, min_ready_seconds(self.set), self.now)
    }
}

const GENERATION_LABEL: &str = "pod-template-generation";

fn template_generation(set: &Value) -> Option<&str> {
    object::annotation(set, "deprecated.daemonset.template.generation")
}

/// Pods by the node they are on or meant for, the oldest first. Those that ended and are being removed do not count.
fn by_node(pods: &[Object]) -> BTreeMap<&str, Vec<&Object>> {
    let mut by_node: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !(object::is_deleting(pod) && object::pod_is_terminal(pod))) {
        by_node.entry(placement::node_of(pod)).or_default().push(pod);
    }
    for pods in by_node.values_mut() {
        let unassigned = |pod: &Value| str_at(pod, "/spec/nodeName").is_empty();
        pods.sort_by_key(|pod| (unassigned(pod), str_at(pod, "/metadata/creationTimestamp").to_owned()));
    }
    by_node
}

fn min_ready_seconds(set: &Value) -> i64 {
    int_at(set, "/spec/minReadySeconds").unwrap_or(0)
}
