//! JSON patch (RFC 6902), with the leniency of Kubernetes: `replace` of a key that an object lacks adds it.

use embedded_apimachinery::Status;
use json_patch::{Patch, PatchOperation};
use serde_json::{Value, json};

const MAX_OPERATIONS: usize = 10_000;

pub fn apply(current: &Value, patch: Value) -> Result<Value, Status> {
    let operations = operations(patch)?;
    let mut patched = current.clone();
    for operation in operations {
        let lenient = lenient(&patched, operation);
        let operation: PatchOperation = serde_json::from_value(lenient).map_err(|_| rejected())?;
        json_patch::patch(&mut patched, &Patch(vec![operation])).map_err(|_| rejected())?;
    }
    Ok(patched)
}

fn operations(patch: Value) -> Result<Vec<Value>, Status> {
    const LIST: &str = "[]handlers.jsonPatchOp";
    let wrong = |found: &str, go_type: &str| {
        Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type {go_type}"
        ))
    };
    match patch {
        Value::Array(operations) if operations.len() > MAX_OPERATIONS => Err(Status::new(
            413,
            "RequestEntityTooLarge",
            format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", operations.len()),
        )),
        Value::Array(operations) => match operations.iter().find(|operation| !operation.is_object()) {
            None => Ok(operations),
            Some(other) => Err(wrong(kind(other), "handlers.jsonPatchOp")),
        },
        Value::Null => Ok(Vec::new()),
        other => Err(wrong(kind(&other), LIST)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Turns `replace` of a missing key into `add`.
fn lenient(document: &Value, mut operation: Value) -> Value {
    let path = operation["path"].as_str().unwrap_or_default();
    let parent = path.rsplit_once('/').and_then(|(parent, _)| document.pointer(parent));
    let missing_key = parent.is_some_and(Value::is_object) && document.pointer(path).is_none();
    if operation["op"] == "replace" && missing_key {
        operation["op"] = json!("add");
    }
    operation
}

/// Kubernetes says no more than this of a patch that does not apply.
fn rejected() -> Status {
    Status::new(422, "Invalid", "the server rejected our request due to an error in our request")
        .with_details(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(patch: Value) -> Result<Value, Status> {
        apply(&json!({"data": {"k": "1", "l": "2"}, "list": ["a", "b"]}), patch)
    }

    #[test]
    fn operations_apply_in_order() {
        let patch = json!([
            {"op": "test", "path": "/data/k", "value": "1"},
            {"op": "add", "path": "/data/example.com~1m", "value": "3"},
            {"op": "replace", "path": "/data/zz", "value": "9"},
            {"op": "move", "from": "/data/l", "path": "/data/n"},
            {"op": "remove", "path": "/list/0"},
            {"op": "add", "path": "/list/-", "value": "c"}
        ]);
        let expected = json!({"data": {"k": "1", "n": "2", "example.com/m": "3", "zz": "9"}, "list": ["b", "c"]});
        assert_eq!(patched(patch).expect("applies"), expected);
    }

    #[test]
    fn patches_that_do_not_apply_are_unprocessable() {
        for operation in [
            json!({"op": "test", "path": "/data/k", "value": "0"}),
            json!({"op": "remove", "path": "/data/zz"}),
            json!({"op": "add", "path": "/nope/x", "value": "1"}),
            json!({"op": "frob", "path": "/data"}),
            json!({"op": "replace", "path": "/list/7", "value": "1"}),
        ] {
            let status = patched(json!([operation])).expect_err("refused");
            assert_eq!((status.code, status.details), (422, json!({})), "{operation}");
        }
    }

    #[test]
    fn what_is_no_patch_is_a_bad_request() {
        assert_eq!(
            patched(json!({})).expect_err("refused").message,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
    }
}
