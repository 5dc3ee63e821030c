//! The end of a namespace: its content goes first, pods before everything else, and then the namespace itself.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, list_at};
use embedded_apimachinery::resource::{CORE_EVENTS, NAMESPACES, PODS};
use embedded_apimachinery::{DeleteOptions, GroupResource, Object, ObjectKey, Propagation, timestamp};
use serde_json::{Value, json};

use super::catalog;
use crate::runtime::{Action, Change, Controller, Plan, View};

const FINALIZER: &str = "kubernetes";

/// Empties namespaces that are being deleted.
pub struct Namespaces;

impl Controller for Namespaces {
    fn component(&self) -> &'static str {
        "namespace-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        contents().chain([NAMESPACES]).collect()
    }

    fn discovered(&self, view: &View) -> Vec<GroupResource> {
        catalog::customs(view).filter(|kind| kind.namespaced).map(|kind| kind.resource).collect()
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        let name = match change.resource == NAMESPACES {
            true => change.key().name,
            false => change.key().namespace,
        };
        let key = ObjectKey::new("", name);
        let leaving = view.get(&NAMESPACES, &key).is_some_and(|namespace| object::is_deleting(namespace));
        if leaving { vec![key] } else { Vec::new() }
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        match view.get(&NAMESPACES, key) {
            Some(namespace) if object::is_deleting(namespace) => Plan::of(empty(view, namespace)),
            _ => Plan::default(),
        }
    }
}

fn contents() -> impl Iterator<Item = GroupResource> {
    let namespaced = catalog::BUILTIN.iter().filter(|(_, _, namespaced)| *namespaced);
    namespaced.map(|(resource, ..)| resource.clone()).chain([CORE_EVENTS])
}

fn empty(view: &View, namespace: &Object) -> Vec<Action> {
    let left = content(view, object::name(namespace));
    if left.is_empty() {
        return finish(namespace);
    }
    // Whatever pods need while they end stays until they have.
    let pods_left = left.iter().any(|(resource, _)| *resource == PODS);
    let now =
        left.iter().filter(|(resource, object)| !object::is_deleting(object) && (!pods_left || *resource == PODS));
    let mut actions: Vec<Action> = now.map(|(resource, object)| delete(resource, object)).collect();
    if actions.is_empty() {
        // All that can be done is done: say what is awaited.
        actions.extend(tell(namespace, &left));
    }
    actions
}

fn content<'a>(view: &'a View, namespace: &'a str) -> Vec<(GroupResource, &'a Object)> {
    let customs = catalog::customs(view).filter(|kind| kind.namespaced).map(|kind| kind.resource);
    let resources = contents().chain(customs);
    resources
        .flat_map(|resource| {
            view.list(&resource, namespace).map(|object| (resource.clone(), object)).collect::<Vec<_>>()
        })
        .collect()
}

fn delete(resource: &GroupResource, object: &Object) -> Action {
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::of(object) };
    Action::Delete { resource: resource.clone(), object: object.clone(), options, report: None }
}

/// Gives up the namespace's finalizer; the API server removes what has none left.
fn finish(namespace: &Object) -> Vec<Action> {
    let mut changed = Value::clone(namespace);
    if let Some(Value::Array(finalizers)) = changed.pointer_mut("/spec/finalizers") {
        finalizers.retain(|f| f.as_str() != Some(FINALIZER));
    }
    if changed != **namespace {
        return vec![Action::Write { resource: NAMESPACES, object: changed, subresource: "finalize" }];
    }
    let held = !list_at(namespace, "/spec/finalizers").is_empty() || object::finalizers(namespace).next().is_some();
    if held { Vec::new() } else { vec![Action::delete(NAMESPACES, namespace)] }
}

/// The conditions that say what keeps the namespace.
fn tell(namespace: &Object, left: &[(GroupResource, &Object)]) -> Option<Action> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for (resource, object) in left {
        *counts.entry(format!("{}.{}", resource.resource, resource.group)).or_default() += 1;
        for finalizer in object::finalizers(object) {
            *held.entry(finalizer).or_default() += 1;
        }
    }
    let list = |counts: Vec<String>| counts.join(", ");
    let remaining = list(counts.iter().map(|(what, n)| format!("{what} has {n} resource instances")).collect());
    let finalizers = list(held.iter().map(|(what, n)| format!("{what} in {n} resource instances")).collect());
    let conditions = [
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".into(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".into(),
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".into(),
        ),
        (
            "NamespaceContentRemaining",
            true,
            "SomeResourcesRemain",
            format!("Some resources are remaining: {remaining}"),
        ),
        match finalizers.is_empty() {
            true => (
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished".into(),
            ),
            false => (
                "NamespaceFinalizersRemaining",
                true,
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {finalizers}"),
            ),
        },
    ];
    let conditions: Vec<Value> = conditions
        .into_iter()
        .map(|(kind, status, reason, message)| condition(namespace, kind, status, reason, &message))
        .collect();
    if list_at(namespace, "/status/conditions") == conditions {
        return None;
    }
    let mut changed = Value::clone(namespace);
    changed["status"] = json!({"phase": "Terminating", "conditions": conditions});
    Some(Action::write_status(NAMESPACES, changed))
}

fn condition(namespace: &Value, kind: &str, status: bool, reason: &str, message: &str) -> Value {
    let status = if status { "True" } else { "False" };
    let old = object::condition(namespace, kind).filter(|old| old["status"] == status);
    let since = old.map_or_else(|| timestamp::now().into(), |old| old["lastTransitionTime"].clone());
    json!({"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message})
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::resource::CONFIG_MAPS;

    fn namespace(finalizers: Value) -> (GroupResource, Value) {
        (
            NAMESPACES,
            json!({"metadata": {"name": "ns", "deletionTimestamp": "2030-01-01T00:00:00Z"},
            "spec": {"finalizers": finalizers}, "status": {"phase": "Terminating"}}),
        )
    }

    fn object(name: &str, finalizer: Option<&str>) -> Value {
        let mut object = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}});
        if let Some(finalizer) = finalizer {
            object["metadata"]["finalizers"] = json!([finalizer]);
            object["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
        }
        object
    }

    fn actions(objects: Vec<(GroupResource, Value)>) -> Vec<Action> {
        Namespaces.plan(&View::of(objects), &ObjectKey::new("", "ns"), Utc::now()).actions
    }

    #[test]
    fn pods_go_before_what_they_may_need() {
        let config = (CONFIG_MAPS, object("c", None));
        let deleted =
            |actions: &[Action]| -> Vec<GroupResource> { actions.iter().map(|a| a.target().unwrap().1).collect() };
        let first = actions(vec![namespace(json!(["kubernetes"])), (PODS, object("p", None)), config.clone()]);
        assert_eq!(deleted(&first), [PODS]);
        let then = actions(vec![namespace(json!(["kubernetes"])), config]);
        assert_eq!(deleted(&then), [CONFIG_MAPS]);
    }

    #[test]
    fn what_is_held_is_told() {
        let actions =
            actions(vec![namespace(json!(["kubernetes"])), (CONFIG_MAPS, object("held", Some("example.com/hold")))]);
        let [Action::Write { object, subresource: "status", .. }] = &actions[..] else { panic!("{actions:?}") };
        let message = |kind: &str| object::condition(object, kind).unwrap()["message"].as_str().unwrap().to_owned();
        assert_eq!(
            message("NamespaceContentRemaining"),
            "Some resources are remaining: configmaps. has 1 resource instances"
        );
        assert_eq!(
            message("NamespaceFinalizersRemaining"),
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        );
    }

    #[test]
    fn an_empty_namespace_is_finalized_and_then_removed() {
        let finalized = actions(vec![namespace(json!(["kubernetes"]))]);
        assert!(
            matches!(&finalized[..], [Action::Write { object, subresource: "finalize", .. }] if object["spec"]["finalizers"] == json!([]))
        );
        assert!(matches!(&actions(vec![namespace(json!([]))])[..], [Action::Delete { .. }]));
        assert!(actions(vec![namespace(json!(["example.com/other"]))]).is_empty());
    }
}
