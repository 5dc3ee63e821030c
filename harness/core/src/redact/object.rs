//! What is a secret by its place in an object.

use super::{REDACTED, harmless, names, shape};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a text of an object is by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// An entry of a Secret.
    Entry,
    /// It stands under the name of a secret; a sure one means nothing else.
    Secret {
        is_sure: bool,
    },
    /// How to connect to something, which may hold a password.
    Connection,
    Text,
}

type Visit<'a> = dyn FnMut(Seen, &mut String) + 'a;

/// Items of a list carry no kind of their own; a Secret is known by having data and a type.
pub fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" || (object["kind"].is_null() && object["type"].is_string() && object["data"].is_object())
}

/// The copy of an object that `kubectl apply` leaves in it.
pub fn last_applied(object: &Value) -> Option<Value> {
    serde_json::from_str(object["metadata"]["annotations"][LAST_APPLIED].as_str()?).ok()
}

/// The object without what must not be told.
pub fn redacted(mut object: Value, text: &dyn Fn(&str) -> String) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    walk(&mut object, &mut |seen, string| {
        let told = match seen {
            Seen::Entry | Seen::Secret { .. } => REDACTED.to_owned(),
            Seen::Connection if shape::without(string) == *string => REDACTED.to_owned(),
            Seen::Connection | Seen::Text => text(string),
        };
        if told != *string {
            *string = told;
        }
    });
    object
}

/// Shows every text of an object with what it is by its place. What refers to a secret that stands elsewhere is none.
pub fn walk(object: &mut Value, visit: &mut Visit<'_>) {
    let (secret, kind) = (is_secret(object), object["kind"].clone());
    let is_data = |field: &str| ["data", "stringData"].contains(&field);
    let Some(fields) = object.as_object_mut() else { return within(object, visit) };
    for (field, value) in fields {
        match value {
            Value::Object(entries) if secret && is_data(field) => {
                entries.values_mut().for_each(|value| {
                    if let Value::String(text) = value {
                        visit(Seen::Entry, text)
                    }
                });
            }
            Value::Object(entries) if field == "binaryData" => binary(entries, visit),
            // Entries of a ConfigMap are often variables.
            Value::Object(entries) if field == "data" && (kind.is_null() || kind == "ConfigMap") => {
                variables(entries, visit);
            }
            value => within(value, visit),
        }
    }
}

fn within(value: &mut Value, visit: &mut Visit<'_>) {
    match value {
        Value::String(string) => visit(Seen::Text, string),
        Value::Array(list) => arguments(list, visit),
        Value::Object(fields) => entries(fields, visit),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A list may be a command line, in which a flag says what comes next.
fn arguments(list: &mut [Value], visit: &mut Visit<'_>) {
    let line: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    let command = names::Command::of(&line);
    let mut is_next = false;
    for value in list {
        let announces = value.as_str().is_some_and(|word| command.announces_secret(word));
        match value {
            Value::String(string) if harmless::is_reference(string) => {}
            Value::String(string) if is_next || command.is_secret(string) => {
                visit(Seen::Secret { is_sure: true }, string);
            }
            value => within(value, visit),
        }
        is_next = announces;
    }
}

fn entries(fields: &mut Map<String, Value>, visit: &mut Visit<'_>) {
    let variable = fields.get("name").and_then(Value::as_str).map(str::to_owned);
    for (name, value) in fields {
        match (value, &variable) {
            (Value::String(string), Some(variable)) if name == "value" => visit_named(variable, true, string, visit),
            (Value::String(string), _) => visit_named(name, false, string, visit),
            (Value::Object(annotations), _) if name == "annotations" => variables(annotations, visit),
            (value, _) => within(value, visit),
        }
    }
}

/// Values that stand under names which somebody chose.
fn variables(entries: &mut Map<String, Value>, visit: &mut Visit<'_>) {
    for (name, value) in entries {
        match value {
            Value::String(string) => visit_named(name, true, string, visit),
            value => within(value, visit),
        }
    }
}

fn visit_named(name: &str, is_variable: bool, string: &mut String, visit: &mut Visit<'_>) {
    let is_sure = names::is_sure(name);
    let is_secret = names::is_secret_name(name) || (is_variable && names::is_secret_variable(name));
    if !is_secret {
        let seen = if names::is_connection(name, string) { Seen::Connection } else { Seen::Text };
        visit(seen, string);
    } else if !harmless::is_reference(string) && (is_sure || !harmless::is_key_file(string)) {
        visit(Seen::Secret { is_sure }, string);
    }
}

/// What a ConfigMap holds in base64 is read like any text, where it is one.
fn binary(entries: &mut Map<String, Value>, visit: &mut Visit<'_>) {
    for (name, value) in entries {
        let Value::String(encoded) = value else { continue };
        let text = STANDARD.decode(&*encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match text {
            Some(text) => {
                let mut told = text.clone();
                visit_named(name, true, &mut told, visit);
                if told != text {
                    *encoded = STANDARD.encode(told);
                }
            }
            None => visit_named(name, true, encoded, visit),
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
