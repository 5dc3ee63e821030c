//! Volumes of pods, and the sources they share with persistent volumes.

use serde_json::Map;

use super::pod::{field_reference, image_pull_policy, resource_reference};
use super::{Object, each, set, set_text, storage, text, with};

/// Files of projected volumes are readable by all: 0644.
const DEFAULT_MODE: i64 = 0o644;

pub fn volume(volume: &mut Object) {
    if volume.keys().all(|key| key == "name") {
        volume.insert("emptyDir".into(), Map::new().into());
    }
    for source in ["secret", "configMap"] {
        with(volume, source, |source| set(source, "defaultMode", DEFAULT_MODE));
    }
    with(volume, "downwardAPI", |source| {
        set(source, "defaultMode", DEFAULT_MODE);
        each(source, "items", downward_item);
    });
    with(volume, "projected", |source| {
        set(source, "defaultMode", DEFAULT_MODE);
        each(source, "sources", |source| {
            with(source, "serviceAccountToken", |token| set(token, "expirationSeconds", 3600));
            with(source, "downwardAPI", |source| each(source, "items", downward_item));
        });
    });
    with(volume, "ephemeral", |source| {
        with(source, "volumeClaimTemplate", |template| with(template, "spec", storage::claim_spec));
    });
    with(volume, "image", |source| {
        let policy = image_pull_policy(text(source, "reference"));
        set_text(source, "pullPolicy", policy);
    });
    shared_sources(volume);
}

/// Sources that pods and persistent volumes have in common.
pub fn shared_sources(object: &mut Object) {
    with(object, "hostPath", |source| set(source, "type", ""));
    with(object, "iscsi", |source| set_text(source, "iscsiInterface", "default"));
    with(object, "rbd", |source| {
        set_text(source, "pool", "rbd");
        set_text(source, "user", "admin");
        set_text(source, "keyring", "/etc/ceph/keyring");
    });
    with(object, "azureDisk", |source| {
        set(source, "cachingMode", "ReadWrite");
        set(source, "kind", "Shared");
        set(source, "fsType", "ext4");
        set(source, "readOnly", false);
    });
    with(object, "scaleIO", |source| {
        set_text(source, "storageMode", "ThinProvisioned");
        set_text(source, "fsType", "xfs");
    });
}

fn downward_item(item: &mut Object) {
    with(item, "fieldRef", field_reference);
    with(item, "resourceFieldRef", resource_reference);
}
