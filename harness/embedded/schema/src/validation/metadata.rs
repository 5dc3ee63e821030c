//! `metadata` of every object.

use embedded_apimachinery::object;
use serde_json::Value;

use super::names;
use super::problems::{Problems, entries, items, text};

const ANNOTATIONS_MAX: usize = 256 * 1024;

pub fn create(found: &mut Problems, object: &Value, name_rule: fn(&str) -> Vec<String>) {
    let meta = &object["metadata"];
    if let Some(prefix) = meta["generateName"].as_str() {
        // What comes after the prefix is a letter or digit.
        let masked = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |start| format!("{start}a"));
        found.complaints("metadata.generateName", prefix, name_rule(&masked));
    }
    match text(&meta["name"]) {
        "" => found.required("metadata.name", "name or generateName is required"),
        name => found.complaints("metadata.name", name, name_rule(name)),
    }
    common(found, meta);
}

pub fn update(found: &mut Problems, new: &Value, old: &Value) {
    if object::is_deleting(old) {
        let added: Vec<_> = object::finalizers(new).filter(|f| !object::has_finalizer(old, f)).collect();
        if !added.is_empty() {
            let added: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
            found.forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    added.join(", ")
                ),
            );
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        let (new, old) = (&new["metadata"][field], &old["metadata"][field]);
        if !new.is_null() {
            found.immutable(&format!("metadata.{field}"), new, old);
        }
    }
    common(found, &new["metadata"]);
}

fn common(found: &mut Problems, meta: &Value) {
    labels(found, "metadata.labels", &meta["labels"]);
    annotations(found, "metadata.annotations", &meta["annotations"]);
    owners(found, &meta["ownerReferences"]);
    for finalizer in items(&meta["finalizers"]).iter().filter_map(Value::as_str) {
        found.complaints("metadata.finalizers", finalizer, names::qualified_name(finalizer));
    }
}

pub fn labels(found: &mut Problems, field: &str, labels: &Value) {
    for (key, value) in entries(labels) {
        found.complaints(field, key.as_str(), names::qualified_name(key));
        found.name(field, value, names::label_value);
    }
}

pub fn annotations(found: &mut Problems, field: &str, annotations: &Value) {
    let mut size = 0;
    for (key, value) in entries(annotations) {
        found.complaints(field, key.as_str(), names::qualified_name(&key.to_lowercase()));
        size += key.len() + text(value).len();
    }
    if size > ANNOTATIONS_MAX {
        found.too_long(field, ANNOTATIONS_MAX);
    }
}

fn owners(found: &mut Problems, references: &Value) {
    const FIELD: &str = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for reference in items(references) {
        for part in ["apiVersion", "kind", "name", "uid"] {
            if text(&reference[part]).is_empty() {
                found.invalid(&format!("{FIELD}.{part}"), "", "must not be empty");
            }
        }
        if text(&reference["apiVersion"]) == "v1" && text(&reference["kind"]) == "Event" {
            found.invalid(FIELD, reference.clone(), "/v1, Kind=Event is disallowed from being an owner");
        }
        if reference["controller"] == true {
            let name = format!("{}/{}", text(&reference["kind"]), text(&reference["name"]));
            match &controller {
                None => controller = Some(name),
                Some(first) => found.invalid(
                    FIELD,
                    references.clone(),
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} \
                         and {name}"
                    ),
                ),
            }
        }
    }
}
