//! Compiles the structural schema of a CustomResourceDefinition.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::builtin::{Schemas, list_kind};
use crate::constraints::Constraints;
use crate::model::{Field, Fields, Gvk, KindSchema, List, Map, Shape, Text, Type, TypeRef};

/// The schema of a custom kind, from `spec.versions[].schema.openAPIV3Schema`. The error says where the schema is
/// wrong.
pub fn compile(gvk: Gvk, schema: &Value) -> Result<KindSchema, String> {
    let mut root = node(schema, "openAPIV3Schema")?;
    if let Shape::Struct(fields) = &mut root.shape {
        add_identity(&mut fields.by_name);
    } else {
        let mut fields = Fields { preserve_unknown: matches!(root.shape, Shape::Any), ..Fields::default() };
        add_identity(&mut fields.by_name);
        root.shape = Shape::Struct(fields);
    }
    Ok(KindSchema { gvk, root: TypeRef::Inline(Arc::new(root)), custom: true })
}

/// Every object has a kind, a version and metadata, whatever its schema says about them.
fn add_identity(fields: &mut BTreeMap<Box<str>, Field>) {
    let text = || TypeRef::Inline(Arc::new(Type::of(Shape::Text(Text::Plain))));
    fields.insert("apiVersion".into(), Field::of(text()));
    fields.insert("kind".into(), Field::of(text()));
    fields.insert("metadata".into(), Field::of(Schemas::builtin().object_meta()));
}

fn node(schema: &Value, path: &str) -> Result<Type, String> {
    let constraints = Constraints::compile(schema).map_err(|error| format!("{path}: {error}"))?;
    Ok(Type { name: "".into(), shape: shape(schema, path)?, constraints })
}

fn reference(schema: &Value, path: &str) -> Result<TypeRef, String> {
    node(schema, path).map(|ty| TypeRef::Inline(Arc::new(ty)))
}

fn shape(schema: &Value, path: &str) -> Result<Shape, String> {
    let flag = |key: &str| schema[key] == true;
    if flag("x-kubernetes-int-or-string") {
        return Ok(Shape::IntOrString);
    }
    let preserve = flag("x-kubernetes-preserve-unknown-fields");
    match schema["type"].as_str() {
        Some("boolean") => Ok(Shape::Boolean),
        Some("integer") => Ok(Shape::Integer { bits: if schema["format"] == "int32" { 32 } else { 64 } }),
        Some("number") => Ok(Shape::Number),
        Some("string") => Ok(Shape::Text(Text::Plain)),
        Some("array") => {
            let items = reference(&schema["items"], &format!("{path}.items"))?;
            Ok(Shape::List(List { items, kind: list_kind(schema) }))
        }
        Some("object") => object(schema, path, preserve),
        None if preserve => Ok(Shape::Any),
        Some(other) => Err(format!("{path}.type: unsupported type {other:?}")),
        None => Err(format!("{path}.type: Required value: must not be empty for specified object fields")),
    }
}

fn object(schema: &Value, path: &str, preserve: bool) -> Result<Shape, String> {
    let atomic = schema["x-kubernetes-map-type"] == "atomic";
    match &schema["additionalProperties"] {
        Value::Object(_) => {
            let values = reference(&schema["additionalProperties"], &format!("{path}.additionalProperties"))?;
            return Ok(Shape::Map(Map { values, atomic }));
        }
        Value::Bool(true) => {
            let values = TypeRef::Inline(Arc::new(Type::of(Shape::Any)));
            return Ok(Shape::Map(Map { values, atomic }));
        }
        _ => {}
    }
    let mut by_name = BTreeMap::new();
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let mut field = Field::of(reference(property, &format!("{path}.properties[{name}]"))?);
        field.required = required.iter().any(|r| r == name);
        field.default = property.get("default").cloned();
        by_name.insert(name.as_str().into(), field);
    }
    let embedded = schema["x-kubernetes-embedded-resource"] == true;
    Ok(Shape::Struct(Fields { by_name, preserve_unknown: preserve, atomic, embedded }))
}

/// Fills in the defaults that a custom resource's schema gives.
pub fn default_custom(schema: &KindSchema, object: &mut Value) {
    fill(object, &schema.root);
}

fn fill(at: &mut Value, ty: &TypeRef) {
    match (&ty.get().shape, at) {
        (Shape::Struct(fields), Value::Object(entries)) => {
            for (name, field) in &fields.by_name {
                if let Some(default) = field.default.as_ref().filter(|_| !entries.contains_key(&**name)) {
                    entries.insert(name.to_string(), default.clone());
                }
                if let Some(found) = entries.get_mut(&**name).filter(|_| &**name != "metadata") {
                    fill(found, &field.ty);
                }
            }
        }
        (Shape::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| fill(item, &list.items)),
        (Shape::Map(map), Value::Object(entries)) => entries.values_mut().for_each(|entry| fill(entry, &map.values)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::canonicalize;
    use crate::check::check;
    use crate::constraints::validate;
    use serde_json::json;

    fn widget() -> KindSchema {
        let schema = json!({
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["size"],
                    "properties": {
                        "size": {"type": "integer", "minimum": 1},
                        "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                        "port": {"x-kubernetes-int-or-string": true},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                        "name": {"type": "string", "pattern": "^[a-z]+$", "nullable": true}
                    }
                }
            }
        });
        compile(Gvk::new("example.com", "v1", "Widget"), &schema).expect("compiles")
    }

    #[test]
    fn custom_resources_are_defaulted_and_pruned() {
        let mut object = json!({"metadata": {"name": "w"}, "spec": {"size": 1, "free": {"x": 1}, "bogus": 1}});
        assert_eq!(check(&object, &widget().root).unknown, ["spec.bogus"]);
        canonicalize(&widget(), &mut object);
        default_custom(&widget(), &mut object);
        assert_eq!(object, json!({"metadata": {"name": "w"}, "spec": {"size": 1, "free": {"x": 1}, "mode": "a"}}));
    }

    #[test]
    fn violations_are_worded_as_in_kubernetes() {
        let object = json!({"spec": {"size": 0, "mode": "c", "port": "http", "tags": ["x", "x"], "name": null}});
        let causes = validate(&widget(), &object);
        let messages: Vec<_> = causes.iter().map(|c| format!("{}: {}", c["field"], c["message"])).collect();
        assert_eq!(
            messages,
            [
                r#""spec.mode": "Unsupported value: \"c\": supported values: \"a\", \"b\"""#,
                r#""spec.size": "Invalid value: 0: spec.size in body should be greater than or equal to 1""#,
                r#""spec.tags[1]": "Duplicate value: \"x\"""#,
            ]
        );
        let causes = validate(&widget(), &json!({"spec": {"size": "big"}}));
        assert_eq!(
            causes[0]["message"],
            "Invalid value: \"string\": spec.size in body must be of type integer: \"string\""
        );
        assert_eq!(validate(&widget(), &json!({}))[0]["message"], "Required value");
    }

    #[test]
    fn a_schema_without_types_is_refused_with_its_path() {
        let schema = json!({"type": "object", "properties": {"spec": {"properties": {}}}});
        let error = compile(Gvk::new("example.com", "v1", "Widget"), &schema).expect_err("no type");
        assert!(error.starts_with("openAPIV3Schema.properties[spec].type"), "{error}");
    }
}
