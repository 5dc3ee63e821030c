//! Pods that nobody will end: of nodes that are gone, terminating without ever having had a node, or ended in excess.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{NODES, PODS};
use embedded_apimachinery::{DeleteOptions, GroupResource, Object, ObjectKey};

use super::disruption_target;
use crate::runtime::{Action, Change, Controller, Plan, View};

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
        if change.before.is_some() && change.after.is_some() {
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
        if view.get(&NODES, &ObjectKey::new("", node)).is_some() {
            self.missing.remove(node);
            return Plan::of(if object::pod_is_terminal(pod) { excess(view) } else { Vec::new() });
        }
        let until = *self.missing.entry(node.to_owned()).or_insert(now) + self.quarantine;
        if now < until {
            let mut plan = Plan::default();
            plan.recheck_after((until - now).to_std().unwrap_or_default());
            return plan;
        }
        Plan::of(orphaned(pod))
    }
}

fn orphaned(pod: &Object) -> Vec<Action> {
    let mut actions = Vec::new();
    if !object::pod_is_terminal(pod) {
        let mut failed = disruption_target(pod, ("DeletionByPodGC", "PodGC: node no longer exists"));
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
