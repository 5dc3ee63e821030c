//! The schemas of the built-in kinds, read from Kubernetes' published OpenAPI once, on first use.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::{Map as JsonMap, Value};

use crate::model::{Field, Fields, Gvk, KindSchema, List, ListKind, Map, Shape, Strategy, Text, Type, TypeRef, Zero};

const DOCUMENT: &[u8] = include_bytes!("../openapi/kubernetes-1.36-schemas.json");
const ZERO_VALUES: &str = include_str!("../openapi/zero-values.txt");
const REFERENCE: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// All built-in types and kinds.
#[derive(Debug)]
pub struct Schemas {
    types: Vec<Type>,
    by_name: HashMap<String, u32>,
    kinds: HashMap<Gvk, u32>,
}

impl Schemas {
    pub fn builtin() -> &'static Self {
        static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
        SCHEMAS.get_or_init(|| compile(&Self::definitions()))
    }

    /// The published OpenAPI definitions by name, read anew at each call: nothing but discovery wants them.
    pub fn definitions() -> JsonMap<String, Value> {
        let mut document: Value = serde_json::from_slice(DOCUMENT).unwrap_or_default();
        match document["schemas"].take() {
            Value::Object(definitions) => definitions,
            _ => JsonMap::new(),
        }
    }

    /// The schema of a built-in kind.
    pub fn kind(&self, gvk: &Gvk) -> Option<KindSchema> {
        let index = self.kinds.get(gvk)?;
        Some(KindSchema { gvk: gvk.clone(), root: TypeRef::Builtin(*index), custom: false })
    }

    /// All built-in kinds, lists and options among them.
    pub fn kinds(&self) -> impl Iterator<Item = &Gvk> {
        self.kinds.keys()
    }

    /// A type by its full OpenAPI name.
    pub fn named(&self, name: &str) -> Option<TypeRef> {
        self.by_name.get(name).map(|index| TypeRef::Builtin(*index))
    }

    /// `metadata` of every object.
    pub fn object_meta(&self) -> TypeRef {
        self.named(&format!("{META}ObjectMeta")).unwrap_or_else(any)
    }

    pub(crate) fn type_at(&self, index: u32) -> &Type {
        &self.types[index as usize]
    }
}

fn any() -> TypeRef {
    TypeRef::Inline(Arc::new(Type::of(Shape::Any)))
}

fn compile(document: &JsonMap<String, Value>) -> Schemas {
    let by_name: HashMap<String, u32> = document.keys().cloned().zip(0..).collect();
    let zeros = zero_values();
    let compiler = Compiler { by_name: &by_name, zeros: &zeros };
    let mut kinds = HashMap::new();
    let mut types = Vec::with_capacity(document.len());
    for ((name, schema), index) in document.iter().zip(0..) {
        for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |key: &str| gvk[key].as_str().unwrap_or_default();
            kinds.insert(Gvk::new(text("group"), text("version"), text("kind")), index);
        }
        types.push(compiler.named(name, schema));
    }
    Schemas { types, by_name, kinds }
}

/// Per full type name, the fields that `zero-values.txt` lists.
fn zero_values() -> HashMap<String, HashMap<&'static str, Zero>> {
    let mut zeros = HashMap::new();
    for line in ZERO_VALUES.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let full = match name.strip_prefix("meta.v1.") {
            Some(meta) => format!("{META}{meta}"),
            None => format!("io.k8s.api.{name}"),
        };
        let fields = words.map(|word| match word.strip_suffix('?') {
            Some(field) => (field, Zero::Null),
            None => (word, Zero::Omit),
        });
        zeros.insert(full, fields.collect());
    }
    zeros
}

struct Compiler<'a> {
    by_name: &'a HashMap<String, u32>,
    zeros: &'a HashMap<String, HashMap<&'static str, Zero>>,
}

impl Compiler<'_> {
    fn named(&self, full: &str, schema: &Value) -> Type {
        let mut parts = full.rsplit('.');
        let (last, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let shape = match last {
            "Quantity" => Shape::Quantity,
            "IntOrString" => Shape::IntOrString,
            "Time" => Shape::Text(Text::Time),
            "MicroTime" => Shape::Text(Text::MicroTime),
            _ => self.shape(schema, self.zeros.get(full)),
        };
        Type { name: format!("{package}.{last}").into(), shape, constraints: None }
    }

    fn shape(&self, schema: &Value, zeros: Option<&HashMap<&'static str, Zero>>) -> Shape {
        let is = |key: &str, value: &str| schema[key] == value;
        match schema["type"].as_str() {
            Some("boolean") => Shape::Boolean,
            Some("integer") => Shape::Integer { bits: if is("format", "int32") { 32 } else { 64 } },
            Some("number") => Shape::Number,
            Some("string") if is("format", "byte") => Shape::Text(Text::Bytes),
            Some("string") => Shape::Text(Text::Plain),
            Some("array") => Shape::List(List { items: self.reference(&schema["items"]), kind: list_kind(schema) }),
            Some("object") if schema.get("additionalProperties").is_some() => Shape::Map(Map {
                values: self.reference(&schema["additionalProperties"]),
                atomic: is("x-kubernetes-map-type", "atomic"),
            }),
            Some("object") if schema.get("properties").is_some() => Shape::Struct(Fields {
                by_name: self.fields(schema, zeros),
                atomic: is("x-kubernetes-map-type", "atomic"),
                ..Fields::default()
            }),
            _ => Shape::Any,
        }
    }

    fn fields(&self, schema: &Value, zeros: Option<&HashMap<&'static str, Zero>>) -> BTreeMap<Box<str>, Field> {
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(name, property)| {
            let field = Field {
                ty: self.reference(property),
                required: required.iter().any(|r| r == name),
                default: property.get("default").cloned(),
                zero: zeros.and_then(|z| z.get(name.as_str())).copied().unwrap_or(Zero::Keep),
                atomic: property.get("x-kubernetes-map-type").map(|kind| kind == "atomic"),
                strategy: strategy(property),
            };
            (name.as_str().into(), field)
        });
        fields.collect()
    }

    /// A schema in place: a reference, a reference wrapped in `allOf` to carry more, or a type of its own.
    fn reference(&self, schema: &Value) -> TypeRef {
        let target = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        match target.and_then(|t| self.by_name.get(t.strip_prefix(REFERENCE)?)) {
            Some(index) => TypeRef::Builtin(*index),
            None => TypeRef::Inline(Arc::new(Type::of(self.shape(schema, None)))),
        }
    }
}

/// Lists are atomic unless the schema says otherwise.
pub(crate) fn list_kind(schema: &Value) -> ListKind {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            ListKind::Map(keys.filter_map(Value::as_str).map(Into::into).collect())
        }
        _ => ListKind::Atomic,
    }
}

fn strategy(property: &Value) -> Strategy {
    let strategies = property["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
    let has = |name: &str| strategies.split(',').any(|s| s == name);
    Strategy {
        merge: has("merge"),
        retain_keys: has("retainKeys"),
        replace: has("replace"),
        merge_key: property["x-kubernetes-patch-merge-key"].as_str().map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(group: &str, kind: &str) -> KindSchema {
        Schemas::builtin().kind(&Gvk::new(group, "v1", kind)).expect("built in")
    }

    #[test]
    fn references_resolve_through_nested_types() {
        let deployment = kind("apps", "Deployment");
        let mut at = &deployment.root;
        for name in ["spec", "template", "spec", "containers"] {
            at = &at.get().field(name).unwrap_or_else(|| panic!("no field {name}")).ty;
        }
        let Shape::List(list) = &at.get().shape else { panic!("containers is no list") };
        assert_eq!(list.kind, ListKind::Map(vec!["name".into()]));
        assert_eq!(&*list.items.get().name, "v1.Container");
        let ports = list.items.get().field("ports").expect("ports");
        assert_eq!(ports.strategy.merge_key.as_deref(), Some("containerPort"));
    }

    #[test]
    fn scalars_that_are_pointers_in_kubernetes_are_kept_when_zero() {
        let deployment = kind("apps", "Deployment");
        let spec = deployment.root.get().field("spec").expect("spec").ty.get();
        assert_eq!(spec.field("replicas").map(|f| f.zero), Some(Zero::Keep));
        assert_eq!(spec.field("paused").map(|f| f.zero), Some(Zero::Omit));
    }

    #[test]
    fn every_line_of_the_zero_values_names_fields_of_the_schemas() {
        let schemas = Schemas::builtin();
        for (name, fields) in zero_values() {
            let ty = schemas.named(&name).unwrap_or_else(|| panic!("no type {name}"));
            for field in fields.keys() {
                assert!(ty.get().field(field).is_some(), "{name} has no field {field}");
            }
        }
    }
}
