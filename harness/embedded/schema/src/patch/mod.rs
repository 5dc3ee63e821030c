//! Patches: JSON patch, JSON merge patch and strategic merge patch.
//!
//! Server-side apply, the fourth kind of patch, is [`crate::managed`].

pub(crate) mod go;
mod json;
mod merge;
mod order;
mod strategic;

use embedded_apimachinery::Status;
use serde_json::Value;

use crate::cause;
use crate::decode::{Decoded, FieldValidation, decode_typed};
use crate::model::KindSchema;
use crate::text;

/// The kind of a patch, told by the content type of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`, for built-in kinds only
    Strategic,
}

/// Patches `current` with the body of a request. The outcome is canonical, not yet defaulted.
///
/// Errors are those of Kubernetes: 400 for what is no patch, 422 for one that does not apply or leaves what its kind
/// does not allow, 500 where a list element of a strategic merge patch lacks its merge key.
pub fn apply(
    kind: PatchKind,
    schema: &KindSchema,
    current: &Value,
    body: &[u8],
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let bad = |error: &str| Status::bad_request(format!("error decoding patch: {error}"));
    let document = text::parse(body).map_err(|error| bad(&error))?;
    let patch = document.value;
    let (patched, shown) = match kind {
        PatchKind::Json => {
            let patched = json::apply(current, patch)?;
            let shown = shown(&patched);
            (patched, shown)
        }
        PatchKind::Merge => {
            is_map(&patch).map_err(|error| bad(&error))?;
            let patched = merge::apply(current, &patch);
            let shown = shown(&patched);
            (patched, shown)
        }
        PatchKind::Strategic => {
            is_map(&patch).map_err(|error| bad(&error))?;
            (strategic::apply(schema, current, &patch)?, go::display(&patch))
        }
    };
    let duplicates = document.duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
    decode_typed(schema, patched, duplicates, validation).map_err(|error| refused(shown, &error))
}

/// 422 at the field `patch`, as Kubernetes reports patches whose outcome does not decode.
fn refused(shown: String, error: &str) -> Status {
    Status::invalid("", "", "", vec![cause::invalid("patch", shown, error)])
}

fn is_map(patch: &Value) -> Result<(), String> {
    let found = match patch {
        Value::Object(_) | Value::Null => return Ok(()),
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
    };
    Err(format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"))
}

/// A patched object as errors show it: the patch leaves its top level in alphabetical order.
fn shown(patched: &Value) -> String {
    let mut sorted = patched.clone();
    if let Value::Object(map) = &mut sorted {
        map.sort_keys();
    }
    sorted.to_string()
}
