//! Persistent volumes, their claims and classes.

use serde_json::json;

use super::{Object, set, set_text, volumes, with, within};

pub fn volume(root: &mut Object) {
    within(root, "status", |status| set_text(status, "phase", "Pending"));
    with(root, "spec", |spec| {
        set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        set(spec, "volumeMode", "Filesystem");
        volumes::shared_sources(spec);
    });
}

pub fn claim(root: &mut Object) {
    within(root, "status", |status| set_text(status, "phase", "Pending"));
    with(root, "spec", claim_spec);
}

pub fn claim_spec(spec: &mut Object) {
    set(spec, "volumeMode", "Filesystem");
    copy_data_source(spec);
}

/// `dataSource` and `dataSourceRef` name the same thing; the newer one may be given alone.
fn copy_data_source(spec: &mut Object) {
    match (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned()) {
        (Some(source), None) => {
            spec.insert("dataSourceRef".into(), source);
        }
        (None, Some(reference)) if reference.get("namespace").is_none() => {
            spec.insert("dataSource".into(), reference);
        }
        _ => {}
    }
}

pub fn class(root: &mut Object) {
    set(root, "reclaimPolicy", "Delete");
    set(root, "volumeBindingMode", "Immediate");
}

pub fn csi_driver(root: &mut Object) {
    with(root, "spec", |spec| {
        set(spec, "attachRequired", true);
        for off in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
            set(spec, off, false);
        }
        set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        set(spec, "volumeLifecycleModes", json!(["Persistent"]));
    });
}
