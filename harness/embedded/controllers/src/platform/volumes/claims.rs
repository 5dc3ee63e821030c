//! One claim: find it a volume, have one made, or say what it is waiting for.

use std::path::Path;

use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES};
use embedded_apimachinery::volume_match::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, claim_names, claim_reference, find, is_bound, is_reserved_for,
    waits_for_consumer,
};
use embedded_apimachinery::{Object, ObjectKey};
use serde_json::{Value, json};

use super::provision::{self, Provisioning};
use crate::runtime::{Action, View};

pub fn plan(view: &View, claim: &Object, root: &Path) -> Vec<Action> {
    if is_bound(claim) {
        return keep_bound(view, claim);
    }
    if object::is_deleting(claim) {
        return Vec::new();
    }
    match str_at(claim, "/spec/volumeName") {
        "" => look_for_volume(view, claim, root),
        name => bind_to_named(view, claim, name),
    }
}

/// The status of a bound claim follows its volume.
fn keep_bound(view: &View, claim: &Object) -> Vec<Action> {
    let volume = view.get(&PERSISTENT_VOLUMES, &ObjectKey::new("", str_at(claim, "/spec/volumeName")));
    let Some(volume) = volume.filter(|volume| is_reserved_for(volume, claim)) else {
        if str_at(claim, "/status/phase") == "Lost" {
            return Vec::new();
        }
        let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
        let lost = with_status(claim, json!({"phase": "Lost"}));
        return vec![
            Action::write_status(PERSISTENT_VOLUME_CLAIMS, lost),
            Action::warning(claim, "ClaimLost", message),
        ];
    };
    let status = json!({"phase": "Bound", "accessModes": volume["spec"]["accessModes"],
        "capacity": {"storage": volume["spec"]["capacity"]["storage"]}});
    let bound = with_status(claim, status);
    if bound == **claim { Vec::new() } else { vec![Action::write_status(PERSISTENT_VOLUME_CLAIMS, bound)] }
}

fn with_status(claim: &Value, status: Value) -> Value {
    let mut claim = claim.clone();
    for (field, value) in status.as_object().into_iter().flatten() {
        claim["status"][field] = value.clone();
    }
    claim
}

fn look_for_volume(view: &View, claim: &Object, root: &Path) -> Vec<Action> {
    let class_name = str_at(claim, "/spec/storageClassName");
    let class = view.get(&STORAGE_CLASSES, &ObjectKey::new("", class_name));
    let node = object::annotation(claim, SELECTED_NODE);
    let waits = waits_for_consumer(class) && node.is_none();
    let volumes: Vec<&Object> = view.all(&PERSISTENT_VOLUMES).filter(|v| !waits || is_reserved_for(v, claim)).collect();
    if let Some(volume) = find(volumes.into_iter(), claim, None) {
        return if is_reserved_for(volume, claim) && !str_at(volume, "/spec/claimRef/uid").is_empty() {
            vec![Action::update(PERSISTENT_VOLUME_CLAIMS, naming(claim, object::name(volume)))]
        } else {
            vec![Action::update(PERSISTENT_VOLUMES, reserved(volume, claim))]
        };
    }
    if waits {
        return vec![awaited_consumer(view, claim)];
    }
    match provision::plan(claim, class, node, root) {
        _ if class_name.is_empty() => {
            let message = "no persistent volumes available for this claim and no storage class is set";
            vec![Action::normal(claim, "FailedBinding", message)]
        }
        Provisioning::Make(actions) => actions,
        Provisioning::BySomebodyElse(message) => vec![Action::normal(claim, "ExternalProvisioning", message)],
        Provisioning::Impossible(message) => vec![Action::warning(claim, "ProvisioningFailed", message)],
    }
}

/// The claim's owner chose the volume.
fn bind_to_named(view: &View, claim: &Object, name: &str) -> Vec<Action> {
    let Some(volume) = view.get(&PERSISTENT_VOLUMES, &ObjectKey::new("", name)) else { return Vec::new() };
    if is_reserved_for(volume, claim) && !str_at(volume, "/spec/claimRef/uid").is_empty() {
        let mut complete = Value::clone(claim);
        object::set_annotation(&mut complete, BIND_COMPLETED, "yes");
        return vec![Action::update(PERSISTENT_VOLUME_CLAIMS, complete)];
    }
    if volume.pointer("/spec/claimRef/name").is_none() || is_reserved_for(volume, claim) {
        return vec![Action::update(PERSISTENT_VOLUMES, reserved(volume, claim))];
    }
    let message = format!("volume \"{name}\" already bound to a different claim.");
    vec![Action::warning(claim, "FailedBinding", message)]
}

fn awaited_consumer(view: &View, claim: &Object) -> Action {
    let consumer = view
        .list(&PODS, object::namespace(claim))
        .find(|pod| claim_names(pod).iter().any(|name| name == object::name(claim)) && !object::pod_is_terminal(pod));
    match consumer {
        Some(pod) => {
            let message = format!("waiting for pod {} to be scheduled", object::name(pod));
            Action::normal(claim, "WaitForPodScheduled", message)
        }
        None => {
            Action::normal(claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
        }
    }
}

/// The volume with a reference to the claim. What a person reserved stays marked as theirs.
fn reserved(volume: &Value, claim: &Value) -> Value {
    let mut volume = volume.clone();
    if volume.pointer("/spec/claimRef/name").is_none() {
        object::set_annotation(&mut volume, BOUND_BY_CONTROLLER, "yes");
    }
    volume["spec"]["claimRef"] = claim_reference(claim);
    volume
}

fn naming(claim: &Value, volume: &str) -> Value {
    let mut claim = claim.clone();
    claim["spec"]["volumeName"] = volume.into();
    object::set_annotation(&mut claim, BIND_COMPLETED, "yes");
    object::set_annotation(&mut claim, BOUND_BY_CONTROLLER, "yes");
    claim
}
