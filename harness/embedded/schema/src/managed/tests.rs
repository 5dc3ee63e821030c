//! Server-side apply, after what a real API server answered, and the laws it obeys.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::builtin::Schemas;

const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-01T00:00:05Z";

fn schema(group: &str, kind: &str) -> KindSchema {
    Schemas::builtin().kind(&Gvk::new(group, "v1", kind)).expect("built in")
}

fn manager<'a>(name: &'a str, now: &'a str) -> Manager<'a> {
    Manager { name, subresource: "", now }
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

fn apply_map(live: Option<&Value>, name: &str, data: Value, force: bool, now: &str) -> Result<Value, Status> {
    apply(&schema("", "ConfigMap"), live, &config_map(data), manager(name, now), force)
}

fn managed(object: &Value) -> Value {
    object["metadata"]["managedFields"].clone()
}

fn applied(name: &str, time: Option<&str>, fields: Value) -> Value {
    let mut entry = json!({
        "manager": name, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields
    });
    if let Some(time) = time {
        entry["time"] = json!(time);
    }
    entry
}

#[test]
fn a_new_object_belongs_to_its_applier() {
    let object = apply_map(None, "one", json!({"k": "1", "l": "1"}), false, THEN).expect("applies");
    assert_eq!(object["data"], json!({"k": "1", "l": "1"}));
    assert_eq!(managed(&object), json!([applied("one", Some(THEN), json!({"f:data": {"f:k": {}, "f:l": {}}}))]));
    let again = apply_map(Some(&object), "one", json!({"k": "1", "l": "1"}), false, NOW).expect("applies");
    assert_eq!(again, object);
}

#[test]
fn a_field_set_to_another_value_is_a_conflict_until_forced() {
    let object = apply_map(None, "one", json!({"k": "1", "l": "1"}), false, THEN).expect("applies");
    let status = apply_map(Some(&object), "two", json!({"k": "2"}), false, NOW).expect_err("conflict");
    assert_eq!((status.code, status.reason), (409, "Conflict"));
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"one\": .data.k");
    assert_eq!(
        status.details,
        json!({"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.k"}]})
    );
    let forced = apply_map(Some(&object), "two", json!({"k": "2"}), true, NOW).expect("applies");
    assert_eq!(forced["data"], json!({"k": "2", "l": "1"}));
    assert_eq!(
        managed(&forced),
        json!([
            applied("one", Some(THEN), json!({"f:data": {"f:l": {}}})),
            applied("two", Some(NOW), json!({"f:data": {"f:k": {}}}))
        ])
    );
    let dropped = apply_map(Some(&forced), "one", json!({"n": "1"}), false, NOW).expect("applies");
    assert_eq!(dropped["data"], json!({"k": "2", "n": "1"}));
}

#[test]
fn the_same_value_is_shared_and_stays_until_the_last_owner_drops_it() {
    let object = apply_map(None, "one", json!({"k": "1", "l": "1"}), false, THEN).expect("applies");
    let shared = apply_map(Some(&object), "two", json!({"k": "1"}), false, NOW).expect("applies");
    assert_eq!(
        managed(&shared),
        json!([
            applied("two", None, json!({"f:data": {"f:k": {}}})),
            applied("one", Some(THEN), json!({"f:data": {"f:k": {}, "f:l": {}}}))
        ])
    );
    let half = apply_map(Some(&shared), "one", json!({"l": "1"}), false, NOW).expect("applies");
    assert_eq!(half["data"], json!({"k": "1", "l": "1"}));
    let none = apply_map(Some(&half), "two", json!({}), false, NOW).expect("applies");
    assert_eq!(none["data"], json!({"l": "1"}));
}

#[test]
fn an_update_takes_the_fields_it_changes() {
    let object = apply_map(None, "one", json!({"n": "1", "k": "2"}), false, THEN).expect("applies");
    let mut edited = object.clone();
    edited["data"]["k"] = json!("3");
    track_update(&schema("", "ConfigMap"), Some(&object), &mut edited, manager("edit", NOW));
    let update = json!({
        "manager": "edit", "operation": "Update", "apiVersion": "v1", "time": NOW, "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:k": {}}}
    });
    assert_eq!(managed(&edited), json!([applied("one", Some(THEN), json!({"f:data": {"f:n": {}}})), update]));
    let status = apply_map(Some(&edited), "one", json!({"n": "1", "k": "4"}), false, NOW).expect_err("conflict");
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"edit\" using v1: .data.k");
}

#[test]
fn a_created_object_belongs_to_its_creator() {
    let pods = schema("", "Pod");
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "uid": "u", "labels": {"app": "p"}},
        "spec": {"containers": [{"name": "c", "image": "i:1"}], "restartPolicy": "Always"},
        "status": {"phase": "Pending"}
    });
    track_update(&pods, None, &mut pod, manager("m", NOW));
    let fields = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}}},
            "f:restartPolicy": {}
        }
    });
    assert_eq!(managed(&pod)[0]["fieldsV1"], fields);
}

#[test]
fn status_written_through_its_subresource_is_an_entry_of_its_own() {
    let pods = schema("", "Pod");
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {}});
    track_update(&pods, None, &mut pod, manager("m", THEN));
    let mut running = pod.clone();
    running["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    let kubelet = Manager { name: "kubelet", subresource: "status", now: NOW };
    track_update(&pods, Some(&pod), &mut running, kubelet);
    let entry = &managed(&running)[1];
    assert_eq!((&entry["manager"], &entry["subresource"]), (&json!("kubelet"), &json!("status")));
    assert_eq!(
        entry["fieldsV1"],
        json!({"f:status": {
            "f:conditions": {".": {}, "k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}, "f:type": {}}},
            "f:phase": {}
        }})
    );
}

fn deployment(replicas: Option<i64>, containers: Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": containers}}
        }
    });
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = json!(replicas);
    }
    object
}

fn container_names(object: &Value) -> Vec<&str> {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    containers.iter().map(|c| c["name"].as_str().expect("a name")).collect()
}

#[test]
fn containers_are_owned_by_name() {
    let schema = schema("apps", "Deployment");
    let one = deployment(Some(0), json!([{"name": "a", "image": "i:1", "ports": [{"containerPort": 80}]}]));
    let object = apply(&schema, None, &one, manager("one", THEN), false).expect("applies");
    let two = deployment(None, json!([{"name": "b", "image": "b:1"}]));
    let both = apply(&schema, Some(&object), &two, manager("two", NOW), false).expect("applies");
    assert_eq!(container_names(&both), ["a", "b"]);
    let three = deployment(Some(2), json!([{"name": "a", "image": "x:7"}]));
    let status = apply(&schema, Some(&both), &three, manager("three", NOW), false).expect_err("conflict");
    assert_eq!(
        status.message,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.replicas\n- \
         .spec.template.spec.containers[name=\"a\"].image"
    );
    let gone = deployment(None, json!([]));
    let left = apply(&schema, Some(&both), &gone, manager("two", NOW), false).expect("applies");
    assert_eq!(container_names(&left), ["a"]);
}

#[test]
fn ports_are_told_apart_by_number_and_defaulted_protocol() {
    let schema = schema("apps", "Deployment");
    let with = |ports: Value| deployment(Some(0), json!([{"name": "a", "image": "i:1", "ports": ports}]));
    let first =
        with(json!([{"containerPort": 53, "name": "tcp"}, {"containerPort": 53, "protocol": "UDP", "name": "udp"}]));
    let object = apply(&schema, None, &first, manager("one", THEN), false).expect("applies");
    let second = with(json!([{"containerPort": 53, "protocol": "TCP", "name": "dns"}]));
    let object = apply(&schema, Some(&object), &second, manager("one", NOW), false).expect("applies");
    assert_eq!(
        object["spec"]["template"]["spec"]["containers"][0]["ports"],
        json!([{"containerPort": 53, "name": "dns", "protocol": "TCP"}])
    );
    let twice = with(json!([{"containerPort": 53}, {"containerPort": 53, "protocol": "TCP"}]));
    let status = apply(&schema, None, &twice, manager("one", NOW), false).expect_err("duplicate");
    assert!(status.message.ends_with(
        ".spec.template.spec.containers[name=\"a\"].ports: duplicate entries for key [containerPort=53,protocol=\"TCP\"]"
    ), "{status}");
}

#[test]
fn an_object_made_before_tracking_meets_the_applier_as_a_manager_of_its_own() {
    let live = config_map(json!({"k": "1"}));
    let status = apply_map(Some(&live), "one", json!({"k": "2"}), false, NOW).expect_err("conflict");
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.k");
}

#[test]
fn configurations_that_no_apply_takes_are_refused() {
    let maps = schema("", "ConfigMap");
    let refused = |config: Value| apply(&maps, None, &config, manager("one", NOW), false).expect_err("refused");
    let mut unknown = config_map(json!({}));
    unknown["bogus"] = json!(1);
    let status = refused(unknown);
    assert_eq!(
        (status.code, status.message.as_str()),
        (500, "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .bogus: field not declared in schema")
    );
    assert_eq!(refused(json!({"kind": "ConfigMap"})).message, "invalid object type: /, Kind=ConfigMap");
    let mut managed = config_map(json!({}));
    managed["metadata"]["managedFields"] = json!([]);
    assert_eq!(refused(managed).message, "metadata.managedFields must be nil");
}

#[test]
fn what_kubectl_last_applied_is_no_conflict_for_kubectl() {
    let maps = schema("", "ConfigMap");
    let mut live = config_map(json!({"k": "1", "edited": "2"}));
    let last = config_map(json!({"k": "1", "edited": "1"})).to_string();
    object::set_annotation(&mut live, "kubectl.kubernetes.io/last-applied-configuration", &last);
    track_update(&maps, None, &mut live, manager("kubectl-client-side-apply", THEN));
    assert!(apply_map(Some(&live), "other", json!({"k": "2"}), false, NOW).is_err());
    let applied = apply_map(Some(&live), "kubectl", json!({"k": "2"}), false, NOW).expect("as kubectl left it");
    assert_eq!(applied["data"]["k"], "2");
    let annotation = object::annotation(&applied, "kubectl.kubernetes.io/last-applied-configuration").expect("kept");
    assert_eq!(serde_json::from_str::<Value>(annotation).expect("JSON"), config_map(json!({"k": "2"})));
    let status = apply_map(Some(&live), "kubectl", json!({"k": "2", "edited": "3"}), false, NOW).expect_err("edited");
    let message = "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.edited";
    assert_eq!(status.message, message);
}

#[test]
fn managers_that_update_are_limited() {
    let maps = schema("", "ConfigMap");
    let mut object = config_map(json!({}));
    track_update(&maps, None, &mut object, manager("creator", THEN));
    object = apply_map(None, "one", json!({"x": "y"}), false, THEN).expect("applies");
    for n in 0..15 {
        let mut next = object.clone();
        next["data"][format!("k{n}")] = json!("v");
        let now = format!("2026-01-01T00:01:{n:02}Z");
        track_update(&maps, Some(&object), &mut next, manager(&format!("m{n}"), &now));
        object = next;
    }
    let entries = managed(&object);
    let updates: Vec<_> = entries.as_array().expect("a list").iter().filter(|e| e["operation"] == "Update").collect();
    assert_eq!(updates.len(), 10);
    let ancient = updates.iter().find(|e| e["manager"] == "ancient-changes").expect("merged");
    assert_eq!(ancient["fieldsV1"]["f:data"].as_object().expect("fields").len(), 6);
}

fn configurations() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[A-D]", "[0-9]", 0..4);
    let ports = prop::collection::btree_set((1..4_i64, prop_oneof![Just("TCP"), Just("UDP")]), 0..4);
    let container = (env, ports, prop::option::of("[a-c]:[0-9]"));
    let containers = prop::collection::btree_map("[a-c]", container, 1..3);
    let labels = prop::collection::btree_map("[a-c]", "[x-z]", 0..3);
    (containers, labels, prop::option::of(0..3_i64)).prop_map(|(containers, labels, replicas)| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(name, (env, ports, image))| {
                let env: Vec<Value> = env.iter().map(|(k, v)| json!({"name": k, "value": v})).collect();
                let ports: Vec<Value> = ports.iter().map(|(n, p)| json!({"containerPort": n, "protocol": p})).collect();
                let mut container = json!({"name": name, "env": env, "ports": ports});
                if let Some(image) = image {
                    container["image"] = json!(image);
                }
                container
            })
            .collect();
        let mut object = deployment(replicas, containers.into());
        object["metadata"]["labels"] = json!(labels);
        object
    })
}

proptest! {
    #[test]
    fn applying_the_same_twice_changes_nothing(first in configurations(), second in configurations()) {
        let schema = schema("apps", "Deployment");
        let object = apply(&schema, None, &first, manager("one", THEN), false).expect("applies");
        let object = apply(&schema, Some(&object), &second, manager("two", THEN), true).expect("applies");
        let again = apply(&schema, Some(&object), &second, manager("two", NOW), false).expect("no conflict with oneself");
        prop_assert_eq!(&again, &object);
    }

    #[test]
    fn what_a_lone_applier_drops_is_as_if_it_had_never_been(first in configurations(), second in configurations()) {
        let schema = schema("apps", "Deployment");
        let object = apply(&schema, None, &first, manager("one", THEN), false).expect("applies");
        let changed = apply(&schema, Some(&object), &second, manager("one", NOW), false).expect("applies");
        let fresh = apply(&schema, None, &second, manager("one", NOW), false).expect("applies");
        prop_assert_eq!(sorted(changed), sorted(fresh));
    }
}

/// Without managers, and with lists in a fixed order: live elements may stay in front of new ones.
fn sorted(object: Value) -> Value {
    fn sort(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.iter_mut().for_each(sort);
                items.sort_by_key(Value::to_string);
            }
            Value::Object(map) => {
                map.sort_keys();
                map.values_mut().for_each(sort);
            }
            _ => {}
        }
    }
    let mut object = without_managers(&object);
    sort(&mut object);
    object
}
