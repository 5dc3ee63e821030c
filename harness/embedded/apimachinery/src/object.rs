//! Objects as JSON values, and access to the metadata that every object has.
//!
//! Accessors never fail: a missing field reads as empty, since objects in the store were validated on their way in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// A stored object. Cheap to clone; never changed in place.
pub type Object = Arc<Value>;

/// Where an object lives. `namespace` is empty for cluster-scoped objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub fn of(object: &Value) -> Self {
        Self::new(namespace(object), name(object))
    }
}

/// The value at a JSON pointer. Like [`Value::pointer`], but without allocating where nothing is escaped: controllers
/// read fields by the million.
pub fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return object.pointer(pointer);
    }
    pointer.split('/').skip(1).try_fold(object, |value, key| match value {
        Value::Object(map) => map.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The string at a JSON pointer, or the empty string.
pub fn str_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at a JSON pointer.
pub fn int_at(object: &Value, pointer: &str) -> Option<i64> {
    at(object, pointer).and_then(Value::as_i64)
}

/// The boolean at a JSON pointer; absent reads as false.
pub fn bool_at(object: &Value, pointer: &str) -> bool {
    at(object, pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The elements at a JSON pointer; absent reads as an empty list.
pub fn list_at<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub fn name(object: &Value) -> &str {
    str_at(object, "/metadata/name")
}

pub fn namespace(object: &Value) -> &str {
    str_at(object, "/metadata/namespace")
}

pub fn uid(object: &Value) -> &str {
    str_at(object, "/metadata/uid")
}

pub fn kind(object: &Value) -> &str {
    str_at(object, "/kind")
}

pub fn api_version(object: &Value) -> &str {
    str_at(object, "/apiVersion")
}

/// `metadata.resourceVersion` as the number it is in this store; 0 when absent.
pub fn resource_version(object: &Value) -> u64 {
    str_at(object, "/metadata/resourceVersion").parse().unwrap_or(0)
}

pub fn generation(object: &Value) -> i64 {
    int_at(object, "/metadata/generation").unwrap_or(0)
}

pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    at(object, "/metadata/deletionTimestamp").and_then(Value::as_str)
}

pub fn is_deleting(object: &Value) -> bool {
    deletion_timestamp(object).is_some()
}

pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// `metadata.labels` as a sorted map.
pub fn labels(object: &Value) -> BTreeMap<String, String> {
    string_map(at(object, "/metadata/labels"))
}

/// A JSON object of strings as a sorted map; anything else reads as empty.
pub fn string_map(value: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(map)) = value else { return BTreeMap::new() };
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list_at(object, "/metadata/finalizers").iter().filter_map(Value::as_str)
}

pub fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    finalizers(object).any(|f| f == finalizer)
}

/// The object without one of its finalizers.
pub fn without_finalizer(object: &Value, finalizer: &str) -> Value {
    let mut object = object.clone();
    let meta = metadata_mut(&mut object);
    if let Some(Value::Array(finalizers)) = meta.get_mut("finalizers") {
        finalizers.retain(|f| f.as_str() != Some(finalizer));
        if finalizers.is_empty() {
            meta.remove("finalizers");
        }
    }
    object
}

pub fn owner_references(object: &Value) -> &[Value] {
    list_at(object, "/metadata/ownerReferences")
}

/// The owner reference that has `controller: true`.
pub fn controller_ref(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|r| bool_at(r, "/controller"))
}

/// Whether `owner` (by uid) is the controller of `object`.
pub fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    controller_ref(object).is_some_and(|r| str_at(r, "/uid") == uid(owner))
}

/// An owner reference that makes `owner` the controller and blocks its foreground deletion.
pub fn controller_reference_to(owner: &Value) -> Value {
    json!({
        "apiVersion": api_version(owner),
        "kind": kind(owner),
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// `metadata` as a mutable map, made if it is missing.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    map_at_mut(object, &["metadata"])
}

/// The JSON object at a path of keys, made where it is missing; anything in the way that is no object is replaced.
pub fn map_at_mut<'a>(object: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut at = object;
    for key in path {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[*key];
    }
    if !at.is_object() {
        *at = json!({});
    }
    match at {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    map_at_mut(object, &["metadata", "annotations"]).insert(key.to_owned(), value.into());
}

pub fn set_label(object: &mut Value, key: &str, value: &str) {
    map_at_mut(object, &["metadata", "labels"]).insert(key.to_owned(), value.into());
}

/// The condition of this type in `status.conditions`.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list_at(object, "/status/conditions").iter().find(|c| str_at(c, "/type") == kind)
}

pub fn condition_is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|c| str_at(c, "/status") == "True")
}

/// A pod counts as healthy for budgets, endpoints and replica counts when its Ready condition is true.
pub fn pod_is_ready(pod: &Value) -> bool {
    condition_is_true(pod, "Ready")
}

/// A pod whose phase is final: Succeeded or Failed.
pub fn pod_is_terminal(pod: &Value) -> bool {
    matches!(str_at(pod, "/status/phase"), "Succeeded" | "Failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_metadata_reads_as_empty() {
        let object = json!({});
        assert_eq!(name(&object), "");
        assert_eq!(resource_version(&object), 0);
        assert!(!is_deleting(&object));
        assert!(owner_references(&object).is_empty());
    }

    #[test]
    fn pointers_find_what_json_pointers_find() {
        let object = json!({"a": {"b/c": 1, "d": [{"e": "x"}, 2]}, "": {"": 3}});
        for pointer in ["", "/", "//", "/a", "/a/b~1c", "/a/d/0/e", "/a/d/1", "/a/d/2", "/a/d/x", "/a/d/1/e", "/z"] {
            assert_eq!(at(&object, pointer), object.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn paths_are_made_where_they_are_missing() {
        let mut object = json!({"metadata": {"labels": null}});
        set_label(&mut object, "a", "b");
        assert_eq!(label(&object, "a"), Some("b"));
    }
}
