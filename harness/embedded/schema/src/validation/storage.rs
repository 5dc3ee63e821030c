//! Persistent volumes, their claims and classes.

use embedded_apimachinery::quantity::Quantity;
use serde_json::Value;

use super::problems::{Problems, entries, is_set, items, text};
use super::{metadata, names, scheduling, volumes};

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
/// Fields of a volume's specification that are no source of storage.
const NOT_SOURCES: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeMode",
    "volumeAttributesClassName",
];

pub fn volume(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    volume_spec(found, &object["spec"]);
}

pub fn volume_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    volume_spec(found, &new["spec"]);
    let source = |spec: &Value| -> Vec<(String, Value)> {
        let mut source: Vec<_> = entries(spec)
            .filter(|(name, _)| !NOT_SOURCES.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        source.sort_by(|a, b| a.0.cmp(&b.0));
        source
    };
    if source(&new["spec"]) != source(&old["spec"]) {
        let says = "spec.persistentvolumesource is immutable after creation";
        found.forbidden("spec.persistentvolumesource", says);
    }
    found.immutable("spec.volumeMode", &new["spec"]["volumeMode"], &old["spec"]["volumeMode"]);
}

fn volume_spec(found: &mut Problems, spec: &Value) {
    access_modes(found, "spec.accessModes", &spec["accessModes"], "");
    if entries(&spec["capacity"]).next().is_none() {
        found.required("spec.capacity", "");
    }
    for (name, quantity) in entries(&spec["capacity"]) {
        if name != "storage" {
            found.not_supported("spec.capacity", &spec["capacity"].to_string(), &["storage"]);
        }
        positive(found, &format!("spec.capacity[{name}]"), quantity);
    }
    found.one_of_if_set(
        "spec.persistentVolumeReclaimPolicy",
        &spec["persistentVolumeReclaimPolicy"],
        &["Delete", "Recycle", "Retain"],
    );
    if spec["nodeAffinity"]["required"].is_object() {
        scheduling::node_selector(found, "spec.nodeAffinity.required", &spec["nodeAffinity"]["required"]);
    }
    let sources: Vec<&str> = entries(spec)
        .filter(|(n, v)| !NOT_SOURCES.contains(&n.as_str()) && is_set(v))
        .map(|(n, _)| n.as_str())
        .collect();
    match sources.as_slice() {
        [] => found.required("spec", "must specify a volume type"),
        [_] => {}
        [_, extra @ ..] => {
            for kind in extra {
                found.forbidden(&format!("spec.{kind}"), "may not specify more than 1 volume type");
            }
        }
    }
    if spec["hostPath"].is_object() {
        volumes::host_path(found, "spec.hostPath", &spec["hostPath"]);
    }
    if spec["local"].is_object() && spec["nodeAffinity"]["required"].is_null() {
        found.required("spec.nodeAffinity", "Local volume requires node affinity");
    }
    class_name(found, "spec.storageClassName", &spec["storageClassName"]);
    found.one_of_if_set("spec.volumeMode", &spec["volumeMode"], &VOLUME_MODES);
}

fn access_modes(found: &mut Problems, field: &str, modes: &Value, when_empty: &str) {
    if items(modes).is_empty() {
        found.required(field, when_empty);
    }
    for mode in items(modes) {
        found.one_of(field, mode, &ACCESS_MODES);
    }
    let alone = items(modes).iter().any(|mode| mode == "ReadWriteOncePod") && items(modes).len() > 1;
    if alone {
        found.forbidden(field, "may not use ReadWriteOncePod with other access modes");
    }
}

fn positive(found: &mut Problems, field: &str, quantity: &Value) {
    if Quantity::parse(text(quantity)).is_none_or(|quantity| quantity.milli() <= 0) {
        found.invalid(field, quantity.clone(), "must be greater than zero");
    }
}

fn class_name(found: &mut Problems, field: &str, name: &Value) {
    if !text(name).is_empty() {
        found.name(field, name, names::dns_subdomain);
    }
}

pub fn claim(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    claim_spec(found, "spec", &object["spec"]);
}

pub fn claim_spec(found: &mut Problems, field: &str, spec: &Value) {
    let at = |name: &str| format!("{field}.{name}");
    access_modes(found, &at("accessModes"), &spec["accessModes"], "at least 1 access mode is required");
    metadata::labels(found, &at("selector.matchLabels"), &spec["selector"]["matchLabels"]);
    match &spec["resources"]["requests"]["storage"] {
        Value::Null => found.required(&at("resources[storage]"), ""),
        quantity => positive(found, &at("resources[storage]"), quantity),
    }
    class_name(found, &at("storageClassName"), &spec["storageClassName"]);
    found.one_of_if_set(&at("volumeMode"), &spec["volumeMode"], &VOLUME_MODES);
}

pub fn claim_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    let (spec, before) = (&new["spec"], &old["spec"]);
    claim_spec(found, "spec", spec);
    let mut same = spec.clone();
    // Binding sets the volume, once; a class may be filled in where there was none.
    for late in ["volumeName", "storageClassName"] {
        if before[late].is_null() {
            same.as_object_mut().map(|map| map.shift_remove(late));
        }
    }
    if let Some(requests) = before["resources"].get("requests") {
        same["resources"]["requests"] = requests.clone();
    }
    match before.get("volumeAttributesClassName") {
        Some(class) => same["volumeAttributesClassName"] = class.clone(),
        None => {
            same.as_object_mut().map(|map| map.shift_remove("volumeAttributesClassName"));
        }
    }
    if same != *before {
        found.forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n",
        );
    }
    resized(found, new, old);
}

fn resized(found: &mut Problems, new: &Value, old: &Value) {
    let size = |at: &Value| Quantity::parse(text(at));
    let wanted = size(&new["spec"]["resources"]["requests"]["storage"]);
    let before = size(&old["spec"]["resources"]["requests"]["storage"]);
    let actual = size(&old["status"]["capacity"]["storage"]).or(before);
    if wanted < actual {
        found.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity");
    } else if wanted != before && text(&old["status"]["phase"]) != "Bound" {
        found.forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n",
        );
    }
}

pub fn class(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    match text(&object["provisioner"]) {
        "" => found.required("provisioner", ""),
        name => found.complaints("provisioner", name, names::qualified_name(&name.to_lowercase())),
    }
    found.one_of_if_set("reclaimPolicy", &object["reclaimPolicy"], &["Delete", "Retain"]);
    found.one_of("volumeBindingMode", &object["volumeBindingMode"], &["Immediate", "WaitForFirstConsumer"]);
}

pub fn class_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if new[field] != old[field] {
            found.forbidden(field, &format!("updates to {field} are forbidden."));
        }
    }
    found.immutable("volumeBindingMode", &new["volumeBindingMode"], &old["volumeBindingMode"]);
}
