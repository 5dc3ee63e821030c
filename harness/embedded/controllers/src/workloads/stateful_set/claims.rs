//! The volume claims of a StatefulSet's pods: made with the pods, kept or removed by policy.
//!
//! `persistentVolumeClaimRetentionPolicy` works through owner references: a claim that the set (or a pod that is to be
//! scaled away) owns is garbage when the owner is gone.

use embedded_apimachinery::object::{self, list_at, str_at};
use embedded_apimachinery::resource::{PERSISTENT_VOLUME_CLAIMS, STATEFUL_SETS};
use embedded_apimachinery::{Object, ObjectKey};
use serde_json::{Value, json};

use super::identity;
use crate::runtime::{Action, Change, Report, View};

pub fn claim_name(set: &Value, template: &Value, ordinal: i64) -> String {
    format!("{}-{}", object::name(template), identity::pod_name(set, ordinal))
}

/// The sets whose next pod may have waited for this claim to be gone.
pub fn waiting_for(view: &View, change: &Change) -> Vec<ObjectKey> {
    let (None, Some(claim)) = (&change.after, &change.before) else { return Vec::new() };
    let could_be_of = |set: &&Object| {
        let templates = list_at(set, "/spec/volumeClaimTemplates");
        let prefix = |template: &Value| format!("{}-{}-", object::name(template), object::name(set));
        templates.iter().any(|template| object::name(claim).starts_with(&prefix(template)))
    };
    view.list(&STATEFUL_SETS, object::namespace(claim)).filter(could_be_of).map(|set| ObjectKey::of(set)).collect()
}

/// The claims of one ordinal that are not there yet. `None` while one is there but going away, or belongs to a pod
/// that was there before: a new pod must wait.
pub fn missing(view: &View, set: &Object, ordinal: i64) -> Option<Vec<Action>> {
    let mut actions = Vec::new();
    for template in list_at(set, "/spec/volumeClaimTemplates") {
        let name = claim_name(set, template, ordinal);
        match view.get(&PERSISTENT_VOLUME_CLAIMS, &ObjectKey::new(object::namespace(set), name)) {
            Some(claim) if object::is_deleting(claim) || has_pod_owner(claim, &identity::pod_name(set, ordinal)) => {
                return None;
            }
            Some(_) => {}
            None => actions.push(create(set, template, ordinal)),
        }
    }
    Some(actions)
}

fn has_pod_owner(claim: &Value, pod: &str) -> bool {
    let owners = object::owner_references(claim).iter();
    owners.filter(|r| str_at(r, "/kind") == "Pod").any(|r| str_at(r, "/name") == pod)
}

fn create(set: &Object, template: &Value, ordinal: i64) -> Action {
    let name = claim_name(set, template, ordinal);
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": template.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({}))});
    let metadata = object::metadata_mut(&mut claim);
    metadata.insert("name".into(), name.clone().into());
    metadata.insert("namespace".into(), object::namespace(set).into());
    for (key, value) in object::string_map(set.pointer("/spec/selector/matchLabels")) {
        object::set_label(&mut claim, &key, &value);
    }
    if Policy::of(set).set_owns(true) {
        claim["metadata"]["ownerReferences"] = json!([object::controller_reference_to(set)]);
    }
    let (pod, set_name) = (identity::pod_name(set, ordinal), object::name(set));
    Action::create(PERSISTENT_VOLUME_CLAIMS, claim).reported(Report {
        about: set.clone(),
        done: ("SuccessfulCreate", format!("Create Claim {name} Pod {pod} in StatefulSet {set_name} success")),
        failed: (
            "FailedCreate",
            format!("Create Claim {name} for Pod {pod} in StatefulSet {set_name} failed error: {{error}}"),
        ),
    })
}

/// Claims of a pod whose owner references do not say what the policy says.
pub fn disowned(view: &View, set: &Object, pod: &Object, ordinal: i64) -> Vec<Action> {
    let policy = Policy::of(set);
    let wanted = identity::in_range(set, ordinal);
    let claims = list_at(set, "/spec/volumeClaimTemplates").iter().filter_map(|template| {
        let name = claim_name(set, template, ordinal);
        view.get(&PERSISTENT_VOLUME_CLAIMS, &ObjectKey::new(object::namespace(set), name))
    });
    let claims = claims.filter(|claim| !object::is_deleting(claim));
    claims
        .filter_map(|claim| {
            let mut changed = Value::clone(claim);
            own(&mut changed, set, policy.set_owns(wanted));
            own(&mut changed, pod, policy.pod_owns(wanted));
            (changed != **claim).then(|| Action::update(PERSISTENT_VOLUME_CLAIMS, changed))
        })
        .collect()
}

/// Makes `owner` one of the owners of a claim, or not.
fn own(claim: &mut Value, owner: &Value, owns: bool) {
    let owned = object::owner_references(claim).iter().any(|r| str_at(r, "/uid") == object::uid(owner));
    if owned == owns {
        return;
    }
    let mut references = object::owner_references(claim).to_vec();
    if owns {
        references.push(object::controller_reference_to(owner));
    } else {
        references.retain(|r| str_at(r, "/uid") != object::uid(owner));
    }
    let metadata = object::metadata_mut(claim);
    if references.is_empty() {
        metadata.shift_remove("ownerReferences");
    } else {
        metadata.insert("ownerReferences".into(), references.into());
    }
}

/// `persistentVolumeClaimRetentionPolicy`, whose fields default to Retain.
struct Policy {
    delete_with_set: bool,
    delete_when_scaled: bool,
}

impl Policy {
    fn of(set: &Value) -> Self {
        let deletes = |field| set.pointer(field).and_then(Value::as_str) == Some("Delete");
        Self {
            delete_with_set: deletes("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted"),
            delete_when_scaled: deletes("/spec/persistentVolumeClaimRetentionPolicy/whenScaled"),
        }
    }

    /// `wanted`: whether the set wants the pod of the claim.
    fn set_owns(&self, wanted: bool) -> bool {
        self.delete_with_set && (wanted || !self.delete_when_scaled)
    }

    fn pod_owns(&self, wanted: bool) -> bool {
        self.delete_when_scaled && !wanted
    }
}
