//! Takes fields out of an object.

use serde_json::{Map, Value};

use super::path::Step;
use super::set::FieldSet;
use super::spot::{Spot, View, element, step_to};

/// `value` without the members of `fields`. What has nothing left becomes null.
pub fn remove(value: &Value, fields: &FieldSet, spot: Spot<'_>) -> Value {
    match (spot.view(), value) {
        (View::Map, Value::Object(map)) => {
            let left = map.iter().filter_map(|(key, child)| {
                let kept = keep(child, fields.below(&Step::field(key)), spot.field(key).0)?;
                Some((key.clone(), kept))
            });
            let left: Map<String, Value> = left.collect();
            if left.is_empty() && !map.is_empty() { Value::Null } else { Value::Object(left) }
        }
        (View::List(list), Value::Array(items)) => {
            let left = items.iter().filter_map(|item| {
                let below = step_to(list, item).and_then(|step| fields.below(&step));
                keep(item, below, element(list))
            });
            let left: Vec<Value> = left.collect();
            if left.is_empty() && !items.is_empty() { Value::Null } else { Value::Array(left) }
        }
        _ => value.clone(),
    }
}

fn keep(child: &Value, fields: Option<&FieldSet>, spot: Spot<'_>) -> Option<Value> {
    match fields {
        None => Some(child.clone()),
        Some(fields) if fields.is_member() => None,
        Some(fields) => Some(remove(child, fields, spot)),
    }
}
