//! One problem of an object that is refused with 422, worded as in k8s.io/apimachinery/pkg/util/validation/field.

use serde_json::{Value, json};

fn cause(reason: &str, field: &str, message: String) -> Value {
    json!({"reason": reason, "message": message, "field": field})
}

/// `text`, or `text: detail` where there is a detail.
fn with_detail(text: String, detail: &str) -> String {
    if detail.is_empty() { text } else { format!("{text}: {detail}") }
}

pub fn required(field: &str, detail: &str) -> Value {
    cause("FieldValueRequired", field, with_detail("Required value".into(), detail))
}

/// `found` is shown as JSON, strings in quotes.
pub fn invalid(field: &str, found: impl Into<Value>, detail: &str) -> Value {
    let mut found = found.into();
    sort_maps(&mut found);
    cause("FieldValueInvalid", field, with_detail(format!("Invalid value: {found}"), detail))
}

/// Kubernetes shows maps of texts, such as labels, in alphabetical order.
fn sort_maps(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.values().all(Value::is_string) {
                map.sort_keys();
            }
            map.values_mut().for_each(sort_maps);
        }
        Value::Array(items) => items.iter_mut().for_each(sort_maps),
        _ => {}
    }
}

pub fn forbidden(field: &str, detail: &str) -> Value {
    cause("FieldValueForbidden", field, with_detail("Forbidden".into(), detail))
}

pub fn duplicate(field: &str, found: impl Into<Value>) -> Value {
    cause("FieldValueDuplicate", field, format!("Duplicate value: {}", found.into()))
}

pub fn not_found(field: &str, found: impl Into<Value>) -> Value {
    cause("FieldValueNotFound", field, format!("Not found: {}", found.into()))
}

/// The supported values are listed in the order given.
pub fn not_supported(field: &str, found: impl Into<Value>, supported: &[&str]) -> Value {
    let supported: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
    let message = format!("Unsupported value: {}: supported values: {}", found.into(), supported.join(", "));
    cause("FieldValueNotSupported", field, message)
}

pub fn too_long(field: &str, max: usize) -> Value {
    cause("FieldValueTooLong", field, format!("Too long: may not be more than {max} bytes"))
}

pub fn too_many(field: &str, found: usize, max: usize) -> Value {
    let items = if max == 1 { "item" } else { "items" };
    cause("FieldValueTooMany", field, format!("Too many: {found}: must have at most {max} {items}"))
}

pub fn type_invalid(field: &str, found: impl Into<Value>, detail: &str) -> Value {
    cause("FieldValueTypeInvalid", field, with_detail(format!("Invalid value: {}", found.into()), detail))
}
