//! Custom resources: the columns that their definition asks for.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object;
use serde_json::{Value, json};

use super::column::{AGE, NAME, age, name, since};
use crate::catalog::CustomVersion;

pub fn columns(version: &CustomVersion) -> Vec<Value> {
    let mut columns = vec![NAME.definition()];
    if version.columns.is_empty() {
        columns.push(AGE.definition());
    }
    columns.extend(version.columns.iter().map(|column| {
        json!({"name": column["name"], "type": column["type"], "format": object::str_at(column, "/format"),
            "description": description(column), "priority": object::int_at(column, "/priority").unwrap_or(0)})
    }));
    columns
}

fn description(column: &Value) -> String {
    match object::str_at(column, "/description") {
        "" => {
            format!("Custom resource definition column (in JSONPath format): {}", object::str_at(column, "/jsonPath"))
        }
        text => text.to_owned(),
    }
}

pub fn cells(version: &CustomVersion, object: &Value, now: DateTime<Utc>) -> Vec<Value> {
    let mut cells = vec![name(object)];
    if version.columns.is_empty() {
        cells.push(age(object, now));
    }
    cells.extend(version.columns.iter().map(|column| {
        let found = lookup(object, object::str_at(column, "/jsonPath"));
        match (object::str_at(column, "/type"), found) {
            ("date", Some(Value::String(time))) => since(time, now).into(),
            ("string", Some(value)) if !value.is_string() => value.to_string().into(),
            (_, Some(value)) => value.clone(),
            (_, None) => Value::Null,
        }
    }));
    cells
}

/// The simple JSON paths that definitions use: `.spec.a`, `.metadata.annotations.a\.b`, `.items[0].x` and
/// `.conditions[?(@.type=="Ready")].status`.
fn lookup<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = object;
    let mut rest = path.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = after.split_once(']')?;
            at = index(at, inside.trim())?;
            rest = after;
            continue;
        }
        let field = rest.strip_prefix('.').unwrap_or(rest);
        let mut key = String::new();
        let mut chars = field.char_indices();
        let mut end = field.len();
        while let Some((position, c)) = chars.next() {
            match c {
                '\\' => key.extend(chars.next().map(|(_, c)| c)),
                '.' | '[' => {
                    end = position;
                    break;
                }
                _ => key.push(c),
            }
        }
        at = at.get(&key)?;
        rest = &field[end..];
    }
    Some(at)
}

fn index<'a>(list: &'a Value, inside: &str) -> Option<&'a Value> {
    if let Some(filter) = inside.strip_prefix("?(@.") {
        let (key, wanted) = filter.strip_suffix(')')?.split_once("==")?;
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        return list.as_array()?.iter().find(|e| object::str_at(e, &format!("/{}", key.trim())) == wanted);
    }
    match inside.trim_matches(['"', '\'']).parse::<usize>() {
        Ok(position) => list.get(position),
        Err(_) => list.get(inside.trim_matches(['"', '\''])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_followed() {
        let object = json!({"spec": {"n": 3, "list": [{"x": 1}]}, "metadata": {"annotations": {"a.b/c": "v"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        for (path, expected) in [
            (".spec.n", Some(json!(3))),
            (".spec.list[0].x", Some(json!(1))),
            (r".metadata.annotations.a\.b/c", Some(json!("v"))),
            (r#".status.conditions[?(@.type=="Ready")].status"#, Some(json!("True"))),
            (".spec.missing", None),
        ] {
            assert_eq!(lookup(&object, path), expected.as_ref(), "{path}");
        }
    }
}
