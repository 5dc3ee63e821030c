//! Brings a checked document into the form in which Kubernetes stores and writes it.
//!
//! Kubernetes decodes into typed structures and encodes these again: unknown fields and nulls vanish, empty optional
//! values are left out, plain structures are written even when empty, quantities and times take their canonical text.

use embedded_apimachinery::quantity::Quantity;
use embedded_apimachinery::timestamp;
use serde_json::{Map as JsonMap, Value, json};

use crate::model::{Field, Fields, KindSchema, Shape, Text, TypeRef, Zero};

/// Canonicalizes an object of this kind in place. Values must have passed [`crate::check`]. Idempotent.
pub fn canonicalize(schema: &KindSchema, object: &mut Value) {
    if schema.custom {
        prune(object, &schema.root);
    } else {
        value(object, &schema.root);
    }
}

fn value(at: &mut Value, ty: &TypeRef) {
    match (&ty.get().shape, at) {
        (Shape::Struct(fields), Value::Object(entries)) => structure(entries, fields),
        (Shape::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| {
            if item.is_null() {
                *item = zero_element(&list.items);
            }
            value(item, &list.items);
        }),
        (Shape::Map(map), Value::Object(entries)) => entries.values_mut().for_each(|entry| {
            if entry.is_null() {
                *entry = zero_element(&map.values);
            }
            value(entry, &map.values);
        }),
        (Shape::Quantity, at) => canonical_quantity(at),
        (Shape::Text(Text::Time), at) => canonical_time(at, timestamp::format),
        (Shape::Text(Text::MicroTime), at) => {
            canonical_time(at, |time| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        }
        _ => {}
    }
}

/// A `null` in a list or map is read as the zero value of the element.
fn zero_element(ty: &TypeRef) -> Value {
    match ty.get().shape {
        Shape::Text(Text::Plain | Text::Bytes) => json!(""),
        Shape::Struct(_) => json!({}),
        Shape::Integer { .. } | Shape::IntOrString => json!(0),
        Shape::Quantity => json!("0"),
        Shape::Boolean => json!(false),
        _ => Value::Null,
    }
}

fn structure(entries: &mut JsonMap<String, Value>, fields: &Fields) {
    entries.retain(|name, _| fields.by_name.contains_key(name.as_str()));
    for (name, field) in &fields.by_name {
        if let Some(found) = entries.get_mut(&**name).filter(|found| !found.is_null()) {
            value(found, &field.ty);
        }
        match entries.get(&**name) {
            None | Some(Value::Null) => match unset(field) {
                Some(written) => {
                    entries.insert(name.to_string(), written);
                }
                None => {
                    entries.shift_remove(&**name);
                }
            },
            Some(found) if is_omitted(found, field) => {
                entries.shift_remove(&**name);
            }
            Some(_) => {}
        }
    }
}

/// What is written for a field that is not set.
fn unset(field: &Field) -> Option<Value> {
    if field.zero == Zero::Null {
        return Some(Value::Null);
    }
    let mut default = field.default.clone().filter(is_zero)?;
    value(&mut default, &field.ty);
    Some(default)
}

/// Zero values in the schema stand for plain structures and scalars; others are real defaults, applied elsewhere.
fn is_zero(default: &Value) -> bool {
    match default {
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(on) => !on,
        _ => false,
    }
}

fn is_omitted(found: &Value, field: &Field) -> bool {
    match (found, &field.ty.get().shape) {
        (Value::Array(items), _) => items.is_empty() && field.zero != Zero::Null && !field.required,
        (Value::Object(map), Shape::Map(_)) => map.is_empty(),
        (found, _) => field.zero == Zero::Omit && is_zero(found),
    }
}

fn canonical_quantity(at: &mut Value) {
    let text = match &*at {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    if let Some(quantity) = Quantity::parse(&text) {
        *at = quantity.to_string().into();
    }
}

fn canonical_time(at: &mut Value, format: impl Fn(chrono::DateTime<chrono::Utc>) -> String) {
    if let Some(time) = at.as_str().and_then(timestamp::parse) {
        *at = format(time).into();
    }
}

/// Custom resources: fields that the schema does not know vanish; everything else stays as it was written, except
/// that a null where the schema has a default (or allows none) is dropped so that the default applies.
fn prune(at: &mut Value, ty: &TypeRef) {
    match (&ty.get().shape, at) {
        (Shape::Struct(fields), Value::Object(entries)) => {
            let own = |name: &str| fields.embedded && matches!(name, "apiVersion" | "kind" | "metadata");
            entries.retain(|name, found| match fields.by_name.get(name.as_str()) {
                Some(field) => !(found.is_null() && field.default.is_some()),
                None => fields.preserve_unknown || own(name),
            });
            for (name, found) in entries.iter_mut() {
                if let Some(field) = fields.by_name.get(name.as_str()) {
                    prune(found, &field.ty);
                }
            }
        }
        (Shape::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| prune(item, &list.items)),
        (Shape::Map(map), Value::Object(entries)) => entries.values_mut().for_each(|entry| prune(entry, &map.values)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::Schemas;
    use crate::model::Gvk;

    fn canonical(group: &str, kind: &str, mut object: Value) -> Value {
        let schema = Schemas::builtin().kind(&Gvk::new(group, "v1", kind)).expect("built in");
        canonicalize(&schema, &mut object);
        let once = object.clone();
        canonicalize(&schema, &mut object);
        assert_eq!(object, once, "not idempotent");
        object
    }

    #[test]
    fn empty_values_vanish_and_plain_structures_appear() {
        let object = canonical(
            "apps",
            "Deployment",
            json!({
                "metadata": {"name": "d", "labels": {}, "annotations": null, "bogus": 1},
                "spec": {
                    "replicas": 0,
                    "paused": false,
                    "selector": {"matchLabels": {"a": "b"}},
                    "template": {"spec": {"containers": [{"name": "c", "stdin": false, "command": []}]}}
                }
            }),
        );
        assert_eq!(
            object,
            json!({
                "metadata": {"name": "d"},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"a": "b"}},
                    "strategy": {},
                    "template": {"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {}}]}}
                },
                "status": {}
            })
        );
    }

    #[test]
    fn scalars_take_their_canonical_text() {
        let resources = json!({"limits": {"cpu": "1000m", "memory": 1024}});
        let object = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        let pod = canonical("", "Pod", object);
        assert_eq!(pod["spec"]["containers"][0]["resources"], json!({"limits": {"cpu": "1", "memory": "1024"}}));
        let times = canonical("", "Event", json!({"firstTimestamp": "2026-01-02T03:04:05+01:00"}));
        assert_eq!(times["firstTimestamp"], "2026-01-02T02:04:05Z");
        assert_eq!(times["lastTimestamp"], Value::Null);
    }

    #[test]
    fn selectors_that_are_structures_stay_when_empty() {
        let policy =
            canonical("networking.k8s.io", "NetworkPolicy", json!({"spec": {"podSelector": {}, "egress": []}}));
        assert_eq!(policy["spec"], json!({"podSelector": {}}));
    }
}
