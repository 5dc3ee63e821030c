//! Deployments: one ReplicaSet per template, and an orderly way from one to the next.
//!
//! - [`family`]: the ReplicaSets of a Deployment, their revisions and annotations
//! - [`strategy`]: sizes of the ReplicaSets during roll-outs
//! - [`scaling`]: sizes when the Deployment itself is resized
//! - [`status`]: counters and conditions
//!
//! The rules are those of k8s.io/kubernetes/pkg/controller/deployment.

mod family;
mod scaling;
mod status;
mod strategy;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, bool_at, int_at, str_at};
use embedded_apimachinery::resource::{DEPLOYMENTS, PODS, REPLICA_SETS};
use embedded_apimachinery::{GroupResource, Object, ObjectKey, intstr};
use serde_json::Value;

use super::pods;
use crate::runtime::claim::claim;
use crate::runtime::view::owner_key;
use crate::runtime::{Change, Controller, Outcome, Plan, View};
use family::Family;

pub struct Deployments;

impl Controller for Deployments {
    fn component(&self) -> &'static str {
        "deployment-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![DEPLOYMENTS, REPLICA_SETS, PODS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == DEPLOYMENTS {
            return vec![change.key()];
        }
        if change.resource == REPLICA_SETS {
            return pods::keys_of_owners(view, change, &DEPLOYMENTS, "Deployment");
        }
        recreated_without(view, change).into_iter().collect()
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        let Some(deployment) = view.get(&DEPLOYMENTS, key).filter(|d| !object::is_deleting(d)) else {
            return Plan::default();
        };
        let claim = claim(view, deployment, &REPLICA_SETS, |_| true);
        if !claim.actions.is_empty() {
            return Plan::of(claim.actions);
        }
        let mut family = Family::of(deployment, claim.owned);
        family.number_revisions();
        if bool_at(deployment, "/spec/paused") || family.is_being_scaled() {
            scaling::scale(&mut family);
            if bool_at(deployment, "/spec/paused") {
                family.forget_old_revisions();
            }
        } else if is_rolling(deployment) {
            strategy::roll(view, &mut family);
        } else {
            strategy::recreate(view, &mut family);
        }
        Plan::of(family.actions())
    }

    fn settle(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>, outcome: &Outcome) -> Plan {
        let Some(deployment) = view.get(&DEPLOYMENTS, key) else { return Plan::default() };
        let family = Family::of(deployment, claim(view, deployment, &REPLICA_SETS, |_| true).owned);
        status::settle(&family, now, outcome)
    }
}

/// The Deployment that recreates its pods and waits for this one to end.
fn recreated_without(view: &View, change: &Change) -> Option<ObjectKey> {
    let pod = change.object();
    if change.after.is_some() && !object::pod_is_terminal(pod) {
        return None;
    }
    let set = view.get(&REPLICA_SETS, &owner_key(pod, "ReplicaSet")?)?;
    let key = owner_key(set, "Deployment")?;
    view.get(&DEPLOYMENTS, &key).filter(|d| !is_rolling(d)).map(|_| key)
}

fn is_rolling(deployment: &Value) -> bool {
    str_at(deployment, "/spec/strategy/type") != "Recreate"
}

fn replicas(object: &Value) -> i64 {
    int_at(object, "/spec/replicas").unwrap_or(1)
}

/// A counter of a ReplicaSet's status.
fn counted(set: &Value, counter: &str) -> i64 {
    set.get("status").and_then(|s| s.get(counter)).and_then(Value::as_i64).unwrap_or(0)
}

/// How many pods a roll-out may have too many and too few. Both zero would stand still, so then one may be missing.
fn fence_posts(deployment: &Value) -> (i64, i64) {
    if !is_rolling(deployment) {
        return (0, 0);
    }
    let total = replicas(deployment);
    let scaled = |field: &str, round_up| {
        let value = deployment.pointer("/spec/strategy/rollingUpdate").and_then(|r| r.get(field));
        value.and_then(|v| intstr::scaled(v, total, round_up)).unwrap_or(0)
    };
    let (surge, unavailable) = (scaled("maxSurge", true), scaled("maxUnavailable", false));
    (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable })
}

fn max_surge(deployment: &Value) -> i64 {
    fence_posts(deployment).0
}

fn max_unavailable(deployment: &Value) -> i64 {
    if replicas(deployment) == 0 { 0 } else { fence_posts(deployment).1.min(replicas(deployment)) }
}

/// Nothing is left to do: every pod is new, and available.
fn is_complete(deployment: &Object, status: &Value) -> bool {
    let wanted = replicas(deployment);
    let counter = |name: &str| status.get(name).and_then(Value::as_i64).unwrap_or(0);
    ["updatedReplicas", "replicas", "availableReplicas"].into_iter().all(|name| counter(name) == wanted)
        && counter("observedGeneration") >= object::generation(deployment)
}
