//! The ways of deletion as recorded from Kubernetes 1.36, decided on views made by hand.

use embedded_apimachinery::resource::{CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, NODES, PODS};
use serde_json::json;

use super::*;

fn map(name: &str, owner: Option<&str>) -> Value {
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "ns", "uid": name}});
    if let Some(owner) = owner {
        map["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner, "blockOwnerDeletion": true}]);
    }
    map
}

fn deleting(mut object: Value, finalizer: &str) -> Value {
    object["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
    object["metadata"]["finalizers"] = json!([finalizer]);
    object
}

/// What the collector does about the ConfigMap `name`, in short.
fn decided(name: &str, maps: Vec<Value>) -> Vec<String> {
    let view = View::of(maps.into_iter().map(|map| (CONFIG_MAPS, map)));
    decided_in(&view, &CONFIG_MAPS, name)
}

fn decided_in(view: &View, resource: &GroupResource, name: &str) -> Vec<String> {
    let object = json!({"metadata": {"name": name, "namespace": "ns"}});
    let plan = GarbageCollector.plan(view, &key_of(resource, &object), Utc::now());
    let short = |action: &Action| match action {
        Action::Delete { object, options, .. } => {
            format!("delete {} {:?}", object::name(object), options.propagation.unwrap())
        }
        Action::Update { object, .. } => format!(
            "keep {} owners {} finalizers {}",
            object::name(object),
            object::owner_references(object).len(),
            object::finalizers(object).count()
        ),
        other => panic!("{other:?}"),
    };
    plan.actions.iter().map(short).collect()
}

#[test]
fn dependents_of_absent_owners_are_deleted() {
    assert_eq!(decided("d", vec![map("d", Some("gone"))]), ["delete d Background"]);
    let mut namesake = map("o", None);
    namesake["metadata"]["uid"] = "another".into();
    assert_eq!(decided("d", vec![map("d", Some("o")), namesake]), ["delete d Background"]);
    assert!(decided("d", vec![map("d", Some("o")), map("o", None)]).is_empty());
}

#[test]
fn one_present_owner_is_enough_and_absent_ones_are_struck_off() {
    let mut dependent = map("d", Some("o"));
    let gone = map("x", Some("gone"))["metadata"]["ownerReferences"][0].clone();
    dependent["metadata"]["ownerReferences"].as_array_mut().unwrap().push(gone);
    assert_eq!(decided("d", vec![dependent, map("o", None)]), ["keep d owners 1 finalizers 0"]);
}

#[test]
fn an_owner_in_the_foreground_waits_for_who_blocks_it() {
    let owner = deleting(map("o", None), FOREGROUND);
    assert!(decided("o", vec![owner.clone(), map("d", Some("o"))]).is_empty());
    assert_eq!(decided("d", vec![owner.clone(), map("d", Some("o"))]), ["delete d Background"]);
    assert_eq!(decided("o", vec![owner.clone()]), ["keep o owners 0 finalizers 0"]);
    let mut lenient = map("d", Some("o"));
    lenient["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = false.into();
    assert_eq!(decided("o", vec![owner, lenient]), ["keep o owners 0 finalizers 0"]);
}

#[test]
fn foreground_deletion_reaches_dependents_of_dependents() {
    let owner = deleting(map("o", None), FOREGROUND);
    let maps = vec![owner, map("d", Some("o")), map("dd", Some("d"))];
    assert_eq!(decided("d", maps), ["delete d Foreground"]);
}

#[test]
fn an_orphaning_owner_lets_go_before_it_goes() {
    let owner = deleting(map("o", None), ORPHAN);
    assert_eq!(
        decided("o", vec![owner, map("d", Some("o"))]),
        ["keep d owners 0 finalizers 0", "keep o owners 0 finalizers 0"]
    );
}

#[test]
fn owners_of_unknown_kinds_count_as_present_and_custom_ones_are_known() {
    let mut dependent = map("d", None);
    dependent["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "t"}]);
    assert!(decided("d", vec![dependent.clone()]).is_empty());
    let definition = json!({"metadata": {"name": "things.example.com"}, "spec": {"group": "example.com",
        "names": {"kind": "Thing", "plural": "things"}, "scope": "Namespaced", "versions": [{"served": true}]}});
    let view = View::of([(CONFIG_MAPS, dependent), (CUSTOM_RESOURCE_DEFINITIONS, definition)]);
    assert_eq!(decided_in(&view, &CONFIG_MAPS, "d"), ["delete d Background"]);
}

#[test]
fn owners_may_live_outside_of_namespaces() {
    let mut pod = map("p", None);
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n"}]);
    let node = json!({"metadata": {"name": "n", "uid": "n"}});
    assert!(decided_in(&View::of([(PODS, pod.clone()), (NODES, node)]), &PODS, "p").is_empty());
    assert_eq!(decided_in(&View::of([(PODS, pod)]), &PODS, "p"), ["delete p Background"]);
}

#[test]
fn deletions_bring_up_dependents_and_waiting_owners() {
    let view = View::of([
        (CONFIG_MAPS, map("child", Some("middle"))),
        (CONFIG_MAPS, deleting(map("parent", None), FOREGROUND)),
    ]);
    let gone = map("middle", Some("parent"));
    let change = Change { resource: CONFIG_MAPS, before: Some(Object::new(gone)), after: None };
    let names: Vec<String> = GarbageCollector.keys(&view, &change).into_iter().map(|key| key.name).collect();
    assert_eq!(names, ["child", "parent"]);
}
