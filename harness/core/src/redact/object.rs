//! What is a secret by its place in an object.

use super::{REDACTED, shape};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Items of a list carry no kind of their own; a Secret is known by having data and a type.
fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" || (object["kind"].is_null() && object["type"].is_string() && object["data"].is_object())
}

/// The values of a Secret; nothing of any other object.
pub fn secret_values(object: &Value) -> Vec<Vec<u8>> {
    if !is_secret(object) {
        return vec![];
    }
    let texts = |field: &str| {
        let entries = object[field].as_object().into_iter().flatten();
        entries.filter_map(|(_, value)| value.as_str()).map(str::to_owned).collect::<Vec<String>>()
    };
    let encoded = texts("data").into_iter().filter_map(|text| STANDARD.decode(text).ok());
    encoded.chain(texts("stringData").into_iter().map(String::into_bytes)).collect()
}

/// The object without what must not be told.
pub fn redacted(mut object: Value, text: &dyn Fn(&str) -> String) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    if is_secret(&object) {
        for field in ["data", "stringData"] {
            if let Some(data) = object.get_mut(field).and_then(Value::as_object_mut) {
                data.values_mut().for_each(|value| *value = REDACTED.into());
            }
        }
    }
    within(&mut object, text);
    object
}

fn within(value: &mut Value, text: &dyn Fn(&str) -> String) {
    match value {
        Value::String(string) => *string = text(string),
        Value::Array(list) => arguments(list, text),
        Value::Object(fields) => entries(fields, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A list may be a command line, in which a flag says what comes next.
fn arguments(list: &mut [Value], text: &dyn Fn(&str) -> String) {
    let speaks_redis = list.iter().any(|value| value.as_str().is_some_and(|word| word.ends_with("redis-cli")));
    let mut is_next = false;
    for value in list {
        let announces =
            value.as_str().is_some_and(|word| shape::announces_secret(word) || (speaks_redis && word == "-a"));
        match value {
            Value::String(string) if is_next && !shape::is_harmless(string) => *string = REDACTED.to_owned(),
            value => within(value, text),
        }
        is_next = announces;
    }
}

fn entries(fields: &mut Map<String, Value>, text: &dyn Fn(&str) -> String) {
    let is_variable = fields.get("name").and_then(Value::as_str).is_some_and(shape::is_secret_variable);
    for (name, value) in fields {
        match value {
            Value::String(string) if shape::is_secret_name(name) || (is_variable && name == "value") => {
                if !shape::is_harmless(string) {
                    *string = REDACTED.to_owned();
                }
            }
            value => within(value, text),
        }
    }
}

/// Changes every text in a value, wherever it stands.
pub fn each_string(value: &mut Value, text: &dyn Fn(&str) -> String) {
    match value {
        Value::String(string) => *string = text(string),
        Value::Array(list) => list.iter_mut().for_each(|value| each_string(value, text)),
        Value::Object(fields) => fields.values_mut().for_each(|value| each_string(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
