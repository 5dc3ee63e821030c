//! The compact form that schemas are compiled to: one structure for built-in kinds and for custom resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::builtin::Schemas;
use crate::constraints::Constraints;

/// Group, version and kind of an API object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gvk {
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl Gvk {
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// What an object says it is. An `apiVersion` without a slash is a version of the core group.
    pub fn of(object: &Value) -> Self {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        Self::new(group, version, text("kind"))
    }

    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// The schema of one kind in one version. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KindSchema {
    pub gvk: Gvk,
    pub root: TypeRef,
    /// Defined by a CustomResourceDefinition.
    pub custom: bool,
}

/// A reference to a type: into the built-in table, which may be recursive, or to a type of its own.
#[derive(Clone, Debug)]
pub enum TypeRef {
    Builtin(u32),
    Inline(Arc<Type>),
}

impl TypeRef {
    pub fn get(&self) -> &Type {
        match self {
            Self::Builtin(index) => Schemas::builtin().type_at(*index),
            Self::Inline(inline) => inline,
        }
    }
}

#[derive(Debug)]
pub struct Type {
    /// The name messages use, such as `v1.Container`; empty for a type written in place.
    pub name: Box<str>,
    pub shape: Shape,
    /// What a custom resource's schema demands beyond the shape.
    pub constraints: Option<Box<Constraints>>,
}

impl Type {
    pub fn of(shape: Shape) -> Self {
        Self { name: "".into(), shape, constraints: None }
    }

    pub fn fields(&self) -> Option<&Fields> {
        match &self.shape {
            Shape::Struct(fields) => Some(fields),
            _ => None,
        }
    }

    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields()?.by_name.get(name)
    }
}

#[derive(Debug)]
pub enum Shape {
    /// Any JSON, kept as it is.
    Any,
    Boolean,
    Integer {
        bits: u8,
    },
    Number,
    Text(Text),
    Quantity,
    IntOrString,
    List(List),
    Map(Map),
    Struct(Fields),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Plain,
    /// Base64.
    Bytes,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
}

#[derive(Debug)]
pub struct List {
    pub items: TypeRef,
    pub kind: ListKind,
}

/// `x-kubernetes-list-type`: what server-side apply owns one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    Atomic,
    Set,
    /// Elements are told apart by the values of these keys.
    Map(Vec<Box<str>>),
}

#[derive(Debug)]
pub struct Map {
    pub values: TypeRef,
    pub atomic: bool,
}

#[derive(Debug, Default)]
pub struct Fields {
    pub by_name: BTreeMap<Box<str>, Field>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// Owned as a whole by server-side apply.
    pub atomic: bool,
    /// `x-kubernetes-embedded-resource`: has apiVersion, kind and metadata of its own.
    pub embedded: bool,
}

#[derive(Debug)]
pub struct Field {
    pub ty: TypeRef,
    pub required: bool,
    pub default: Option<Value>,
    pub zero: Zero,
    /// `x-kubernetes-map-type` of a field overrides that of its type.
    pub atomic: Option<bool>,
    pub strategy: Strategy,
}

impl Field {
    pub fn of(ty: TypeRef) -> Self {
        Self { ty, required: false, default: None, zero: Zero::Keep, atomic: None, strategy: Strategy::default() }
    }
}

/// How an empty value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    Keep,
    /// Left out while empty, zero or false.
    Omit,
    /// `null` while not set.
    Null,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strategy {
    /// Lists merge instead of being replaced: by the merge key, or as a set where there is none.
    pub merge: bool,
    pub retain_keys: bool,
    /// Maps are replaced whole.
    pub replace: bool,
    pub merge_key: Option<Box<str>>,
}
