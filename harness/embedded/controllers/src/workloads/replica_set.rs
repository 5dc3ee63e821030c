//! ReplicaSets: as many pods of one template as asked for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, str_at};
use embedded_apimachinery::resource::{PODS, REPLICA_SETS};
use embedded_apimachinery::selector::LabelSelector;
use embedded_apimachinery::{GroupResource, Object, ObjectKey, timestamp};
use serde_json::{Value, json};

use super::pods;
use super::status::{drop_zeros, set_status};
use crate::runtime::claim::claim;
use crate::runtime::plan::Verb;
use crate::runtime::{Change, Controller, Outcome, Plan, View};

/// Pods created or deleted in one look, so that a large set does not keep others waiting.
const BURST: usize = 64;

pub struct ReplicaSets;

impl Controller for ReplicaSets {
    fn component(&self) -> &'static str {
        "replicaset-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![REPLICA_SETS, PODS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == REPLICA_SETS {
            return vec![change.key()];
        }
        pods::keys_of_owners(view, change, &REPLICA_SETS, "ReplicaSet")
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let Some(set) = view.get(&REPLICA_SETS, key).filter(|set| !object::is_deleting(set)) else {
            return Plan::default();
        };
        let claim = claim(view, set, &PODS, |_| true);
        if !claim.actions.is_empty() {
            return Plan::of(claim.actions);
        }
        let active: Vec<Object> = claim.owned.into_iter().filter(|pod| pods::is_active(pod)).collect();
        let wanted = wanted(set);
        if active.len() < wanted {
            let template = set.pointer("/spec/template").unwrap_or(&Value::Null);
            let missing = (wanted - active.len()).min(BURST);
            return Plan::of((0..missing).map(|_| pods::create(set, pods::from_template(set, template))).collect());
        }
        let surplus = (active.len() - wanted).min(BURST);
        Plan::of(to_remove(view, set, active, surplus, now).iter().map(|pod| pods::delete(set, pod)).collect())
    }

    fn settle(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>, outcome: &Outcome) -> Plan {
        let Some(set) = view.get(&REPLICA_SETS, key) else { return Plan::default() };
        let owned = claim(view, set, &PODS, |_| true).owned;
        let mut plan = Plan::of(set_status(REPLICA_SETS, set, status(set, &owned, now, outcome)).into_iter().collect());
        plan.recheck = pods::next_available(&owned, min_ready_seconds(set), now);
        plan
    }
}

fn wanted(set: &Value) -> usize {
    usize::try_from(int_at(set, "/spec/replicas").unwrap_or(1)).unwrap_or(0)
}

fn min_ready_seconds(set: &Value) -> i64 {
    int_at(set, "/spec/minReadySeconds").unwrap_or(0)
}

fn to_remove(view: &View, set: &Value, mut active: Vec<Object>, surplus: usize, now: DateTime<Utc>) -> Vec<Object> {
    if surplus == 0 {
        return Vec::new();
    }
    if surplus < active.len() {
        let crowds = crowds(view, set);
        let crowd = |pod: &Value| crowds.get(str_at(pod, "/spec/nodeName")).copied().unwrap_or(0);
        active.sort_by_cached_key(|pod| pods::removal_rank(pod, crowd(pod), now));
    }
    active.truncate(surplus);
    active
}

/// Active pods by node, of this set and of its siblings (the other ReplicaSets of its Deployment).
fn crowds<'a>(view: &'a View, set: &Value) -> HashMap<&'a str, usize> {
    let family: Vec<&str> = match object::controller_ref(set) {
        None => vec![object::uid(set)],
        Some(owner) => view.controlled_by(&REPLICA_SETS, str_at(owner, "/uid")).map(|s| object::uid(s)).collect(),
    };
    let mut crowds = HashMap::new();
    for pod in family.into_iter().flat_map(|uid| view.controlled_by(&PODS, uid)).filter(|pod| pods::is_active(pod)) {
        *crowds.entry(str_at(pod, "/spec/nodeName")).or_default() += 1;
    }
    crowds
}

fn status(set: &Value, owned: &[Object], now: DateTime<Utc>, outcome: &Outcome) -> Value {
    let active: Vec<&Object> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
    let template = LabelSelector::from_map(set.pointer("/spec/template/metadata/labels"));
    let min_ready = min_ready_seconds(set);
    let count = |matches: &dyn Fn(&Value) -> bool| active.iter().filter(|pod| matches(pod)).count();
    let mut status = json!({
        "fullyLabeledReplicas": count(&|pod| template.matches_object(pod)),
        "readyReplicas": count(&object::pod_is_ready),
        "availableReplicas": count(&|pod| pods::is_available(pod, min_ready, now)),
        "observedGeneration": object::generation(set),
    });
    drop_zeros(&mut status);
    status["replicas"] = active.len().into();
    status["terminatingReplicas"] = owned.iter().filter(|pod| pods::is_terminating(pod)).count().into();
    let mut conditions: Vec<Value> = object::list_at(set, "/status/conditions").to_vec();
    conditions.retain(|c| str_at(c, "/type") != "ReplicaFailure");
    conditions.extend(replica_failure(set, now, outcome));
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    status
}

/// The condition that tells why pods cannot be made or removed. An old one stays as it is.
fn replica_failure(set: &Value, now: DateTime<Utc>, outcome: &Outcome) -> Option<Value> {
    let failure = outcome.failure.as_ref()?;
    let reason = match failure.verb {
        Verb::Create => "FailedCreate",
        Verb::Delete => "FailedDelete",
        Verb::Update | Verb::SetStatus => return None,
    };
    let old = object::condition(set, "ReplicaFailure").filter(|c| str_at(c, "/reason") == reason);
    Some(old.cloned().unwrap_or_else(|| {
        json!({"type": "ReplicaFailure", "status": "True", "lastTransitionTime": timestamp::format(now),
            "reason": reason, "message": failure.status.message})
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Cluster;

    fn set(replicas: u64) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}}})
    }

    fn cluster(replicas: u64) -> Cluster {
        let cluster = Cluster::new(vec![Box::new(ReplicaSets)]);
        cluster.create(&REPLICA_SETS, set(replicas));
        cluster
    }

    #[test]
    fn pods_are_made_and_counted() {
        let mut cluster = cluster(2);
        cluster.run();
        let pods = cluster.list(&PODS);
        assert_eq!(pods.len(), 2);
        assert_eq!(str_at(&pods[0], "/metadata/generateName"), "web-");
        assert_eq!(str_at(&pods[0], "/metadata/ownerReferences/0/name"), "web");
        assert_eq!(
            cluster.status(&REPLICA_SETS, "web"),
            json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
                "terminatingReplicas": 0, "observedGeneration": 1})
        );
        let events = cluster.events();
        assert_eq!(events.len(), 2);
        assert!(events.contains(&format!("ReplicaSet/web: SuccessfulCreate: Created pod: {}", object::name(&pods[0]))));
    }

    #[test]
    fn an_empty_set_still_reports() {
        let mut cluster = cluster(0);
        cluster.run();
        assert_eq!(
            cluster.status(&REPLICA_SETS, "web"),
            json!({"replicas": 0, "terminatingReplicas": 0, "observedGeneration": 1})
        );
    }

    #[test]
    fn a_set_larger_than_a_burst_is_filled_exactly() {
        let mut cluster = cluster(200);
        cluster.run();
        assert_eq!(cluster.list(&PODS).len(), 200);
        cluster.modify(&REPLICA_SETS, "web", "", &|set| set["spec"]["replicas"] = 3.into());
        cluster.run();
        assert_eq!(cluster.list(&PODS).len(), 3);
    }

    #[test]
    fn pods_that_go_away_are_counted_apart_and_replaced_at_once() {
        let mut cluster = cluster(1);
        cluster.run();
        let name = cluster.names(&PODS)[0].clone();
        cluster.delete(&PODS, &name);
        cluster.settle();
        let status = cluster.status(&REPLICA_SETS, "web");
        assert_eq!((status["replicas"].as_u64(), status["terminatingReplicas"].as_u64()), (Some(1), Some(1)));
        cluster.run();
        assert_eq!(cluster.status(&REPLICA_SETS, "web")["terminatingReplicas"], 0);
    }

    #[test]
    fn a_relabelled_pod_is_released_and_replaced_and_comes_back() {
        let mut cluster = cluster(1);
        cluster.run();
        let name = cluster.names(&PODS)[0].clone();
        cluster.modify(&PODS, &name, "", &|pod| object::set_label(pod, "app", "other"));
        cluster.run();
        assert_eq!(cluster.list(&PODS).len(), 2);
        assert!(object::owner_references(&cluster.find(&PODS, &name).unwrap()).is_empty());
        cluster.modify(&PODS, &name, "", &|pod| object::set_label(pod, "app", "web"));
        cluster.run();
        assert_eq!(cluster.list(&PODS).len(), 1);
    }

    #[test]
    fn a_finished_pod_is_replaced() {
        let mut cluster = cluster(1);
        cluster.run();
        cluster.end(&cluster.names(&PODS)[0], "Failed", 1);
        cluster.run();
        assert_eq!(cluster.list(&PODS).len(), 2);
        assert_eq!(cluster.status(&REPLICA_SETS, "web")["replicas"], 1);
    }
}
