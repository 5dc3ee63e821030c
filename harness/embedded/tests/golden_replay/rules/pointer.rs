//! JSON pointers with three extensions, and conditions on what they reach.
//!
//! `[k=v]` is the first element of a list whose `k` is `v`, `#` the length of a list, and where several places may be
//! meant `*` is every element.

use serde_json::Value;

/// The segments of a pointer, unescaped.
pub fn segments(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()
}

/// The value that a pointer reaches. The length of what is not there is 0.
pub fn resolve(value: &Value, pointer: &str) -> Option<Value> {
    let mut at = value.clone();
    for segment in segments(pointer) {
        let next = match (&at, segment.as_str()) {
            (Value::Array(items), "#") => Some(items.len().into()),
            (Value::Object(map), "#") => Some(map.len().into()),
            (Value::Array(items), segment) => {
                items.iter().enumerate().find(|(i, e)| selects(segment, *i, e)).map(|(_, e)| e.clone())
            }
            (Value::Object(map), segment) => map.get(segment).cloned(),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => return pointer.ends_with("/#").then(|| 0.into()),
        }
    }
    Some(at)
}

/// Whether a segment means this element of a list.
pub fn selects(segment: &str, index: usize, element: &Value) -> bool {
    match segment.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => {
            let (key, wanted) = inner.split_once('=').unwrap_or((inner, ""));
            element.get(key).is_some_and(|found| plain(found) == wanted)
        }
        None => segment.parse() == Ok(index),
    }
}

/// A value as text, strings without quotes.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Calls `edit` with every value that a pointer reaches, `*` included.
pub fn visit(value: &mut Value, segments: &[String], edit: &mut dyn FnMut(&mut Value)) {
    let Some((first, rest)) = segments.split_first() else { return edit(value) };
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                if first == "*" || selects(first, index, item) {
                    visit(item, rest, edit);
                }
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                if first == "*" || first == key {
                    visit(item, rest, edit);
                }
            }
        }
        _ => {}
    }
}

/// Whether a condition holds of an answer: `<pointer> ==|!=|>=|<= <json>`, `<pointer> exists|absent`; `code` in place of
/// the pointer is the HTTP status. The error is a condition that is none.
pub fn holds(condition: &str, status: u16, body: &Value) -> Result<bool, String> {
    let malformed = || format!("{condition:?} is no condition");
    // Values of `[k=v]` may hold spaces, so the operator is the first one found as a word.
    let operators = [" == ", " != ", " >= ", " <= ", " exists", " absent"];
    let found = operators.iter().filter_map(|operator| Some((condition.find(operator)?, *operator))).min();
    let (at, operator) = found.ok_or_else(malformed)?;
    let (pointer, wanted) = (&condition[..at], condition[at + operator.len()..].trim());
    let have = if pointer == "code" { Some(status.into()) } else { resolve(body, pointer) };
    let wanted: Value = serde_json::from_str(wanted).unwrap_or_else(|_| wanted.into());
    Ok(match operator.trim() {
        "exists" => have.is_some(),
        "absent" => have.is_none(),
        "==" => have == Some(wanted),
        "!=" => have != Some(wanted),
        order => match (have.as_ref().and_then(Value::as_f64), wanted.as_f64()) {
            (Some(have), Some(wanted)) if order == ">=" => have >= wanted,
            (Some(have), Some(wanted)) => have <= wanted,
            _ => false,
        },
    })
}
