//! Label selectors in their object form.

use embedded_apimachinery::object;
use embedded_apimachinery::selector::LabelSelector;
use serde_json::Value;

use super::problems::{Problems, items, text};
use super::{metadata, names};

pub fn validate(found: &mut Problems, field: &str, selector: &Value) {
    metadata::labels(found, &format!("{field}.matchLabels"), &selector["matchLabels"]);
    for (index, expression) in items(&selector["matchExpressions"]).iter().enumerate() {
        let field = format!("{field}.matchExpressions[{index}]");
        let values = items(&expression["values"]);
        match text(&expression["operator"]) {
            "In" | "NotIn" if values.is_empty() => {
                found.required(&format!("{field}.values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => found.forbidden(
                &format!("{field}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => found.invalid(&format!("{field}.operator"), other, "not a valid selector operator"),
        }
        found.complaints(
            &format!("{field}.key"),
            text(&expression["key"]),
            names::qualified_name(text(&expression["key"])),
        );
        for (index, value) in values.iter().enumerate() {
            found.name(&format!("{field}.values[{index}]"), value, names::label_value);
        }
    }
}

pub fn is_empty(selector: &Value) -> bool {
    let none = |key: &str| selector[key].as_object().is_none_or(serde_json::Map::is_empty);
    none("matchLabels") && items(&selector["matchExpressions"]).is_empty()
}

/// Complains at the template's labels unless the selector of its controller matches them. A missing selector matches
/// nothing, an empty one is complained about elsewhere.
pub fn must_match_template(found: &mut Problems, selector: &Value, template: &Value) {
    if !selector.is_null() && is_empty(selector) {
        return;
    }
    let labels = &template["metadata"]["labels"];
    let matches =
        LabelSelector::from_object(Some(selector)).is_some_and(|s| s.matches(&object::string_map(Some(labels))));
    if !matches {
        found.invalid("spec.template.metadata.labels", labels.clone(), "`selector` does not match template `labels`");
    }
}
