//! Volumes of pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::containers::relative_path;
use super::environment::{field_reference, resource_reference};
use super::names;
use super::problems::{Problems, entries, is_set, items, text};

/// Judges the volumes and answers with the names that containers may mount.
pub fn validate<'a>(found: &mut Problems, field: &str, volumes: &'a Value) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, volume) in items(volumes).iter().enumerate() {
        let field = format!("{field}[{index}]");
        let before = found.causes.len();
        source(found, &field, volume);
        let name = text(&volume["name"]);
        match name {
            "" => found.required(&format!("{field}.name"), ""),
            _ => found.complaints(&format!("{field}.name"), name, names::dns_label(name)),
        }
        if seen.contains(name) {
            found.duplicate(&format!("{field}.name"), name);
        }
        if found.causes.len() == before {
            seen.insert(name);
        }
    }
    seen
}

fn source(found: &mut Problems, field: &str, volume: &Value) {
    let given: Vec<&str> =
        entries(volume).filter(|(k, v)| *k != "name" && is_set(v)).map(|(k, _)| k.as_str()).collect();
    match given.as_slice() {
        [] => found.required(field, "must specify a volume type"),
        [_] => {}
        [_, extra @ ..] => {
            for kind in extra {
                found.forbidden(&format!("{field}.{kind}"), "may not specify more than 1 volume type");
            }
        }
    }
    let Some(kind) = given.first() else { return };
    let (field, source) = (format!("{field}.{kind}"), &volume[*kind]);
    match *kind {
        "hostPath" => host_path(found, &field, source),
        "emptyDir" => found.quantity(&format!("{field}.sizeLimit"), &source["sizeLimit"]),
        "secret" => keyed(found, &field, source, "secretName"),
        "configMap" => keyed(found, &field, source, "name"),
        "downwardAPI" => {
            mode(found, &format!("{field}.defaultMode"), &source["defaultMode"]);
            downward_items(found, &field, source);
        }
        "persistentVolumeClaim" => require(found, &field, source, "claimName"),
        "projected" => projected(found, &field, source),
        "nfs" => {
            require(found, &field, source, "server");
            require(found, &field, source, "path");
        }
        "csi" => require(found, &field, source, "driver"),
        _ => {}
    }
}

fn require(found: &mut Problems, field: &str, source: &Value, name: &str) {
    if text(&source[name]).is_empty() {
        found.required(&format!("{field}.{name}"), "");
    }
}

pub fn host_path(found: &mut Problems, field: &str, source: &Value) {
    let path = text(&source["path"]);
    if path.is_empty() {
        return found.required(&format!("{field}.path"), "");
    }
    if path.split('/').any(|part| part == "..") {
        found.invalid(&format!("{field}.path"), path, "must not contain '..'");
    }
    const TYPES: [&str; 7] =
        ["BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    found.one_of_if_set(&format!("{field}.type"), &source["type"], &TYPES);
}

fn keyed(found: &mut Problems, field: &str, source: &Value, name: &str) {
    require(found, field, source, name);
    mode(found, &format!("{field}.defaultMode"), &source["defaultMode"]);
    key_items(found, field, source);
}

fn key_items(found: &mut Problems, field: &str, source: &Value) {
    for (index, item) in items(&source["items"]).iter().enumerate() {
        let field = format!("{field}.items[{index}]");
        require(found, &field, item, "key");
        require(found, &field, item, "path");
        local_path(found, &format!("{field}.path"), text(&item["path"]));
        mode(found, &format!("{field}.mode"), &item["mode"]);
    }
}

fn local_path(found: &mut Problems, field: &str, path: &str) {
    relative_path(found, field, path);
    if path.starts_with("..") && !path.starts_with("../") && path != ".." {
        found.invalid(field, path, "must not start with '..'");
    }
}

fn mode(found: &mut Problems, field: &str, mode: &Value) {
    if mode.as_i64().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        found.invalid(field, mode.clone(), "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn downward_items(found: &mut Problems, field: &str, source: &Value) {
    for (index, item) in items(&source["items"]).iter().enumerate() {
        let field = format!("{field}.items[{index}]");
        require(found, &field, item, "path");
        local_path(found, &format!("{field}.path"), text(&item["path"]));
        mode(found, &format!("{field}.mode"), &item["mode"]);
        match (item["fieldRef"].is_object(), item["resourceFieldRef"].is_object()) {
            (true, true) => {
                found.invalid(&field, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
            (true, false) => downward_field(found, &format!("{field}.fieldRef"), &item["fieldRef"]),
            (false, true) => {
                resource_reference(found, &format!("{field}.resourceFieldRef"), &item["resourceFieldRef"], false);
            }
            (false, false) => found.required(&field, "one of fieldRef and resourceFieldRef is required"),
        }
    }
}

/// Files, unlike variables, may also show all labels or annotations.
fn downward_field(found: &mut Problems, field: &str, reference: &Value) {
    if !matches!(text(&reference["fieldPath"]), "metadata.labels" | "metadata.annotations") {
        field_reference(found, field, reference);
    }
}

fn projected(found: &mut Problems, field: &str, source: &Value) {
    mode(found, &format!("{field}.defaultMode"), &source["defaultMode"]);
    for (index, part) in items(&source["sources"]).iter().enumerate() {
        let field = format!("{field}.sources[{index}]");
        let given: Vec<&str> = entries(part).filter(|(_, v)| is_set(v)).map(|(k, _)| k.as_str()).collect();
        for extra in given.iter().skip(1) {
            found.forbidden(&format!("{field}.{extra}"), "may not specify more than 1 volume type per source");
        }
        let Some(kind) = given.first() else {
            found.required(&field, "must specify a volume type");
            continue;
        };
        let (field, part) = (format!("{field}.{kind}"), &part[*kind]);
        match *kind {
            "secret" | "configMap" => {
                require(found, &field, part, "name");
                key_items(found, &field, part);
            }
            "downwardAPI" => downward_items(found, &field, part),
            "serviceAccountToken" => {
                if part["expirationSeconds"].as_i64().is_some_and(|seconds| seconds < 600) {
                    let says = "may not specify a duration less than 10 minutes";
                    found.invalid(&format!("{field}.expirationSeconds"), part["expirationSeconds"].clone(), says);
                }
                require(found, &field, part, "path");
            }
            _ => {}
        }
    }
}
