//! `kubectl apply --server-side` on objects that `kubectl apply` made: what the old way last applied is no conflict.
//!
//! Holds for the manager `kubectl` only, as in the API server; naming another manager opts out.

use embedded_apimachinery::object;
use serde_json::Value;

use super::compare::changes;
use super::extract::field_set;
use super::set::FieldSet;
use super::spot::Spot;

pub const MANAGER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields of `live` that are still as they were last applied.
pub fn fields(live: &Value, spot: Spot<'_>) -> FieldSet {
    let text = object::annotation(live, ANNOTATION).unwrap_or_default();
    let Ok(applied) = serde_json::from_str::<Value>(text) else { return FieldSet::default() };
    let changed = changes(&applied, live, spot);
    field_set(&applied, spot).difference(&changed.modified).difference(&changed.removed)
}

/// Keeps the annotation in step with what is applied, where there is one.
pub fn update(merged: &mut Value, config: &Value) {
    if object::annotation(merged, ANNOTATION).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(ANNOTATION);
    }
    applied.sort_all_objects();
    object::set_annotation(merged, ANNOTATION, &format!("{applied}\n"));
}
