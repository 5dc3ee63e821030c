//! The fields that an object has.

use serde_json::Value;

use super::path::Step;
use super::set::FieldSet;
use super::spot::{Spot, View, element, step_to};

/// The set of fields of `value`: leaves, keys of maps, elements of lists, and what is empty or null.
pub fn field_set(value: &Value, spot: Spot<'_>) -> FieldSet {
    let mut set = FieldSet::default();
    walk(value, spot, &mut Vec::new(), &mut set);
    set
}

fn walk(value: &Value, spot: Spot<'_>, path: &mut Vec<Step>, set: &mut FieldSet) {
    match (spot.view(), value) {
        (View::Leaf, _) => set.insert(path),
        (View::Map, Value::Object(map)) => {
            for (key, child) in map {
                let (inner, named) = spot.field(key);
                path.push(Step::field(key));
                walk(child, inner, path, set);
                let empty = child.is_null() || child.as_object().is_some_and(serde_json::Map::is_empty);
                if empty || !named {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (View::List(list), Value::Array(items)) => {
            for item in items {
                let Some(step) = step_to(list, item) else { continue };
                path.push(step);
                walk(item, element(list), path, set);
                set.insert(path);
                path.pop();
            }
        }
        _ => {}
    }
}
