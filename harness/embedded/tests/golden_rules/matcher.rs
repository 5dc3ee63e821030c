//! Placeholders, scopes, free and fixed order.

use crate::rules::matcher::*;
use serde_json::{Value, json};

const A: &str = "aaaaaaaa-0000-0000-0000-000000000000";
const B: &str = "bbbbbbbb-0000-0000-0000-000000000000";

fn differences(wanted: &Value, found: &Value) -> Vec<String> {
    Matcher::new().expect("patterns").differences(wanted, found)
}

#[test]
fn placeholders_stand_for_what_has_their_form() {
    for (wanted, found, fits) in [
        (json!("<uid>"), json!(A), true),
        (json!("<uid>"), json!("x"), false),
        (json!("<rv>"), json!("12"), true),
        (json!("<rv>"), json!(12), true),
        (json!("at <rv>"), json!(12), false),
        (json!("<time>"), json!("2026-01-02T03:04:05Z"), true),
        (json!("<time>"), json!("2026-01-02T03:04:05.000000Z"), false),
        (json!("<microtime>"), json!("2026-01-02T03:04:05.000000Z"), true),
        (json!("<nodeport>"), json!(30080), true),
        (json!("<nodeport>"), json!(80), false),
        (json!("web-<hash>-<suffix>"), json!("web-5f7-abcde"), true),
        (json!("web-<hash>-<suffix>"), json!("api-5f7-abcde"), false),
        (json!("<any>"), json!({"x": 1}), true),
        (json!("a <any> b"), json!("a\nb b"), false),
        (json!("a<any>b"), json!("a\nb"), true),
        (json!(1), json!("1"), false),
        (json!(null), json!(""), false),
    ] {
        assert_eq!(differences(&wanted, &found).is_empty(), fits, "{wanted} and {found}");
    }
}

#[test]
fn missing_and_unexpected_fields_are_named() {
    assert_eq!(
        differences(&json!({"a": {"b": 1}, "c": null}), &json!({"a": {"d": 2}})),
        ["/a/b: missing, expected 1", "/a/d: unexpected 2", "/c: missing, expected null"]
    );
}

#[test]
fn equal_placeholders_stand_for_equal_values_and_different_ones_for_different() {
    let wanted = json!({"a": "<uid>", "b": "<uid>", "c": "<uid:2>"});
    assert!(differences(&wanted, &json!({"a": A, "b": A, "c": B})).is_empty());
    assert_eq!(differences(&wanted, &json!({"a": A, "b": B, "c": B})).len(), 1);
    assert_eq!(differences(&wanted, &json!({"a": A, "b": A, "c": A})).len(), 1);
}

#[test]
fn bindings_outlive_an_answer_for_the_file_but_not_for_an_object() {
    let mut matcher = Matcher::new().expect("patterns");
    assert!(matcher.differences(&json!({"u": "<uid>", "i": "<ip>"}), &json!({"u": A, "i": "10.0.0.1"})).is_empty());
    assert!(matcher.differences(&json!({"i": "<ip>"}), &json!({"i": "10.0.0.2"})).is_empty());
    assert!(!matcher.differences(&json!({"u": "<uid>"}), &json!({"u": B})).is_empty());
    let items = json!({"items": [{"i": "<ip>", "j": "<ip>"}, {"i": "<ip>"}]});
    assert!(
        matcher
            .differences(&items, &json!({"items": [{"i": "10.0.0.1", "j": "10.0.0.1"}, {"i": "10.0.0.2"}]}))
            .is_empty()
    );
}

#[test]
fn order_counts_unless_it_is_no_part_of_the_contract() {
    assert!(!differences(&json!({"l": [1, 2]}), &json!({"l": [2, 1]})).is_empty());
    let conditions = |types: [&str; 2]| json!({"conditions": types.map(|t| json!({"type": t}))});
    assert!(differences(&conditions(["A", "B"]), &conditions(["B", "A"])).is_empty());
    assert!(!differences(&conditions(["A", "B"]), &conditions(["B", "C"])).is_empty());
    let items = |names: [&str; 2]| json!({"items": names.map(|n| json!({"metadata": {"name": n}, "n": n.len()}))});
    assert!(!differences(&items(["a", "b"]), &items(["b", "a"])).is_empty());
    let wanted = json!({"items": [{"metadata": {"name": "w-<suffix>"}, "n": 1}, {"metadata": {"name": "w-<suffix:2>"}, "n": 2}]});
    let found =
        json!({"items": [{"metadata": {"name": "w-bbbbb"}, "n": 2}, {"metadata": {"name": "w-aaaaa"}, "n": 1}]});
    assert!(differences(&wanted, &found).is_empty());
}

#[test]
fn a_subsequence_allows_other_events_between() {
    let mut matcher = Matcher::new().expect("patterns");
    let (a, b, c) = (json!({"type": "A"}), json!({"type": "B"}), json!({"type": "C"}));
    let seen = [a.clone(), b.clone(), c.clone()];
    assert!(matcher.events(&[a.clone(), c.clone()], &seen, true).is_empty());
    assert!(!matcher.events(&[c.clone(), a.clone()], &seen, true).is_empty());
    assert!(!matcher.events(&[a.clone(), c.clone()], &seen, false).is_empty());
    assert!(matcher.events(&[a, b, c], &seen, false).is_empty());
}
