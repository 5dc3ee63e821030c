//! Namespaces, nodes, secrets, limits, roles and custom resource definitions.

use embedded_apimachinery::quantity::Quantity;
use serde_json::{Value, json};

use super::{Object, each, set, set_text, text, with, within};
use crate::base64;

/// `stringData` is only a way to write `data`.
pub fn secret(root: &mut Object) {
    set_text(root, "type", "Opaque");
    if let Some(Value::Object(plain)) = root.shift_remove("stringData") {
        within(root, "data", |data| {
            for (key, value) in plain {
                data.insert(key, base64::encode(value.as_str().unwrap_or_default().as_bytes()).into());
            }
        });
    }
}

pub fn namespace(root: &mut Object) {
    within(root, "metadata", |meta| {
        let name = text(meta, "name").to_owned();
        if !name.is_empty() {
            within(meta, "labels", |labels| {
                labels.insert("kubernetes.io/metadata.name".into(), name.into());
            });
        }
    });
    within(root, "status", |status| set_text(status, "phase", "Active"));
}

/// All of a node is for pods unless it says otherwise.
pub fn node(root: &mut Object) {
    with(root, "status", |status| {
        if let Some(capacity) = status.get("capacity").cloned() {
            set(status, "allocatable", capacity);
        }
    });
}

/// For containers, `default` is taken from `max`, and `defaultRequest` from `default`, else from `min`.
pub fn limit_range(root: &mut Object) {
    with(root, "spec", |spec| {
        each(spec, "limits", |item| {
            if text(item, "type") != "Container" {
                return;
            }
            inherit(item, "default", "max");
            inherit(item, "defaultRequest", "default");
            inherit(item, "defaultRequest", "min");
        });
    });
}

fn inherit(item: &mut Object, to: &str, from: &str) {
    let Some(Value::Object(source)) = item.get(from).cloned() else { return };
    within(item, to, |target| {
        for (name, quantity) in source {
            if quantity.as_str().is_some_and(|text| Quantity::parse(text).is_some()) {
                set(target, &name, quantity);
            }
        }
    });
}

pub fn role_binding(root: &mut Object) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    within(root, "roleRef", |role| set_text(role, "apiGroup", GROUP));
    each(root, "subjects", |subject| {
        if matches!(text(subject, "kind"), "User" | "Group") {
            set_text(subject, "apiGroup", GROUP);
        }
    });
}

pub fn priority_class(root: &mut Object) {
    set(root, "preemptionPolicy", "PreemptLowerPriority");
}

pub fn custom_resource_definition(root: &mut Object) {
    with(root, "spec", |spec| {
        set_text(spec, "scope", "Namespaced");
        within(spec, "names", |names| {
            let kind = text(names, "kind").to_owned();
            if !kind.is_empty() {
                set_text(names, "singular", &kind.to_lowercase());
                set_text(names, "listKind", &format!("{kind}List"));
            }
        });
        set(spec, "conversion", json!({"strategy": "None"}));
    });
}
