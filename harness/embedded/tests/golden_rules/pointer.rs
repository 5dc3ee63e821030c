//! Pointers and conditions.

use crate::rules::pointer::*;
use serde_json::{Value, json};

fn pod() -> Value {
    json!({"metadata": {"labels": {"a/b": "c"}}, "status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "n": 2}]}})
}

#[test]
fn pointers_reach_by_key_index_and_attribute() {
    for (pointer, expected) in [
        ("/metadata/labels/a~1b", Some(json!("c"))),
        ("/status/conditions/1/type", Some(json!("B"))),
        ("/status/conditions/[type=B]/n", Some(json!(2))),
        ("/status/conditions/[n=2]/type", Some(json!("B"))),
        ("/status/conditions/#", Some(json!(2))),
        ("/status/missing/#", Some(json!(0))),
        ("/status/conditions/[type=C]", None),
        ("/nothing", None),
        ("", Some(pod())),
    ] {
        assert_eq!(resolve(&pod(), pointer), expected, "{pointer}");
    }
}

#[test]
fn conditions_compare_what_pointers_reach() {
    for (condition, expected) in [
        ("code == 200", true),
        ("code == 404", false),
        ("/status/conditions/# >= 2", true),
        ("/status/conditions/# <= 1", false),
        ("/status/conditions/[type=A]/status == \"True\"", true),
        ("/status/conditions/[type=A]/status == True", true),
        ("/status/conditions/[type=A]/status != \"True\"", false),
        ("/metadata/labels exists", true),
        ("/metadata/name exists", false),
        ("/metadata/name absent", true),
        ("/metadata/name >= 1", false),
    ] {
        assert_eq!(holds(condition, 200, &pod()), Ok(expected), "{condition}");
    }
    assert!(holds("/metadata", 200, &pod()).is_err());
}

#[test]
fn visits_reach_every_element() {
    let mut value = pod();
    visit(&mut value, &segments("/status/conditions/*/type"), &mut |found| *found = json!("X"));
    assert_eq!(value["status"]["conditions"][1]["type"], "X");
    assert_eq!(value["status"]["conditions"][0]["type"], "X");
}
