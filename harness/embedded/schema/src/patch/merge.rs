//! JSON merge patch (RFC 7386).

use serde_json::Value;

pub fn apply(current: &Value, patch: &Value) -> Value {
    let mut patched = current.clone();
    json_patch::merge(&mut patched, patch);
    patched
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn maps_merge_nulls_delete_and_lists_are_replaced() {
        let current = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        let patch = json!({"a": {"b": null, "d": 3, "z": null}, "l": [3]});
        assert_eq!(apply(&current, &patch), json!({"a": {"c": 2, "d": 3}, "l": [3]}));
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i8>().prop_map(|n| json!(n)), "[a-c]".prop_map(|s| json!(s))];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_without_nulls_patches_onto_nothing_as_itself_and_onto_itself_as_no_change(doc in document()) {
            prop_assert_eq!(&apply(&Value::Null, &doc), &doc);
            prop_assert_eq!(&apply(&doc, &doc), &doc);
        }

        #[test]
        fn applying_a_patch_twice_is_applying_it_once(doc in document(), patch in document()) {
            let once = apply(&doc, &patch);
            prop_assert_eq!(&apply(&once, &patch), &once);
        }
    }
}
