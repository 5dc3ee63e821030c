//! Whether a configuration fits the schema well enough to be applied.

use serde_json::{Map, Value};

use super::spot::step_to;
use crate::model::{Fields, List, ListKind, Shape, TypeRef};
use crate::patch::go;

/// The problems of an applied configuration, one per line as Kubernetes lists them.
pub fn problems(config: &Value, root: &TypeRef) -> Option<String> {
    let mut walk = Walk::default();
    walk.value(config, root);
    match walk.problems.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("errors:\n  {}", many.join("\n  "))),
    }
}

#[derive(Default)]
struct Walk {
    path: String,
    problems: Vec<String>,
}

impl Walk {
    fn value(&mut self, value: &Value, ty: &TypeRef) {
        match (&ty.get().shape, value) {
            (_, Value::Null) => {}
            (Shape::Struct(fields), Value::Object(map)) => self.structure(map, fields),
            (Shape::Map(map), Value::Object(entries)) => {
                for (key, child) in entries {
                    self.below(&format!(".{key}"), |walk| walk.value(child, &map.values));
                }
            }
            (Shape::List(list), Value::Array(items)) => self.list(items, list),
            (Shape::Struct(_) | Shape::Map(_), other) => self.wrong("map", &go::display(other)),
            (Shape::List(_), other) => self.wrong("list", &go::display(other)),
            (Shape::Text(_), other) if !other.is_string() => self.wrong("string", &go::display(other)),
            (Shape::Boolean, other) if !other.is_boolean() => self.wrong("boolean", &go::display(other)),
            (Shape::Integer { .. } | Shape::Number, other) if !other.is_number() => {
                self.wrong("numeric (int or float)", go_type(other));
            }
            _ => {}
        }
    }

    fn structure(&mut self, map: &Map<String, Value>, fields: &Fields) {
        for (key, child) in map {
            let own = fields.embedded && matches!(key.as_str(), "apiVersion" | "kind" | "metadata");
            self.below(&format!(".{key}"), |walk| match fields.by_name.get(key.as_str()) {
                Some(field) => walk.value(child, &field.ty),
                None if fields.preserve_unknown || own => {}
                None => walk.problem("field not declared in schema"),
            });
        }
    }

    fn list(&mut self, items: &[Value], list: &List) {
        let mut seen = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if list.kind == ListKind::Atomic {
                self.below(&format!("[{index}]"), |walk| walk.value(item, &list.items));
                continue;
            }
            let Some(step) = step_to(list, item) else {
                let key = missing_key(&list.kind, item);
                self.problem(&format!(
                    "element {index}: associative list with keys has an element that omits key field {key:?} (and \
                     doesn't have default value)"
                ));
                continue;
            };
            if seen.contains(&step) {
                self.problem(&format!("duplicate entries for key {step}"));
            }
            self.below(&step.to_string(), |walk| walk.value(item, &list.items));
            seen.push(step);
        }
    }

    fn below(&mut self, step: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        inner(self);
        self.path.truncate(length);
    }

    fn wrong(&mut self, expected: &str, found: &str) {
        self.problem(&format!("expected {expected}, got {found}"));
    }

    fn problem(&mut self, what: &str) {
        self.problems.push(format!("{}: {what}", self.path));
    }
}

/// The first key that an element lacks.
fn missing_key<'a>(kind: &'a ListKind, item: &Value) -> &'a str {
    let ListKind::Map(keys) = kind else { return "" };
    keys.iter().find(|key| item.get(&***key).is_none_or(Value::is_null)).map_or("", |key| key)
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::Schemas;
    use crate::model::Gvk;
    use serde_json::json;

    #[test]
    fn problems_are_told_with_their_paths() {
        let schema = Schemas::builtin().kind(&Gvk::new("apps", "v1", "Deployment")).expect("built in");
        let found = |spec: Value| problems(&json!({"spec": spec}), &schema.root);
        assert_eq!(found(json!({"replicas": 1, "template": null})), None);
        for (spec, expected) in [
            (json!({"replicas": "x"}), ".spec.replicas: expected numeric (int or float), got string"),
            (json!({"paused": "x"}), ".spec.paused: expected boolean, got x"),
            (json!({"template": 1}), ".spec.template: expected map, got 1"),
            (
                json!({"a": 1, "b": 2}),
                "errors:\n  .spec.a: field not declared in schema\n  .spec.b: field not declared in schema",
            ),
        ] {
            assert_eq!(found(spec.clone()).as_deref(), Some(expected), "{spec}");
        }
    }
}
