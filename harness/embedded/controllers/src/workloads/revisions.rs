//! ControllerRevisions: the templates a StatefulSet or DaemonSet has had, numbered.

use std::collections::HashSet;

use embedded_apimachinery::object::{self, int_at, str_at};
use embedded_apimachinery::resource::CONTROLLER_REVISIONS;
use embedded_apimachinery::{Object, ObjectKey};
use serde_json::{Value, json};

use super::hash;
use crate::runtime::claim::claim;
use crate::runtime::{Action, View};

/// The history of one owner.
pub struct Revisions {
    /// By revision number.
    all: Vec<Object>,
    /// Adoption of revisions that an earlier owner left.
    pub adoptions: Vec<Action>,
}

/// A revision as it is or is to be.
#[derive(Clone, Debug)]
pub struct Revision {
    pub name: String,
    /// The hash at the end of the name.
    pub hash: String,
    pub template: Value,
}

impl Revisions {
    pub fn of(view: &View, owner: &Value) -> Self {
        let claim = claim(view, owner, &CONTROLLER_REVISIONS, |_| true);
        let mut all = claim.owned;
        all.sort_by_key(|revision| (number(revision), object::name(revision).to_owned()));
        Self { all, adoptions: claim.actions }
    }

    pub fn named(&self, name: &str, label: &str) -> Option<Revision> {
        self.all.iter().find(|r| object::name(r) == name).map(|r| existing(r, label))
    }

    /// The revision of the owner's present template, and the write that makes it the newest, if one is needed. `label`
    /// is the label of revisions that holds their hash.
    pub fn current(&self, view: &View, owner: &Object, label: &str) -> (Revision, Option<Action>) {
        let data = data_of(owner);
        let next = self.all.last().map_or(1, |newest| number(newest) + 1);
        let Some(same) = self.all.iter().rfind(|r| r.get("data") == Some(&data)) else {
            let (revision, object) = new_revision(view, owner, data, next, label);
            return (revision, Some(Action::create(CONTROLLER_REVISIONS, object)));
        };
        let is_newest = number(same) + 1 == next;
        let promotion = (!is_newest).then(|| {
            let mut promoted = Value::clone(same);
            promoted["revision"] = next.into();
            Action::update(CONTROLLER_REVISIONS, promoted)
        });
        (existing(same, label), promotion)
    }

    /// Removes the oldest revisions that are not in use, beyond the owner's `revisionHistoryLimit`.
    pub fn forget(&self, owner: &Value, in_use: &HashSet<&str>) -> Vec<Action> {
        let limit = int_at(owner, "/spec/revisionHistoryLimit").and_then(|n| usize::try_from(n).ok()).unwrap_or(10);
        let unused: Vec<&Object> = self.all.iter().filter(|r| !in_use.contains(object::name(r))).collect();
        let surplus = unused.len().saturating_sub(limit);
        unused.into_iter().take(surplus).map(|r| Action::delete(CONTROLLER_REVISIONS, r)).collect()
    }
}

fn number(revision: &Value) -> i64 {
    int_at(revision, "/revision").unwrap_or(0)
}

fn existing(revision: &Object, label: &str) -> Revision {
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Value::Object(map) = &mut template {
        map.shift_remove("$patch");
    }
    let hash = object::label(revision, label).unwrap_or_default().to_owned();
    Revision { name: object::name(revision).to_owned(), hash, template }
}

/// The template as a strategic merge patch of the owner, which is how revisions are stored.
fn data_of(owner: &Value) -> Value {
    let mut template = owner["spec"]["template"].clone();
    if let Value::Object(map) = &mut template {
        map.insert("$patch".into(), "replace".into());
    }
    json!({"spec": {"template": template}})
}

fn new_revision(view: &View, owner: &Object, data: Value, next: i64, label: &str) -> (Revision, Value) {
    let mut collisions = int_at(owner, "/status/collisionCount").unwrap_or(0);
    let (hash, name) = loop {
        let hash = hash::of(&data, collisions);
        let name = format!("{}-{hash}", object::name(owner));
        if view.get(&CONTROLLER_REVISIONS, &ObjectKey::new(object::namespace(owner), name.clone())).is_none() {
            break (hash, name);
        }
        collisions += 1;
    };
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": name, "namespace": object::namespace(owner),
            "labels": owner.pointer("/spec/template/metadata/labels").cloned().unwrap_or_else(|| json!({})),
            "ownerReferences": [object::controller_reference_to(owner)]},
        "data": data, "revision": next});
    object::set_label(&mut object, label, &hash);
    if let Some(annotations) = owner.pointer("/metadata/annotations") {
        object["metadata"]["annotations"] = annotations.clone();
    }
    (Revision { name, hash, template: owner["spec"]["template"].clone() }, object)
}

/// Whether a revision's name is that of the pod's label, for owners that label pods with names.
pub fn label_of(pod: &Value) -> &str {
    str_at(pod, "/metadata/labels/controller-revision-hash")
}
