//! What workload controllers need to know about pods: how to make them, count them, and which to remove first.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::selector::LabelSelector;
use embedded_apimachinery::{GroupResource, Object, ObjectKey, timestamp};
use serde_json::{Map, Value, json};

use crate::runtime::{Action, Change, Report, View};

/// The owners of this kind that a change of a pod concerns: its controller now and before, or for an orphan everyone
/// who might adopt it.
pub fn keys_of_owners(view: &View, change: &Change, resource: &GroupResource, kind: &str) -> Vec<ObjectKey> {
    let mut keys = change.owners(kind);
    if let Some(orphan) = change.after.as_deref().filter(|o| object::controller_ref(o).is_none()) {
        let candidates = view.list(resource, object::namespace(orphan));
        keys.extend(candidates.filter(|owner| selects(owner, orphan)).map(|owner| ObjectKey::of(owner)));
    }
    keys
}

/// Whether the selector of a workload matches an object; the empty selector matches nothing here.
pub fn selects(owner: &Value, object: &Value) -> bool {
    LabelSelector::from_object(owner.pointer("/spec/selector"))
        .is_some_and(|selector| !selector.is_empty() && selector.matches_object(object))
}

/// A pod from `spec.template` of its owner, to be named by the API server.
pub fn from_template(owner: &Value, template: &Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("generateName".into(), format!("{}-", object::name(owner)).into());
    metadata.insert("namespace".into(), object::namespace(owner).into());
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.into(), value.clone());
        }
    }
    metadata.insert("ownerReferences".into(), json!([object::controller_reference_to(owner)]));
    let spec = template.get("spec").cloned().unwrap_or_else(|| json!({}));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// Creation of a pod with the events that ReplicaSets, DaemonSets and Jobs write about it.
pub fn create(owner: &Object, pod: Value) -> Action {
    Action::create(PODS, pod).reported(Report {
        about: owner.clone(),
        done: ("SuccessfulCreate", "Created pod: {name}".into()),
        failed: ("FailedCreate", "Error creating: {error}".into()),
    })
}

/// Deletion of a pod with the events that ReplicaSets, DaemonSets and Jobs write about it.
pub fn delete(owner: &Object, pod: &Object) -> Action {
    Action::delete(PODS, pod).reported(Report {
        about: owner.clone(),
        done: ("SuccessfulDelete", "Deleted pod: {name}".into()),
        failed: ("FailedDelete", "Error deleting: {error}".into()),
    })
}

/// Neither finished nor going away.
pub fn is_active(pod: &Value) -> bool {
    !object::pod_is_terminal(pod) && !object::is_deleting(pod)
}

/// Going away but not finished yet.
pub fn is_terminating(pod: &Value) -> bool {
    !object::pod_is_terminal(pod) && object::is_deleting(pod)
}

/// Since when the pod has been ready, if it is.
pub fn ready_since(pod: &Value) -> Option<DateTime<Utc>> {
    let ready = object::condition(pod, "Ready").filter(|c| str_at(c, "/status") == "True")?;
    timestamp::parse(str_at(ready, "/lastTransitionTime"))
}

/// How long until a ready pod has been so for `min_ready` seconds: zero when it has, `None` when it is not ready.
pub fn available_in(pod: &Value, min_ready: i64, now: DateTime<Utc>) -> Option<Duration> {
    if !object::pod_is_ready(pod) {
        return None;
    }
    if min_ready == 0 {
        return Some(Duration::ZERO);
    }
    let at = timestamp::later(ready_since(pod)?, min_ready);
    Some((at - now).to_std().unwrap_or(Duration::ZERO))
}

pub fn is_available(pod: &Value, min_ready: i64, now: DateTime<Utc>) -> bool {
    available_in(pod, min_ready, now) == Some(Duration::ZERO)
}

/// When the next pod that is ready but not yet available becomes so.
pub fn next_available(pods: &[Object], min_ready: i64, now: DateTime<Utc>) -> Option<Duration> {
    pods.iter().filter_map(|pod| available_in(pod, min_ready, now)).filter(|wait| !wait.is_zero()).min()
}

/// Orders pods by who is to be removed first (k8s.io/kubernetes/pkg/controller, `ActivePodsWithRanks`). `crowd` says
/// how many related pods are on the pod's node.
///
/// Kubernetes' own comparison is no total order: of pods of about the same age it looks at the uid before anything
/// else, unless they are of exactly the same age. Here the uid comes last.
pub fn removal_rank(pod: &Value, crowd: usize, now: DateTime<Utc>) -> impl Ord + use<> {
    let assigned = !str_at(pod, "/spec/nodeName").is_empty();
    let created = timestamp::parse(str_at(pod, "/metadata/creationTimestamp"));
    (
        (assigned, phase_rank(pod), object::pod_is_ready(pod)),
        (deletion_cost(pod), Reverse(crowd)),
        (magnitude_of_age(ready_since(pod), now), Reverse(most_restarts(pod)), magnitude_of_age(created, now)),
        object::uid(pod).to_owned(),
    )
}

fn phase_rank(pod: &Value) -> u8 {
    match str_at(pod, "/status/phase") {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn deletion_cost(pod: &Value) -> i32 {
    object::annotation(pod, "controller.kubernetes.io/pod-deletion-cost").and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// Restarts of the container that restarted most.
fn most_restarts(pod: &Value) -> i64 {
    let statuses = list_at(pod, "/status/containerStatuses").iter();
    statuses.filter_map(|s| int_at(s, "/restartCount")).max().unwrap_or(0)
}

/// The age as a power of two of nanoseconds: pods of about the same age are not told apart by it, so that a later
/// scale-down does not always hit the newest. A time that is not known counts as no age.
fn magnitude_of_age(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> i64 {
    let age = since.and_then(|since| (now - since).num_nanoseconds()).unwrap_or(0);
    if age <= 0 { -1 } else { i64::from(age.ilog2()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        timestamp::parse("2030-01-01T01:00:00Z").unwrap()
    }

    fn pod(name: &str, extra: Value) -> Object {
        let mut pod = json!({"metadata": {"name": name, "uid": name, "creationTimestamp": "2030-01-01T00:00:00Z"},
            "spec": {"nodeName": "n"},
            "status": {"phase": "Running", "conditions":
                [{"type": "Ready", "status": "True", "lastTransitionTime": "2030-01-01T00:00:10Z"}]}});
        merge(&mut pod, &extra);
        Object::new(pod)
    }

    fn merge(into: &mut Value, from: &Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                from.iter().for_each(|(k, v)| merge(into.entry(k).or_insert(Value::Null), v));
            }
            (into, from) => *into = from.clone(),
        }
    }

    fn order(pods: &[Object]) -> Vec<&str> {
        let mut pods: Vec<&Object> = pods.iter().collect();
        let crowd = |pod: &Value| if str_at(pod, "/spec/nodeName") == "full" { 5 } else { 1 };
        pods.sort_by_cached_key(|pod| removal_rank(pod, crowd(pod), now()));
        pods.into_iter().map(|p| object::name(p)).collect()
    }

    #[test]
    fn the_least_valuable_pod_goes_first() {
        let cost = |n: &str| json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": n}}});
        let ready = |at: &str| json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}]}});
        let pods = [
            pod("oldest", json!({})),
            pod("dear", cost("7")),
            pod("cheap", cost("-7")),
            pod("crowded", json!({"spec": {"nodeName": "full"}})),
            pod("young", ready("2030-01-01T00:59:59Z")),
            pod("restarted", json!({"status": {"containerStatuses": [{"restartCount": 2}]}})),
            pod("unready", json!({"status": {"conditions": []}})),
            pod("pending", json!({"status": {"phase": "Pending", "conditions": []}})),
            pod("unassigned", json!({"spec": {"nodeName": ""}, "status": {"phase": "Pending", "conditions": []}})),
        ];
        assert_eq!(
            order(&pods),
            ["unassigned", "pending", "unready", "cheap", "crowded", "young", "restarted", "oldest", "dear"]
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

        /// Sorting by an order that contradicts itself would panic.
        #[test]
        fn pods_of_any_ages_can_be_sorted(ages in proptest::collection::vec((0i64..5000, 0i64..5000, 0i64..3), 30..60)) {
            let time = |age: i64| timestamp::format(now() - chrono::TimeDelta::seconds(age));
            let pods: Vec<Object> = ages.iter().enumerate().map(|(n, (ready, created, restarts))| {
                let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": time(*ready)}]);
                pod(&format!("p{n}"), json!({"metadata": {"creationTimestamp": time(*created)}, "status":
                    {"conditions": ready, "containerStatuses": [{"restartCount": restarts}]}}))
            }).collect();
            let mut sorted = order(&pods);
            proptest::prop_assert_eq!(sorted.len(), pods.len());
            sorted.sort();
            sorted.dedup();
            proptest::prop_assert_eq!(sorted.len(), pods.len());
        }
    }

    #[test]
    fn availability_needs_readiness_for_a_while() {
        let since = |at: &str| {
            pod("p", json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}]}}))
        };
        for (pod, min_ready, expected) in [
            (since("2030-01-01T00:59:55Z"), 0, Some(0)),
            (since("2030-01-01T00:59:55Z"), 5, Some(0)),
            (since("2030-01-01T00:59:55Z"), 8, Some(3)),
            (pod("p", json!({"status": {"conditions": []}})), 0, None),
        ] {
            assert_eq!(available_in(&pod, min_ready, now()), expected.map(Duration::from_secs));
        }
    }
}
