//! Garbage collection: what is owned goes with its owners.
//!
//! Owners that are gone take their dependents with them (background); owners that are being deleted in the foreground
//! wait for the dependents that block them; owners that orphan let go of theirs first. Rules:
//! kubernetes.io/docs/concepts/architecture/garbage-collection.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, bool_at, str_at};
use embedded_apimachinery::{DeleteOptions, GroupResource, Object, ObjectKey, Propagation};
use serde_json::Value;

use super::catalog;
use crate::runtime::{Action, Change, Controller, Plan, View};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Watches everything. A key is a resource and the object's own key; see [`key_of`].
pub struct GarbageCollector;

impl Controller for GarbageCollector {
    fn component(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn watches(&self) -> Vec<GroupResource> {
        catalog::BUILTIN.iter().map(|(resource, ..)| resource.clone()).collect()
    }

    fn discovered(&self, view: &View) -> Vec<GroupResource> {
        catalog::customs(view).map(|kind| kind.resource).collect()
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        let object = change.object();
        let own = || key_of(&change.resource, object);
        if change.after.is_none() {
            // Dependents may be collected now, and owners in the foreground may be done.
            let mut keys: Vec<_> = dependents(view, object).map(|(resource, d)| key_of(&resource, d)).collect();
            keys.extend(owners(view, object).map(|(resource, owner)| key_of(&resource, owner)));
            return keys;
        }
        let mut keys = Vec::new();
        if is_waiting(object) {
            keys.push(own());
            keys.extend(dependents(view, object).map(|(resource, d)| key_of(&resource, d)));
        } else if !object::owner_references(object).is_empty() {
            keys.push(own());
        }
        // Who stops blocking an owner in the foreground sets it free.
        if change.before.as_deref().is_some_and(|b| object::owner_references(b) != object::owner_references(object)) {
            let before = change.before.as_deref().unwrap_or(object);
            keys.extend(owners(view, before).map(|(resource, owner)| key_of(&resource, owner)));
        }
        keys
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        let (resource, key) = resource_and_key(key);
        match view.get(&resource, &key) {
            Some(object) => Plan::of(collect(view, &resource, object)),
            None => Plan::default(),
        }
    }
}

/// `apps/deployments:<namespace>` stands where other controllers have the namespace.
fn key_of(resource: &GroupResource, object: &Value) -> ObjectKey {
    let namespace = format!("{}/{}:{}", resource.group, resource.resource, object::namespace(object));
    ObjectKey::new(namespace, object::name(object))
}

fn resource_and_key(key: &ObjectKey) -> (GroupResource, ObjectKey) {
    let (resource, namespace) = key.namespace.split_once(':').unwrap_or(("", &key.namespace));
    let (group, resource) = resource.split_once('/').unwrap_or(("", resource));
    (GroupResource::new(group, resource), ObjectKey::new(namespace, &*key.name))
}

/// Being deleted, and held by one of the collector's own finalizers.
fn is_waiting(object: &Value) -> bool {
    object::is_deleting(object) && (object::has_finalizer(object, FOREGROUND) || object::has_finalizer(object, ORPHAN))
}

fn collect(view: &View, resource: &GroupResource, object: &Object) -> Vec<Action> {
    if object::is_deleting(object) && object::has_finalizer(object, ORPHAN) {
        return orphan_dependents(view, resource, object);
    }
    if object::is_deleting(object) && object::has_finalizer(object, FOREGROUND) {
        return finish_foreground(view, resource, object);
    }
    if object::is_deleting(object) { Vec::new() } else { collect_dependent(view, resource, object) }
}

/// Lets go of every dependent, then of the owner.
fn orphan_dependents(view: &View, resource: &GroupResource, owner: &Object) -> Vec<Action> {
    let uid = object::uid(owner);
    let mut actions: Vec<_> = dependents(view, owner)
        .map(|(resource, dependent)| Action::update(resource, without_owners(dependent, |r| str_at(r, "/uid") == uid)))
        .collect();
    actions.push(Action::update(resource.clone(), object::without_finalizer(owner, ORPHAN)));
    actions
}

/// The owner goes once nothing is left that blocks it. The dependents are looked at by themselves.
fn finish_foreground(view: &View, resource: &GroupResource, owner: &Object) -> Vec<Action> {
    let uid = object::uid(owner);
    let blocks = |dependent: &Object| {
        object::owner_references(dependent)
            .iter()
            .any(|r| str_at(r, "/uid") == uid && bool_at(r, "/blockOwnerDeletion"))
    };
    if dependents(view, owner).any(|(_, dependent)| blocks(dependent)) {
        return Vec::new();
    }
    vec![Action::update(resource.clone(), object::without_finalizer(owner, FOREGROUND))]
}

/// How an owner stands, seen from a dependent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Present,
    Absent,
    /// Being deleted in the foreground.
    Waiting,
}

fn collect_dependent(view: &View, resource: &GroupResource, dependent: &Object) -> Vec<Action> {
    let references = object::owner_references(dependent);
    if references.is_empty() {
        return Vec::new();
    }
    let owners: Vec<Owner> = references.iter().map(|reference| state(view, dependent, reference)).collect();
    if owners.contains(&Owner::Present) {
        let gone = |reference: &Value| state(view, dependent, reference) != Owner::Present;
        let lapsed = owners.iter().any(|owner| *owner != Owner::Present);
        return if lapsed {
            vec![Action::update(resource.clone(), without_owners(dependent, gone))]
        } else {
            Vec::new()
        };
    }
    let waiting = owners.contains(&Owner::Waiting);
    let has_dependents = dependents(view, dependent).next().is_some();
    let propagation = if waiting && has_dependents { Propagation::Foreground } else { Propagation::Background };
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::of(dependent) };
    vec![Action::Delete { resource: resource.clone(), object: dependent.clone(), options, report: None }]
}

fn state(view: &View, dependent: &Value, reference: &Value) -> Owner {
    let Some(kind) = catalog::kind(view, str_at(reference, "/apiVersion"), str_at(reference, "/kind")) else {
        // Of a kind that nobody knows, nobody can say that it is gone.
        return Owner::Present;
    };
    let namespace = if kind.namespaced { object::namespace(dependent) } else { "" };
    let owner = view.get(&kind.resource, &ObjectKey::new(namespace, str_at(reference, "/name")));
    match owner.filter(|owner| object::uid(owner) == str_at(reference, "/uid")) {
        None => Owner::Absent,
        Some(owner) if object::is_deleting(owner) && object::has_finalizer(owner, FOREGROUND) => Owner::Waiting,
        Some(_) => Owner::Present,
    }
}

/// Every object that names `owner` as one of its owners.
fn dependents<'a>(view: &'a View, owner: &Value) -> impl Iterator<Item = (GroupResource, &'a Object)> + use<'a> {
    let uid = object::uid(owner).to_owned();
    let resources = catalog::BUILTIN.iter().map(|(resource, ..)| resource.clone());
    let customs = catalog::customs(view).map(|kind| kind.resource);
    let objects = resources.chain(customs).flat_map(|r| view.all(&r).map(move |object| (r.clone(), object)));
    objects.filter(move |(_, o)| object::owner_references(o).iter().any(|r| str_at(r, "/uid") == uid))
}

/// The owners of an object that are there.
fn owners<'a>(view: &'a View, object: &Value) -> impl Iterator<Item = (GroupResource, &'a Object)> {
    object::owner_references(object).iter().filter_map(move |reference| {
        let kind = catalog::kind(view, str_at(reference, "/apiVersion"), str_at(reference, "/kind"))?;
        let namespace = if kind.namespaced { object::namespace(object) } else { "" };
        let owner = view.get(&kind.resource, &ObjectKey::new(namespace, str_at(reference, "/name")))?;
        Some((kind.resource, owner))
    })
}

fn without_owners(object: &Value, unwanted: impl Fn(&Value) -> bool) -> Value {
    let mut object = object.clone();
    let meta = object::metadata_mut(&mut object);
    if let Some(Value::Array(references)) = meta.get_mut("ownerReferences") {
        references.retain(|reference| !unwanted(reference));
        if references.is_empty() {
            meta.remove("ownerReferences");
        }
    }
    object
}

#[cfg(test)]
mod tests;
