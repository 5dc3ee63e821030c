//! One volume: its phase, and what becomes of it once its claim is gone.

use std::path::{Path, PathBuf};

use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use embedded_apimachinery::volume_match::BOUND_BY_CONTROLLER;
use embedded_apimachinery::{Object, timestamp};
use serde_json::Value;

use super::{LOCAL_PROVISIONER, PROVISIONED_BY, PROVISIONER, claim_key};
use crate::runtime::{Action, View};

/// `root` is where the data of volumes that were made here lies.
pub fn plan(view: &View, volume: &Object, root: &Path) -> Vec<Action> {
    let uid = str_at(volume, "/spec/claimRef/uid");
    let Some(key) = claim_key(volume).filter(|_| !uid.is_empty()) else {
        // Free, or reserved for a claim that is still to come.
        return phase(volume, "Available");
    };
    let claim = view.get(&PERSISTENT_VOLUME_CLAIMS, &key).filter(|claim| object::uid(claim) == uid);
    match claim.map(|claim| str_at(claim, "/spec/volumeName")) {
        None => release(volume, root),
        Some(name) if name == object::name(volume) => phase(volume, "Bound"),
        // The claim will name this volume in a moment.
        Some("") => Vec::new(),
        Some(_) => give_back(volume),
    }
}

fn phase(volume: &Object, phase: &str) -> Vec<Action> {
    if str_at(volume, "/status/phase") == phase {
        return Vec::new();
    }
    let mut changed = Value::clone(volume);
    changed["status"]["phase"] = phase.into();
    changed["status"]["lastPhaseTransitionTime"] = timestamp::now().into();
    vec![Action::write_status(PERSISTENT_VOLUMES, changed)]
}

/// The claim is gone. The volume keeps the reference, so that nobody else gets its data.
fn release(volume: &Object, root: &Path) -> Vec<Action> {
    if str_at(volume, "/status/phase") != "Released" {
        return phase(volume, "Released");
    }
    let delete = str_at(volume, "/spec/persistentVolumeReclaimPolicy") == "Delete";
    match data_of(volume, root) {
        Some(path) if delete && !object::is_deleting(volume) => {
            vec![Action::RemoveDirectory { path }, Action::delete(PERSISTENT_VOLUMES, volume)]
        }
        _ => Vec::new(),
    }
}

/// The directory of a volume that was made here. What a volume says of itself is not enough: anybody may write one, and
/// what is removed is removed from the host.
fn data_of(volume: &Object, root: &Path) -> Option<PathBuf> {
    let ours = matches!(object::annotation(volume, PROVISIONED_BY), Some(PROVISIONER | LOCAL_PROVISIONER));
    let path = PathBuf::from(str_at(volume, "/spec/hostPath/path"));
    let inside = path.parent() == Some(root) && path.file_name().is_some();
    (ours && inside).then_some(path)
}

/// The claim was bound to another volume meanwhile: a reservation that a controller made is taken back.
fn give_back(volume: &Object) -> Vec<Action> {
    if object::annotation(volume, BOUND_BY_CONTROLLER).is_none() {
        return Vec::new();
    }
    let mut free = Value::clone(volume);
    object::map_at_mut(&mut free, &["spec"]).remove("claimRef");
    object::map_at_mut(&mut free, &["metadata", "annotations"]).remove(BOUND_BY_CONTROLLER);
    vec![Action::update(PERSISTENT_VOLUMES, free)]
}
