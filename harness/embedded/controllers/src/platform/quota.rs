//! ResourceQuotas: what is used, counted afresh. Admission charges what is made; this gives back what is gone.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::pod_resources::{ResourceList, add, quantities};
use embedded_apimachinery::quantity::Quantity;
use embedded_apimachinery::quota_usage::{in_scope, usage};
use embedded_apimachinery::resource::{PODS, RESOURCE_QUOTAS};
use embedded_apimachinery::{GroupResource, Object, ObjectKey};
use serde_json::{Map, Value, json};

use super::catalog;
use crate::runtime::{Action, Change, Controller, Plan, View};

/// Keeps `status.used` right.
pub struct Quotas;

impl Controller for Quotas {
    fn component(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        counted().collect()
    }

    fn discovered(&self, view: &View) -> Vec<GroupResource> {
        catalog::customs(view).filter(|kind| kind.namespaced).map(|kind| kind.resource).collect()
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == RESOURCE_QUOTAS {
            return vec![change.key()];
        }
        // Objects count by being there; pods also until they end.
        let changed_weight = match (&change.before, &change.after) {
            (Some(before), Some(after)) => {
                before["spec"] != after["spec"]
                    || change.resource == PODS && object::pod_is_terminal(before) != object::pod_is_terminal(after)
            }
            _ => true,
        };
        if !changed_weight {
            return Vec::new();
        }
        let namespace = object::namespace(change.object()).to_owned();
        view.list(&RESOURCE_QUOTAS, &namespace).map(|quota| ObjectKey::of(quota)).collect()
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        let Some(quota) = view.get(&RESOURCE_QUOTAS, key) else { return Plan::default() };
        let status = json!({"hard": quota["spec"]["hard"], "used": used(view, quota)});
        if quota["status"] == status {
            return Plan::default();
        }
        let mut changed = Value::clone(quota);
        changed["status"] = status;
        Plan::of(vec![Action::write_status(RESOURCE_QUOTAS, changed)])
    }
}

fn counted() -> impl Iterator<Item = GroupResource> {
    catalog::BUILTIN.iter().filter(|(_, _, namespaced)| *namespaced).map(|(resource, ..)| resource.clone())
}

/// The usage of everything that the quota limits, in the order of the limits.
fn used(view: &View, quota: &Object) -> Map<String, Value> {
    let hard = quota.pointer("/spec/hard").and_then(Value::as_object);
    let names: Vec<&String> = hard.into_iter().flat_map(Map::keys).collect();
    let namespace = object::namespace(quota);
    let mut sum = ResourceList::new();
    for resource in counted().chain(catalog::customs(view).map(|kind| kind.resource)) {
        for object in view.list(&resource, namespace).filter(|object| in_scope(quota, &resource, object)) {
            let mut usage = usage(&resource, object);
            usage.retain(|name, _| names.contains(&name));
            add(&mut sum, &usage);
        }
    }
    let before = quantities(quota.pointer("/status/used"));
    let text = |name: &String| {
        let amount = sum.get(name).copied().unwrap_or(Quantity::ZERO);
        // The same amount keeps the text it was written in.
        let same = before.get(name).filter(|old| old.milli() == amount.milli());
        same.map_or_else(
            || amount.to_string(),
            |_| str_at(&quota["status"]["used"], &format!("/{}", escaped(name))).to_owned(),
        )
    };
    names.iter().map(|name| ((*name).clone(), text(name).into())).collect()
}

/// A key as part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::resource::SECRETS;

    fn quota(hard: Value) -> (GroupResource, Value) {
        (RESOURCE_QUOTAS, json!({"metadata": {"name": "q", "namespace": "ns"}, "spec": {"hard": hard}, "status": {}}))
    }

    fn pod(name: &str, phase: &str) -> (GroupResource, Value) {
        (
            PODS,
            json!({"metadata": {"name": name, "namespace": "ns"}, "status": {"phase": phase},
            "spec": {"containers": [{"resources": {"requests": {"cpu": "400m"}}}]}}),
        )
    }

    fn status(objects: Vec<(GroupResource, Value)>) -> Value {
        let plan = Quotas.plan(&View::of(objects), &ObjectKey::new("ns", "q"), Utc::now());
        match &plan.actions[..] {
            [Action::Write { object, subresource: "status", .. }] => object["status"].clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_used_is_written_as_zero() {
        let hard = json!({"pods": "1", "requests.cpu": "500m", "secrets": "1"});
        assert_eq!(
            status(vec![quota(hard.clone())]),
            json!({"hard": hard, "used": {"pods": "0", "requests.cpu": "0", "secrets": "0"}})
        );
    }

    #[test]
    fn usage_is_summed_over_what_still_counts() {
        let hard = json!({"pods": "5", "requests.cpu": "4", "count/secrets": "9"});
        let elsewhere = (SECRETS, json!({"metadata": {"name": "s", "namespace": "other"}}));
        let secret = (SECRETS, json!({"metadata": {"name": "s", "namespace": "ns"}}));
        let pods = [pod("a", "Running"), pod("b", "Pending"), pod("c", "Failed")];
        let objects = [quota(hard), elsewhere, secret].into_iter().chain(pods).collect();
        assert_eq!(status(objects)["used"], json!({"pods": "2", "requests.cpu": "800m", "count/secrets": "1"}));
    }

    #[test]
    fn a_status_that_is_right_is_left_alone() {
        let (resource, mut counted) = quota(json!({"pods": "1"}));
        counted["status"] = json!({"hard": {"pods": "1"}, "used": {"pods": "0"}});
        let view = View::of([(resource, counted)]);
        assert!(Quotas.plan(&view, &ObjectKey::new("ns", "q"), Utc::now()).actions.is_empty());
    }
}
