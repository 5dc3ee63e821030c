//! Sets of fields, as trees.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Step;
use crate::model::{Shape, TypeRef};

/// A set of paths. The root itself is never a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Whether the path that leads here is in the set.
    member: bool,
    children: BTreeMap<Step, FieldSet>,
}

impl FieldSet {
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    pub fn insert(&mut self, path: &[Step]) {
        match path {
            [] => {}
            [step] => self.children.entry(step.clone()).or_default().member = true,
            [step, rest @ ..] => self.children.entry(step.clone()).or_default().insert(rest),
        }
    }

    /// What the set has below a step.
    pub fn below(&self, step: &Step) -> Option<&Self> {
        self.children.get(step)
    }

    pub fn is_member(&self) -> bool {
        self.member
    }

    pub fn has_children(&self) -> bool {
        self.children.values().any(|child| !child.is_empty())
    }

    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.member |= other.member;
        for (step, theirs) in &other.children {
            let ours = union.children.entry(step.clone()).or_default();
            *ours = ours.union(theirs);
        }
        union
    }

    /// The paths of this set that the other lacks.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(
            |step| other.children.get(step),
            self.member && !other.member,
            |ours, theirs| match theirs {
                Some(theirs) => ours.difference(theirs),
                None => ours.clone(),
            },
        )
    }

    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(
            |step| other.children.get(step),
            self.member && other.member,
            |ours, theirs| match theirs {
                Some(theirs) => ours.intersection(theirs),
                None => Self::default(),
            },
        )
    }

    fn combine<'a>(
        &'a self,
        theirs: impl Fn(&Step) -> Option<&'a Self>,
        member: bool,
        each: impl Fn(&Self, Option<&Self>) -> Self,
    ) -> Self {
        let children = self.children.iter().map(|(step, ours)| (step.clone(), each(ours, theirs(step))));
        Self { member, children: children.filter(|(_, child)| !child.is_empty()).collect() }
    }

    /// Drops a path and everything below it.
    pub fn remove_below(&mut self, path: &[Step]) {
        match path {
            [] => {}
            [step] => {
                self.children.remove(step);
            }
            [step, rest @ ..] => {
                if let Some(child) = self.children.get_mut(step) {
                    child.remove_below(rest);
                }
            }
        }
        self.children.retain(|_, child| !child.is_empty());
    }

    /// Drops a path, keeping what is below it.
    pub fn remove(&mut self, path: &[Step]) {
        match path {
            [] => self.member = false,
            [step, rest @ ..] => {
                if let Some(child) = self.children.get_mut(step) {
                    child.remove(rest);
                }
            }
        }
        self.children.retain(|_, child| !child.is_empty());
    }

    /// With the structures that lie on the way to a member made members as well.
    pub fn with_named_fields(&self, ty: &TypeRef) -> Self {
        let resolved = ty.get();
        let children = self.children.iter().map(|(step, child)| {
            let (named, inner) = match (&resolved.shape, step) {
                (Shape::Struct(fields), Step::Field(name)) => {
                    let field = fields.by_name.get(name.as_str());
                    (field.is_some(), field.map(|field| &field.ty))
                }
                (Shape::Map(map), _) => (false, Some(&map.values)),
                (Shape::List(list), _) => (false, Some(&list.items)),
                _ => (false, None),
            };
            let mut child = inner.map_or_else(|| child.clone(), |inner| child.with_named_fields(inner));
            child.member |= named;
            (step.clone(), child)
        });
        Self { member: self.member, children: children.collect() }
    }

    /// All paths as messages show them: those of a level before those below it.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        let members = self.children.iter().filter(|(_, child)| child.member);
        paths.extend(members.map(|(step, _)| format!("{prefix}{step}")));
        for (step, child) in &self.children {
            child.collect(&format!("{prefix}{step}"), paths);
        }
    }

    /// The `fieldsV1` form. A path that has others below it is marked with `.`.
    pub fn encode(&self) -> Value {
        let mut map = Map::new();
        if self.member && self.has_children() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        for (step, child) in &self.children {
            map.insert(step.encode(), child.encode());
        }
        Value::Object(map)
    }

    /// Reads the `fieldsV1` form; `None` for what is not one.
    pub fn decode(value: &Value) -> Option<Self> {
        Self::decode_node(value, true)
    }

    fn decode_node(value: &Value, root: bool) -> Option<Self> {
        let map = value.as_object()?;
        let mut set = Self { member: !root && (map.is_empty() || map.contains_key(".")), ..Self::default() };
        for (key, child) in map.iter().filter(|(key, _)| *key != ".") {
            set.children.insert(Step::decode(key)?, Self::decode_node(child, false)?);
        }
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn sets() -> impl Strategy<Value = FieldSet> {
        let step = prop_oneof![
            "[a-c]".prop_map(Step::Field),
            (0..3_i64).prop_map(|n| Step::Key(vec![("name".into(), super::super::path::Scalar(json!(n)))])),
        ];
        prop::collection::vec(prop::collection::vec(step, 1..4), 0..8).prop_map(|paths| {
            let mut set = FieldSet::default();
            paths.iter().for_each(|path| set.insert(path));
            set
        })
    }

    proptest! {
        #[test]
        fn encoding_keeps_every_path(set in sets()) {
            prop_assert_eq!(FieldSet::decode(&set.encode()), Some(set));
        }

        #[test]
        fn sets_obey_the_laws_of_sets(a in sets(), b in sets()) {
            prop_assert_eq!(a.union(&b).paths(), b.union(&a).paths());
            prop_assert_eq!(a.intersection(&b).paths(), b.intersection(&a).paths());
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)).paths(), a.paths());
            prop_assert!(a.difference(&b).intersection(&b).is_empty());
        }
    }

    #[test]
    fn a_path_with_others_below_it_is_marked() {
        let encoded = json!({"f:data": {".": {}, "f:k": {}}});
        let set = FieldSet::decode(&encoded).expect("a set");
        assert_eq!(set.paths(), [".data", ".data.k"]);
        assert_eq!(set.encode(), encoded);
    }
}
