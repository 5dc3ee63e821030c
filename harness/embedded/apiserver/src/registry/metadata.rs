//! `metadata`: what the server sets, what writers may set, and in which order it is shown.

use embedded_apimachinery::{Result, Status, object, timestamp};
use rand::Rng;
use serde_json::{Map, Value};

use crate::catalog::Resource;

/// Letters of generated names: no vowels and no digits that look like them (k8s.io/apimachinery/pkg/util/rand).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// A generated name keeps this much of its prefix.
const MAX_PREFIX: usize = 63 - SUFFIX_LENGTH;

/// The order in which Kubernetes writes the fields.
const ORDER: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// Fields that stay as they are once the server has set them.
const KEPT: [&str; 6] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "generateName"];

/// Five letters that make a name unique.
pub fn random_suffix() -> String {
    let mut rng = rand::rng();
    (0..SUFFIX_LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// Fills in what every new object gets.
pub fn for_create(resource: &Resource, namespace: &str, object: &mut Value) -> Result<()> {
    let meta = object::metadata_mut(object);
    if meta.get("resourceVersion").and_then(Value::as_str).is_some_and(|v| !v.is_empty()) {
        return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    for field in ["uid", "resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        meta.shift_remove(field);
    }
    set_namespace(resource, namespace, meta)?;
    if text(meta, "name").is_empty() {
        let prefix = text(meta, "generateName");
        if !prefix.is_empty() {
            let kept: String = prefix.chars().take(MAX_PREFIX).collect();
            meta.insert("name".into(), format!("{kept}{}", random_suffix()).into());
        }
    }
    meta.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    meta.insert("creationTimestamp".into(), timestamp::now().into());
    if resource.has_generation {
        meta.insert("generation".into(), 1.into());
    }
    tidy(meta);
    Ok(())
}

/// The namespace of the object is that of the request.
pub fn set_namespace(resource: &Resource, namespace: &str, meta: &mut Map<String, Value>) -> Result<()> {
    if !resource.namespaced {
        meta.shift_remove("namespace");
        return Ok(());
    }
    let stated = text(meta, "namespace");
    if !stated.is_empty() && stated != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    meta.insert("namespace".into(), namespace.into());
    Ok(())
}

/// Checks an update against what is stored and carries over what only the server may set.
pub fn for_update(resource: &Resource, current: &Value, changed: &mut Value) -> Result<()> {
    let name = object::name(current).to_owned();
    let meta = object::metadata_mut(changed);
    let uid = text(meta, "uid");
    if !uid.is_empty() && uid != object::uid(current) {
        let namespace = object::namespace(current);
        let path = if namespace.is_empty() { String::new() } else { format!("/{namespace}") };
        return Err(Status::conflict(
            &resource.id,
            &name,
            &format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{}{path}/{name}, ResourceVersion: 0, \
                 AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                resource.id.resource,
                object::uid(current)
            ),
        ));
    }
    let version = text(meta, "resourceVersion");
    if !version.is_empty() && version != object::str_at(current, "/metadata/resourceVersion") {
        return Err(Status::stale(&resource.id, &name));
    }
    set_namespace(resource, object::namespace(current), meta)?;
    meta.insert("name".into(), name.into());
    meta.insert("resourceVersion".into(), current["metadata"]["resourceVersion"].clone());
    for field in KEPT {
        match current["metadata"].get(field) {
            Some(value) => meta.insert(field.into(), value.clone()),
            None => meta.shift_remove(field),
        };
    }
    tidy(meta);
    Ok(())
}

/// Sorts the fields and drops empty ones, as Kubernetes shows them.
pub fn tidy(meta: &mut Map<String, Value>) {
    let mut sorted = Map::new();
    for field in ORDER {
        if let Some(value) = meta.shift_remove(field)
            && !is_empty(&value, field)
        {
            sorted.insert(field.into(), value);
        }
    }
    sorted.append(meta);
    *meta = sorted;
}

fn is_empty(value: &Value, field: &str) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        // A placeholder for the version that the store gives.
        Value::String(text) => text.is_empty() && field != "resourceVersion",
        _ => false,
    }
}

fn text(meta: &Map<String, Value>, field: &str) -> String {
    meta.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use embedded_apimachinery::resource::{CONFIG_MAPS, DEPLOYMENTS};
    use serde_json::json;

    #[test]
    fn names_are_generated_from_their_prefix() {
        let pods = Catalog::default().stored(&DEPLOYMENTS).unwrap();
        let mut object = json!({"metadata": {"generateName": "web-"}});
        for_create(&pods, "ns", &mut object).unwrap();
        let name = object::name(&object);
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert!(name[4..].bytes().all(|b| ALPHABET.contains(&b)));
        assert_eq!(object::generation(&object), 1);
    }

    #[test]
    fn writers_cannot_change_what_the_server_set() {
        let maps = Catalog::default().stored(&CONFIG_MAPS).unwrap();
        let current = json!({"metadata": {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "t"}});
        let mut changed = json!({"metadata": {"name": "a", "creationTimestamp": "x", "deletionTimestamp": "y"}});
        for_update(&maps, &current, &mut changed).unwrap();
        assert_eq!(changed, current);
    }

    #[test]
    fn stale_versions_conflict() {
        let maps = Catalog::default().stored(&CONFIG_MAPS).unwrap();
        let current = json!({"metadata": {"name": "a", "resourceVersion": "7"}});
        let mut changed = json!({"metadata": {"name": "a", "resourceVersion": "6"}});
        assert!(for_update(&maps, &current, &mut changed).unwrap_err().is_conflict());
    }
}
