//! Taints of effect `NoExecute` drive out the pods that do not tolerate them, at once or when their time is up.
//!
//! Rules: kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use embedded_apimachinery::placement::tolerates;
use embedded_apimachinery::resource::{NODES, PODS};
use embedded_apimachinery::{GroupResource, Object, ObjectKey, timestamp};
use serde_json::Value;

use super::disruption_target;
use crate::runtime::{Action, Change, Controller, Plan, View};

/// Remembers since when pods have been tolerating, as taints need not say when they were added.
#[derive(Default)]
pub struct TaintEviction {
    since: HashMap<ObjectKey, DateTime<Utc>>,
}

/// How long a pod may stay on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    Forever,
    For(TimeDelta),
    Never,
}

impl Controller for TaintEviction {
    fn component(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![NODES, PODS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == PODS {
            let pod = change.object();
            let node = view.get(&NODES, &ObjectKey::new("", str_at(pod, "/spec/nodeName")));
            let concerned = change.after.is_none() || node.is_some_and(|node| executes(node).next().is_some());
            return if concerned { vec![change.key()] } else { Vec::new() };
        }
        let taints = |node: &Option<Object>| -> Vec<Value> {
            node.iter().flat_map(|node| executes(node).cloned().collect::<Vec<_>>()).collect()
        };
        if taints(&change.before) == taints(&change.after) {
            return Vec::new();
        }
        let name = change.key().name;
        view.all(&PODS).filter(|pod| str_at(pod, "/spec/nodeName") == name).map(|pod| ObjectKey::of(pod)).collect()
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let Some(pod) = view.get(&PODS, key).filter(|pod| !object::is_deleting(pod)) else {
            self.since.remove(key);
            return Plan::default();
        };
        let node = view.get(&NODES, &ObjectKey::new("", str_at(pod, "/spec/nodeName")));
        let stay = node.map_or(Stay::Forever, |node| stay(pod, node));
        match stay {
            Stay::Forever => match self.since.remove(key) {
                None => Plan::default(),
                Some(_) => {
                    let message = format!("Cancelling deletion of Pod {}/{}", key.namespace, key.name);
                    Plan::of(vec![Action::normal(pod, "TaintManagerEviction", message)])
                }
            },
            Stay::Never => Plan::of(evict(pod)),
            Stay::For(time) => {
                let until = timestamp::later(*self.since.entry(key.clone()).or_insert(now), time.num_seconds());
                if until <= now {
                    return Plan::of(evict(pod));
                }
                let mut plan = Plan::default();
                plan.recheck_after((until - now).to_std().unwrap_or_default());
                plan
            }
        }
    }
}

fn executes(node: &Value) -> impl Iterator<Item = &Value> {
    list_at(node, "/spec/taints").iter().filter(|taint| str_at(taint, "/effect") == "NoExecute")
}

/// The shortest stay that any of the node's taints grants.
fn stay(pod: &Value, node: &Value) -> Stay {
    let tolerations = list_at(pod, "/spec/tolerations");
    let mut shortest = Stay::Forever;
    for taint in executes(node) {
        let mut tolerating = tolerations.iter().filter(|t| tolerates(t, taint)).peekable();
        if tolerating.peek().is_none() {
            return Stay::Never;
        }
        for seconds in tolerating.filter_map(|t| int_at(t, "/tolerationSeconds")) {
            let granted = TimeDelta::try_seconds(seconds.max(0)).unwrap_or(TimeDelta::MAX);
            shortest = match shortest {
                Stay::For(shorter) if shorter < granted => Stay::For(shorter),
                _ => Stay::For(granted),
            };
        }
    }
    shortest
}

fn evict(pod: &Object) -> Vec<Action> {
    let message = format!("Marking for deletion Pod {}/{}", object::namespace(pod), object::name(pod));
    let why = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint");
    vec![
        Action::normal(pod, "TaintManagerEviction", message),
        Action::write_status(PODS, disruption_target(pod, why)),
        Action::delete(PODS, pod),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(taints: Value) -> (GroupResource, Value) {
        (NODES, json!({"metadata": {"name": "n"}, "spec": {"taints": taints}}))
    }

    fn pod(tolerations: Value) -> (GroupResource, Value) {
        (
            PODS,
            json!({"metadata": {"name": "p", "namespace": "ns", "generation": 1},
            "spec": {"nodeName": "n", "tolerations": tolerations}, "status": {"phase": "Running"}}),
        )
    }

    fn golden() -> (GroupResource, Value) {
        node(json!([{"key": "golden", "value": "x", "effect": "NoExecute"}]))
    }

    fn key() -> ObjectKey {
        ObjectKey::new("ns", "p")
    }

    #[test]
    fn a_pod_that_does_not_tolerate_is_marked_and_deleted() {
        let view = View::of([golden(), pod(json!([{"key": "golden", "operator": "Exists", "effect": "NoSchedule"}]))]);
        let plan = TaintEviction::default().plan(&view, &key(), Utc::now());
        match &plan.actions[..] {
            [Action::Event { reason, message, .. }, Action::Write { object, .. }, Action::Delete { .. }] => {
                assert_eq!((*reason, message.as_str()), ("TaintManagerEviction", "Marking for deletion Pod ns/p"));
                let target = object::condition(object, "DisruptionTarget").unwrap();
                assert_eq!(target["reason"], "DeletionByTaintManager");
                assert_eq!(target["message"], "Taint manager: deleting due to NoExecute taint");
                assert_eq!(target["observedGeneration"], 1);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pod_that_tolerates_everything_stays() {
        let view = View::of([golden(), pod(json!([{"operator": "Exists"}]))]);
        let plan = TaintEviction::default().plan(&view, &key(), Utc::now());
        assert!(plan.actions.is_empty() && plan.recheck.is_none());
    }

    #[test]
    fn a_pod_stays_for_the_time_it_tolerates_and_no_longer() {
        let for_12_seconds = json!([{"key": "golden", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 12},
            {"key": "golden", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]);
        let view = View::of([golden(), pod(for_12_seconds)]);
        let (mut controller, now) = (TaintEviction::default(), Utc::now());
        assert_eq!(controller.plan(&view, &key(), now).recheck, Some(std::time::Duration::from_secs(12)));
        assert!(controller.plan(&view, &key(), now + TimeDelta::seconds(11)).actions.is_empty());
        assert_eq!(controller.plan(&view, &key(), now + TimeDelta::seconds(12)).actions.len(), 3);
    }

    #[test]
    fn an_absurd_toleration_lasts() {
        let forever = json!([{"operator": "Exists", "tolerationSeconds": i64::MAX}]);
        let plan = TaintEviction::default().plan(&View::of([golden(), pod(forever)]), &key(), Utc::now());
        assert!(plan.actions.is_empty() && plan.recheck.is_some());
    }

    #[test]
    fn a_taint_that_goes_away_in_time_spares_the_pod() {
        let tolerant = || pod(json!([{"operator": "Exists", "tolerationSeconds": 12}]));
        let (mut controller, now) = (TaintEviction::default(), Utc::now());
        controller.plan(&View::of([golden(), tolerant()]), &key(), now);
        let spared = controller.plan(&View::of([node(json!([])), tolerant()]), &key(), now);
        assert!(
            matches!(&spared.actions[..], [Action::Event { message, .. }] if message == "Cancelling deletion of Pod ns/p")
        );
        let again = controller.plan(&View::of([golden(), tolerant()]), &key(), now + TimeDelta::seconds(100));
        assert_eq!(again.recheck, Some(std::time::Duration::from_secs(12)));
    }

    #[test]
    fn a_new_taint_brings_up_every_pod_of_the_node() {
        let view = View::of([golden(), pod(json!([]))]);
        let object = |(_, value): (GroupResource, Value)| Some(Object::new(value));
        let change = Change { resource: NODES, before: object(node(json!([]))), after: object(golden()) };
        assert_eq!(TaintEviction::default().keys(&view, &change), [key()]);
    }
}
