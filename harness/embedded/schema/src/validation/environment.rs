//! Environment variables of containers and what they may refer to.

use serde_json::Value;

use super::names;
use super::problems::{Problems, is_set, items, text};
use super::resources;

const SOURCES: [&str; 5] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

pub fn variables(found: &mut Problems, field: &str, variables: &Value) {
    for (index, variable) in items(variables).iter().enumerate() {
        let field = format!("{field}[{index}]");
        match text(&variable["name"]) {
            "" => found.required(&format!("{field}.name"), ""),
            name => found.complaints(&format!("{field}.name"), name, names::variable_name(name)),
        }
        if variable["valueFrom"].is_object() {
            source(found, &format!("{field}.valueFrom"), variable);
        }
    }
}

fn source(found: &mut Problems, field: &str, variable: &Value) {
    let source = &variable["valueFrom"];
    let given: Vec<&str> = SOURCES.into_iter().filter(|name| is_set(&source[*name])).collect();
    let reference = |name: &str| format!("{field}.{name}");
    for name in &given {
        match *name {
            "fieldRef" => field_reference(found, &reference(name), &source[*name]),
            "resourceFieldRef" => resource_reference(found, &reference(name), &source[*name], true),
            "fileKeyRef" => {}
            _ => key_reference(found, &reference(name), &source[*name]),
        }
    }
    if !text(&variable["value"]).is_empty() && !given.is_empty() {
        found.invalid(field, "", "may not be specified when `value` is not empty");
    } else if given.is_empty() {
        let says = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        found.invalid(field, "", says);
    } else if given.len() > 1 {
        found.invalid(field, "", "may not have more than one field specified at a time");
    }
}

/// A field of the pod: one of a few, or a label or annotation by key.
pub fn field_reference(found: &mut Problems, field: &str, reference: &Value) {
    if text(&reference["apiVersion"]).is_empty() {
        return found.required(&format!("{field}.apiVersion"), "");
    }
    let path = text(&reference["fieldPath"]);
    let field = format!("{field}.fieldPath");
    if path.is_empty() {
        return found.required(&field, "");
    }
    let subscript = path.strip_suffix("']").and_then(|path| path.split_once("['"));
    let known = match subscript {
        Some((map, _)) => matches!(map, "metadata.labels" | "metadata.annotations"),
        None => FIELDS.contains(&path),
    };
    match subscript {
        Some((_, key)) if known => found.complaints(&field, path, names::qualified_name(key)),
        _ if !known => {
            found.invalid(&field, path, &format!("error converting fieldPath: field label not supported: {path}"));
        }
        _ => {}
    }
}

/// A limit or request of a container. `own` is for the container's own, which need not be named.
pub fn resource_reference(found: &mut Problems, field: &str, reference: &Value, own: bool) {
    if !own && text(&reference["containerName"]).is_empty() {
        return found.required(&format!("{field}.containerName"), "");
    }
    let resource = text(&reference["resource"]);
    if resource.is_empty() {
        return found.required(&format!("{field}.resource"), "");
    }
    const NAMES: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    if !NAMES.contains(&resource) && !resource.contains("hugepages-") {
        found.not_supported(&format!("{field}.resource"), resource, &NAMES);
    }
    resources::divisor(found, &format!("{field}.divisor"), resource, &reference["divisor"]);
}

fn key_reference(found: &mut Problems, field: &str, reference: &Value) {
    if text(&reference["name"]).is_empty() {
        found.required(&format!("{field}.name"), "");
    }
    match text(&reference["key"]) {
        "" => found.required(&format!("{field}.key"), ""),
        key => found.complaints(&format!("{field}.key"), key, names::config_key(key)),
    }
}

pub fn sources(found: &mut Problems, field: &str, sources: &Value) {
    for (index, source) in items(sources).iter().enumerate() {
        let field = format!("{field}[{index}]");
        let prefix = text(&source["prefix"]);
        if !prefix.is_empty() {
            found.complaints(&format!("{field}.prefix"), prefix, names::variable_name(prefix));
        }
        let given: Vec<&str> =
            ["configMapRef", "secretRef"].into_iter().filter(|name| is_set(&source[*name])).collect();
        for name in &given {
            if text(&source[*name]["name"]).is_empty() {
                found.required(&format!("{field}.{name}.name"), "");
            }
        }
        match given.len() {
            0 => found.invalid(&field, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => found.invalid(&field, "", "may not have more than one field specified at a time"),
        }
    }
}
