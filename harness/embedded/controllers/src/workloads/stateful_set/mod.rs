//! StatefulSets: pods with names of their own, made, removed and updated one after the other.
//!
//! - [`identity`]: names, labels, hostnames and volumes of the pods
//! - [`claims`]: the volume claims of the pods and who owns them
//! - [`round`]: what to do next
//! - [`status`]: counters and revisions
//!
//! The rules are those of k8s.io/kubernetes/pkg/controller/statefulset.

mod claims;
mod identity;
mod round;
mod status;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, str_at};
use embedded_apimachinery::resource::{CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS};
use embedded_apimachinery::{GroupResource, Object, ObjectKey};
use serde_json::Value;

use super::pods;
use super::revisions::{Revision, Revisions};
use crate::runtime::claim::{Claim, claim};
use crate::runtime::{Action, Change, Controller, Outcome, Plan, View};

/// The label of a ControllerRevision that holds its hash.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";

pub struct StatefulSets;

impl Controller for StatefulSets {
    fn component(&self) -> &'static str {
        "statefulset-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![STATEFUL_SETS, PODS, CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == STATEFUL_SETS {
            return vec![change.key()];
        }
        if change.resource == PERSISTENT_VOLUME_CLAIMS {
            return claims::waiting_for(view, change);
        }
        pods::keys_of_owners(view, change, &STATEFUL_SETS, "StatefulSet")
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let Some(set) = view.get(&STATEFUL_SETS, key).filter(|set| !object::is_deleting(set)) else {
            return Plan::default();
        };
        let claim = claim_pods(view, set);
        let revisions = Revisions::of(view, set);
        let adoptions: Vec<Action> = claim.actions.into_iter().chain(revisions.adoptions.iter().cloned()).collect();
        if !adoptions.is_empty() {
            return Plan::of(adoptions);
        }
        let pods = claim.owned;
        let (update, promotion) = revisions.current(view, set, HASH_LABEL);
        let current = current_revision(set, &revisions).unwrap_or_else(|| update.clone());
        let mut actions: Vec<Action> = promotion.into_iter().collect();
        let by_ordinal = pods.iter().filter_map(|pod| Some((identity::ordinal(set, pod)?, pod))).collect();
        let round = round::Round { view, set, current: &current, update: &update, pods: by_ordinal, now };
        actions.extend(round::next(&round));
        let labels = pods.iter().map(|pod| super::revisions::label_of(pod));
        let in_use = labels.chain([current.name.as_str(), update.name.as_str()]).collect();
        actions.extend(revisions.forget(set, &in_use));
        Plan::of(actions)
    }

    fn settle(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>, _outcome: &Outcome) -> Plan {
        let Some(set) = view.get(&STATEFUL_SETS, key) else { return Plan::default() };
        let pods = claim_pods(view, set).owned;
        let revisions = Revisions::of(view, set);
        let (update, _) = revisions.current(view, set, HASH_LABEL);
        let current = current_revision(set, &revisions).unwrap_or_else(|| update.clone());
        let status = status::of(set, &pods, &current, &update, now);
        let mut plan = Plan::of(super::status::set_status(STATEFUL_SETS, set, status).into_iter().collect());
        plan.recheck = pods::next_available(&pods, min_ready_seconds(set), now);
        plan
    }
}

/// Only pods whose names could be of this set are adopted.
fn claim_pods(view: &View, set: &Value) -> Claim {
    claim(view, set, &PODS, |pod| identity::ordinal(set, pod).is_some())
}

fn current_revision(set: &Object, revisions: &Revisions) -> Option<Revision> {
    revisions.named(str_at(set, "/status/currentRevision"), HASH_LABEL)
}

fn replicas(set: &Value) -> i64 {
    int_at(set, "/spec/replicas").unwrap_or(1)
}

fn start_ordinal(set: &Value) -> i64 {
    int_at(set, "/spec/ordinals/start").unwrap_or(0)
}

fn min_ready_seconds(set: &Value) -> i64 {
    int_at(set, "/spec/minReadySeconds").unwrap_or(0)
}

fn is_rolling(set: &Value) -> bool {
    str_at(set, "/spec/updateStrategy/type") != "OnDelete"
}

fn is_running_and_ready(pod: &Value) -> bool {
    str_at(pod, "/status/phase") == "Running" && object::pod_is_ready(pod)
}
