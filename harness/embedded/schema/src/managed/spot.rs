//! How server-side apply sees a value: as a leaf, a structure, a map, or a list with elements of their own.

use serde_json::Value;

use super::path::{Scalar, Step};
use crate::model::{List, ListKind, Shape, TypeRef};

/// A type at its place in a schema. `None` stands for values the schema says nothing about.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    pub ty: Option<&'a TypeRef>,
    /// The field's own word on whether its value is owned as a whole.
    atomic: Option<bool>,
}

/// What a value is owned by.
pub enum View<'a> {
    Leaf,
    /// A structure or a map.
    Map,
    List(&'a List),
}

impl<'a> Spot<'a> {
    pub fn root(ty: &'a TypeRef) -> Self {
        Self { ty: Some(ty), atomic: None }
    }

    fn of(ty: Option<&'a TypeRef>) -> Self {
        Self { ty, atomic: None }
    }

    pub fn view(self) -> View<'a> {
        match self.ty.map(|ty| &ty.get().shape) {
            Some(Shape::Struct(fields)) if !self.atomic.unwrap_or(fields.atomic) => View::Map,
            Some(Shape::Map(map)) if !self.atomic.unwrap_or(map.atomic) => View::Map,
            Some(Shape::List(list)) if list.kind != ListKind::Atomic => View::List(list),
            _ => View::Leaf,
        }
    }

    /// Where a key of this structure or map leads, and whether the schema names it.
    pub fn field(self, name: &str) -> (Self, bool) {
        match self.ty.map(|ty| &ty.get().shape) {
            Some(Shape::Struct(fields)) => match fields.by_name.get(name) {
                Some(field) => (Self { ty: Some(&field.ty), atomic: field.atomic }, true),
                None => (Self::of(None), false),
            },
            Some(Shape::Map(map)) => (Self::of(Some(&map.values)), false),
            _ => (Self::of(None), false),
        }
    }
}

pub fn element(list: &List) -> Spot<'_> {
    Spot::of(Some(&list.items))
}

/// The step to an element of a list: its value in a set, else its keys, with the schema's defaults for absent ones.
/// `None` when the element lacks a key.
pub fn step_to(list: &List, item: &Value) -> Option<Step> {
    let ListKind::Map(keys) = &list.kind else { return Some(Step::Value(Scalar(item.clone()))) };
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        let default = || list.items.get().field(key).and_then(|field| field.default.clone());
        let value = item.get(&**key).cloned().or_else(default).filter(|value| !value.is_null())?;
        values.push((key.to_string(), Scalar(value)));
    }
    values.sort();
    Some(Step::Key(values))
}
