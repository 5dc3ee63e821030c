//! Pods that nobody will end: of nodes that are gone or out of service, terminating without ever having had a node, or
//! ended in excess.
//!
//! Rules: k8s.io/kubernetes/pkg/controller/podgc and kubernetes.io/docs/concepts/cluster-administration/node-shutdown.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{NODES, PODS};
use embedded_apimachinery::{DeleteOptions, GroupResource, Object, ObjectKey};

use super::disruption_target;
use crate::runtime::{Action, Change, Controller, Plan, View};

/// How long a node is given to come back (`quarantineTime`, pkg/controller/podgc).
pub const QUARANTINE: Duration = Duration::from_secs(40);

/// Says of a node that it will not come back with what ran on it: pods that are to end there have ended.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// More ended pods than this are not kept.
const ENDED_LIMIT: usize = 12_500;

pub struct PodCollector {
    /// How long a node must have been gone.
    pub quarantine: Duration,
    /// Since when nodes with pods are known to be gone.
    pub missing: HashMap<String, DateTime<Utc>>,
}

impl Controller for PodCollector {
    fn component(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![NODES, PODS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == PODS {
            return if change.after.is_some() { vec![change.key()] } else { Vec::new() };
        }
        if is_out_of_service(change.before.as_ref()) == is_out_of_service(change.after.as_ref())
            && change.before.is_some()
            && change.after.is_some()
        {
            return Vec::new();
        }
        let name = change.key().name;
        view.all(&PODS).filter(|pod| str_at(pod, "/spec/nodeName") == name).map(|pod| ObjectKey::of(pod)).collect()
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let Some(pod) = view.get(&PODS, key) else { return Plan::default() };
        let node = str_at(pod, "/spec/nodeName");
        if node.is_empty() {
            let stuck = object::is_deleting(pod) && object::finalizers(pod).next().is_none();
            return Plan::of(if stuck { vec![delete_now(pod)] } else { Vec::new() });
        }
        if let Some(object) = view.get(&NODES, &ObjectKey::new("", node)) {
            self.missing.remove(node);
            if object::is_deleting(pod) && is_out_of_service(Some(object)) {
                return Plan::of(collected(pod, "PodGC: node is out of service"));
            }
            return Plan::of(if object::pod_is_terminal(pod) { excess(view) } else { Vec::new() });
        }
        let until = *self.missing.entry(node.to_owned()).or_insert(now) + self.quarantine;
        if now < until {
            let mut plan = Plan::default();
            plan.recheck_after((until - now).to_std().unwrap_or_default());
            return plan;
        }
        Plan::of(collected(pod, "PodGC: node no longer exists"))
    }
}

/// Whether somebody has declared a node out of service, and it is not ready indeed.
fn is_out_of_service(node: Option<&Object>) -> bool {
    node.is_some_and(|node| {
        let declared =
            object::list_at(node, "/spec/taints").iter().any(|taint| str_at(taint, "/key") == OUT_OF_SERVICE);
        declared && !object::condition_is_true(node, "Ready")
    })
}

fn collected(pod: &Object, why: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    if !object::pod_is_terminal(pod) {
        let mut failed = disruption_target(pod, ("DeletionByPodGC", why));
        failed["status"]["phase"] = "Failed".into();
        actions.push(Action::write_status(PODS, failed));
    }
    actions.push(delete_now(pod));
    actions
}

/// The oldest ended pods beyond the limit.
fn excess(view: &View) -> Vec<Action> {
    let mut ended: Vec<&Object> = view.all(&PODS).filter(|pod| object::pod_is_terminal(pod)).collect();
    let surplus = ended.len().saturating_sub(ENDED_LIMIT);
    if surplus == 0 {
        return Vec::new();
    }
    ended.sort_by_key(|pod| str_at(pod, "/metadata/creationTimestamp"));
    ended.into_iter().take(surplus).map(delete_now).collect()
}

fn delete_now(pod: &Object) -> Action {
    Action::Delete { resource: PODS, object: pod.clone(), options: DeleteOptions::now(pod), report: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    fn collector() -> PodCollector {
        PodCollector { quarantine: Duration::from_secs(40), missing: HashMap::new() }
    }

    fn pod(spec: Value) -> (GroupResource, Value) {
        (PODS, json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": spec, "status": {"phase": "Running"}}))
    }

    fn key() -> ObjectKey {
        ObjectKey::new("ns", "p")
    }

    #[test]
    fn pods_of_a_node_that_stays_away_fail_and_go() {
        let view = View::of([pod(json!({"nodeName": "gone"}))]);
        let (mut collector, now) = (collector(), Utc::now());
        assert_eq!(collector.plan(&view, &key(), now).recheck, Some(Duration::from_secs(40)));
        match &collector.plan(&view, &key(), now + TimeDelta::seconds(40)).actions[..] {
            [Action::Write { object, .. }, Action::Delete { options, .. }] => {
                assert_eq!(object["status"]["phase"], "Failed");
                assert_eq!(object::condition(object, "DisruptionTarget").unwrap()["reason"], "DeletionByPodGC");
                assert_eq!(options.grace_period, Some(0));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_terminating_pods_of_a_node_declared_out_of_service_are_collected_and_only_if_it_is_not_ready() {
        for (deleting, taint, ready, collected) in [
            (true, OUT_OF_SERVICE, "Unknown", true),
            (true, OUT_OF_SERVICE, "False", true),
            (true, OUT_OF_SERVICE, "True", false),
            (true, "node.kubernetes.io/unreachable", "Unknown", false),
            (false, OUT_OF_SERVICE, "Unknown", false),
        ] {
            let node = json!({"metadata": {"name": "n"}, "spec": {"taints": [{"key": taint, "effect": "NoExecute"}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}});
            let (resource, mut object) = pod(json!({"nodeName": "n"}));
            if deleting {
                object["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
            }
            let plan = collector().plan(&View::of([(NODES, node), (resource, object)]), &key(), Utc::now());
            let deleted = matches!(&plan.actions[..], [Action::Write { .. }, Action::Delete { .. }]);
            assert_eq!(deleted, collected, "{deleting} {taint} {ready}");
        }
    }

    #[test]
    fn declaring_a_node_out_of_service_brings_up_its_pods() {
        let node = |taints: Value| Some(Object::new(json!({"metadata": {"name": "n"}, "spec": {"taints": taints}})));
        let view = View::of([pod(json!({"nodeName": "n"}))]);
        let declared = || node(json!([{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]));
        let change = Change { resource: NODES, before: node(json!([])), after: declared() };
        assert_eq!(collector().keys(&view, &change), [key()]);
        let same = Change { resource: NODES, before: declared(), after: declared() };
        assert!(collector().keys(&view, &same).is_empty());
    }

    #[test]
    fn a_node_that_comes_back_saves_its_pods() {
        let (mut collector, now) = (collector(), Utc::now());
        collector.plan(&View::of([pod(json!({"nodeName": "n"}))]), &key(), now);
        let back = View::of([pod(json!({"nodeName": "n"})), (NODES, json!({"metadata": {"name": "n"}}))]);
        let plan = collector.plan(&back, &key(), now + TimeDelta::seconds(100));
        assert!(plan.actions.is_empty() && plan.recheck.is_none());
    }

    #[test]
    fn terminating_pods_without_a_node_are_removed() {
        let (resource, mut waiting) = pod(json!({}));
        assert!(
            collector().plan(&View::of([(resource.clone(), waiting.clone())]), &key(), Utc::now()).actions.is_empty()
        );
        waiting["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
        let plan = collector().plan(&View::of([(resource, waiting)]), &key(), Utc::now());
        assert!(matches!(&plan.actions[..], [Action::Delete { .. }]));
    }
}
