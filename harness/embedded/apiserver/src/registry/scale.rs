//! The `scale` subresource: replica counts of any kind in one form.

use embedded_apimachinery::selector::LabelSelector;
use embedded_apimachinery::{Result, Status, object};
use serde_json::{Value, json};

use crate::catalog::Resource;

/// JSON pointers to the desired count, the current count and the selector.
fn paths(resource: &Resource) -> (String, String, String) {
    let custom = resource.custom.as_ref().and_then(|c| c.scale.as_ref());
    let path = |key: &str, default: &str| match custom {
        Some(scale) => object::str_at(scale, &format!("/{key}")).replace('.', "/"),
        None => default.to_owned(),
    };
    (
        path("specReplicasPath", "/spec/replicas"),
        path("statusReplicasPath", "/status/replicas"),
        path("labelSelectorPath", "/spec/selector"),
    )
}

/// The `Scale` of an object.
pub fn scale_of(resource: &Resource, parent: &Value) -> Result<Value> {
    let (desired, current, selector) = paths(resource);
    let mut meta = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = parent["metadata"].get(field) {
            meta[field] = value.clone();
        }
    }
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": {},
        "status": {"replicas": object::int_at(parent, &current).unwrap_or(0)}});
    match object::int_at(parent, &desired).unwrap_or(0) {
        0 => {}
        replicas => scale["spec"]["replicas"] = replicas.into(),
    }
    let selector = match parent.pointer(&selector) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(map)) if resource.id.resource == "replicationcontrollers" => {
            map.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
        }
        other => LabelSelector::from_object(other).map(|s| s.to_string()).unwrap_or_default(),
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    Ok(scale)
}

/// The object with the count that a `Scale` asks for.
pub fn write_scale(resource: &Resource, parent: &Value, scale: &Value) -> Result<Value> {
    let replicas = object::int_at(scale, "/spec/replicas").unwrap_or(0);
    if replicas < 0 {
        let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        let cause = json!({"reason": "FieldValueInvalid", "message": message, "field": "spec.replicas"});
        return Err(Status::invalid("autoscaling", "Scale", object::name(parent), vec![cause]));
    }
    let mut changed = parent.clone();
    let (desired, ..) = paths(resource);
    let keys: Vec<&str> = desired.split('/').skip(1).collect();
    if let Some((last, path)) = keys.split_last() {
        object::map_at_mut(&mut changed, path).insert((*last).to_owned(), replicas.into());
    }
    let meta = object::metadata_mut(&mut changed);
    for field in ["resourceVersion", "uid"] {
        match scale["metadata"].get(field) {
            Some(value) => meta.insert(field.into(), value.clone()),
            None => meta.shift_remove(field),
        };
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use embedded_apimachinery::resource::DEPLOYMENTS;

    #[test]
    fn a_scale_shows_and_sets_the_replicas() {
        let deployments = Catalog::default().stored(&DEPLOYMENTS).unwrap();
        let parent = json!({"metadata": {"name": "d", "uid": "u", "labels": {"a": "b"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "d"}}}, "status": {"replicas": 1}});
        let mut scale = scale_of(&deployments, &parent).unwrap();
        assert_eq!(scale["status"], json!({"replicas": 1, "selector": "app=d"}));
        scale["spec"]["replicas"] = 5.into();
        assert_eq!(write_scale(&deployments, &parent, &scale).unwrap()["spec"]["replicas"], json!(5));
        scale["spec"]["replicas"] = (-1).into();
        assert_eq!(write_scale(&deployments, &parent, &scale).unwrap_err().code, 422);
    }
}
