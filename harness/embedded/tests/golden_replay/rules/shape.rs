//! Cuts an answer down to what was recorded of it.

use serde_json::{Map, Value, json};

use super::pointer::{plain, resolve, segments, selects, visit};

/// Applies `only`, `pick` and `mask` of a step to an answer. `managedFields` are dropped unless the step keeps them.
pub fn shape(step: &Value, answer: &Value) -> Value {
    let mut shaped = answer.clone();
    if step["keep_managed_fields"] != true {
        drop_managed_fields(&mut shaped);
    }
    for (pointer, rule) in step["only"].as_object().into_iter().flatten() {
        let rule = rule.as_array().map_or(&[][..], Vec::as_slice);
        visit(&mut shaped, &segments(pointer), &mut |found| keep_only(found, rule));
    }
    if let Some(picked) = step["pick"].as_array() {
        let picked: Vec<Vec<String>> = picked.iter().filter_map(Value::as_str).map(segments).collect();
        let picked: Vec<&[String]> = picked.iter().map(Vec::as_slice).collect();
        shaped = pick(&shaped, &picked).unwrap_or_else(|| json!({}));
    }
    for pointer in step["mask"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        visit(&mut shaped, &segments(pointer), &mut |found| *found = json!("<any>"));
    }
    shaped
}

fn drop_managed_fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.shift_remove("managedFields");
            map.values_mut().for_each(drop_managed_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_managed_fields),
        _ => {}
    }
}

/// Of an object the keys that are listed; of a list the elements whose value at the first pointer is one of the rest.
fn keep_only(found: &mut Value, rule: &[Value]) {
    match found {
        Value::Object(map) => map.retain(|key, _| rule.iter().any(|kept| kept == key)),
        Value::Array(items) => {
            let Some((pointer, allowed)) = rule.split_first() else { return };
            items.retain(|item| resolve(item, &plain(pointer)).is_some_and(|value| allowed.contains(&value)));
        }
        _ => {}
    }
}

/// What the paths reach, with the structure above it; `None` when they reach nothing.
fn pick(value: &Value, paths: &[&[String]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    let below = |is_meant: &dyn Fn(&str) -> bool| -> Vec<&[String]> {
        paths.iter().filter(|path| path[0] == "*" || is_meant(&path[0])).map(|path| &path[1..]).collect()
    };
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter_map(|(key, child)| {
                let below = below(&|segment| segment == key);
                Some((key.clone(), pick(child, &below).filter(|_| !below.is_empty())?))
            });
            let kept: Map<String, Value> = kept.collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept = items.iter().enumerate().filter_map(|(index, item)| {
                let below = below(&|segment| selects(segment, index, item));
                pick(item, &below).filter(|_| !below.is_empty())
            });
            Some(kept.collect())
        }
        _ => None,
    }
}
