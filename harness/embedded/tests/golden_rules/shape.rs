//! Cutting answers down.

use serde_json::{Value, json};

use crate::rules::shape::*;

fn answer() -> Value {
    json!({
        "metadata": {"name": "p", "managedFields": [1], "labels": {"a": "1", "b": "2"}},
        "items": [{"n": 1, "x": 1}, {"n": 2, "x": 2}, {"n": 3}]
    })
}

#[test]
fn answers_are_cut_down_as_the_step_says() {
    for (step, expected) in [
        (json!({"pick": ["/metadata/name"]}), json!({"metadata": {"name": "p"}})),
        (json!({"pick": ["/items/*/x"]}), json!({"items": [{"x": 1}, {"x": 2}]})),
        (json!({"pick": ["/items/[n=2]/x"]}), json!({"items": [{"x": 2}]})),
        (json!({"pick": ["/nothing"]}), json!({})),
        (json!({"pick": ["/metadata/name"], "mask": ["/metadata/name"]}), json!({"metadata": {"name": "<any>"}})),
        (json!({"pick": ["/items"], "only": {"/items": ["/n", 1, 3]}}), json!({"items": [{"n": 1, "x": 1}, {"n": 3}]})),
        (
            json!({"pick": ["/metadata/labels"], "only": {"/metadata/labels": ["b"]}}),
            json!({"metadata": {"labels": {"b": "2"}}}),
        ),
        (json!({"pick": ["/metadata/managedFields"]}), json!({})),
        (
            json!({"pick": ["/metadata/managedFields"], "keep_managed_fields": true}),
            json!({"metadata": {"managedFields": [1]}}),
        ),
    ] {
        assert_eq!(shape(&step, &answer()), expected, "{step}");
    }
}

#[test]
fn an_empty_list_is_kept_where_it_is_picked_from() {
    assert_eq!(shape(&json!({"pick": ["/items/*/x"]}), &json!({"items": []})), json!({"items": []}));
}
