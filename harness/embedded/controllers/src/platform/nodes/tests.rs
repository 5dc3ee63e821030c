//! Nodes that appear, fall silent, are cordoned and come back.

use chrono::TimeDelta;

use super::*;

const GRACE: Duration = Duration::from_secs(40);

fn controller() -> NodeLifecycle {
    let registered = BTreeSet::from(["n".to_owned()]);
    NodeLifecycle { grace: GRACE, pod_network: [10, 244], registered, evicted: None }
}

fn at(seconds: i64) -> DateTime<Utc> {
    timestamp::parse("2030-01-01T00:00:00Z").unwrap() + TimeDelta::seconds(seconds)
}

/// Last heard of at second 0.
fn node(ready: &str, spec: Value) -> Value {
    let mut node = json!({"metadata": {"name": "n", "annotations": {TTL: "0"}, "creationTimestamp": "2029-01-01T00:00:00Z"},
        "spec": {"podCIDR": "10.244.0.0/24"}, "status": {"conditions": [
            {"type": "Ready", "status": ready, "lastHeartbeatTime": "2030-01-01T00:00:00Z"}]}});
    for (key, value) in spec.as_object().unwrap() {
        node["spec"][key] = value.clone();
    }
    node
}

/// Another node, heard of lately.
fn other(name: &str, ready: &str) -> Value {
    let mut other = node(ready, json!({"podCIDR": "10.244.9.0/24"}));
    other["metadata"]["name"] = name.into();
    other
}

fn plan(objects: Vec<(GroupResource, Value)>, now: DateTime<Utc>) -> Plan {
    controller().plan(&View::of(objects), &ObjectKey::new("", "n"), now)
}

/// The node as the plan writes it: through its status, or otherwise.
fn written(plan: &Plan) -> Option<(&'static str, &Value)> {
    plan.actions.iter().find_map(|action| match action {
        Action::Write { resource, object, subresource } if *resource == NODES => Some((*subresource, object)),
        Action::Update { resource, object, .. } if *resource == NODES => Some(("", object)),
        _ => None,
    })
}

#[test]
fn a_new_node_gets_a_network_of_its_own_and_loses_the_taint_of_its_birth() {
    let born = json!({"metadata": {"name": "n", "creationTimestamp": "2030-01-01T00:00:00Z"}, "spec": {
        "unschedulable": true, "taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}});
    let other = json!({"metadata": {"name": "other"}, "spec": {"podCIDR": "10.244.0.0/24"}});
    let plan = plan(vec![(NODES, born), (NODES, other)], at(1));
    let (_, node) = written(&plan).unwrap();
    assert_eq!(node["spec"]["podCIDR"], "10.244.1.0/24");
    assert_eq!(object::annotation(node, TTL), Some("0"));
    assert_eq!(
        node["spec"]["taints"],
        json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": "2030-01-01T00:00:01Z"}])
    );
}

#[test]
fn silence_makes_a_node_unknown_after_the_grace_period_and_not_before() {
    let early = plan(vec![(NODES, node("True", json!({})))], at(39));
    assert!(written(&early).is_none());
    assert_eq!(early.recheck, Some(Duration::from_secs(1)));

    let late = plan(vec![(NODES, node("True", json!({})))], at(40));
    let ("status", node) = written(&late).unwrap() else { panic!("{late:?}") };
    let ready = object::condition(node, "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&"Unknown".into(), &"NodeStatusUnknown".into()));
    assert_eq!(object::condition(node, "DiskPressure").unwrap()["reason"], "NodeStatusNeverUpdated");
}

#[test]
fn a_lease_is_a_sign_of_life() {
    let lease = json!({"metadata": {"name": "n", "namespace": LEASE_NAMESPACE},
        "spec": {"renewTime": "2030-01-01T00:00:30.000000Z"}});
    let plan = plan(vec![(NODES, node("True", json!({}))), (LEASES, lease)], at(60));
    assert!(written(&plan).is_none());
    assert_eq!(plan.recheck, Some(Duration::from_secs(10)));
}

#[test]
fn taints_follow_the_condition_and_leave_those_of_others_alone() {
    let own = json!({"key": "golden", "effect": "NoExecute"});
    for (ready, unschedulable, expected) in [
        ("True", false, vec![]),
        ("True", true, vec![("unschedulable", "NoSchedule")]),
        ("False", false, vec![("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
        ("Unknown", false, vec![("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]),
    ] {
        let before = node(
            ready,
            json!({"unschedulable": unschedulable, "taints": [own,
            {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule", "timeAdded": "2029-01-01T00:00:00Z"}]}),
        );
        let plan = plan(vec![(NODES, before), (NODES, other("o", "True"))], at(1));
        let (_, node) = written(&plan).unwrap();
        let taints: Vec<(&str, &str)> = list_at(node, "/spec/taints")
            .iter()
            .map(|t| (str_at(t, "/key").trim_start_matches("node.kubernetes.io/"), str_at(t, "/effect")))
            .collect();
        let expected: Vec<_> = [("golden", "NoExecute")].into_iter().chain(expected).collect();
        assert_eq!(taints, expected, "{ready}");
    }
}

#[test]
fn taints_that_are_right_keep_the_time_they_were_added() {
    let tainted = node(
        "True",
        json!({"unschedulable": true, "taints": [
        {"key": UNSCHEDULABLE, "effect": "NoSchedule", "timeAdded": "2029-01-01T00:00:00Z"}]}),
    );
    assert!(written(&plan(vec![(NODES, tainted)], at(1))).is_none());
}

/// The effects of the taints that a node gets for being lost, after `plan`.
fn effects(plan: &Plan, before: &Value) -> Vec<String> {
    let node = written(plan).map_or(before, |(_, node)| node);
    let ours = list_at(node, "/spec/taints").iter().filter(|t| str_at(t, "/key") == "node.kubernetes.io/unreachable");
    ours.map(|taint| str_at(taint, "/effect").to_owned()).collect()
}

fn lost(name: &str, effects: &[&str]) -> Value {
    let mut lost = other(name, "Unknown");
    let taint = |effect: &&str| json!({"key": "node.kubernetes.io/unreachable", "effect": effect, "timeAdded": "2029-01-01T00:00:00Z"});
    lost["spec"]["taints"] = effects.iter().map(taint).collect();
    lost
}

#[test]
fn pods_are_driven_out_unless_too_many_nodes_are_lost() {
    let both = vec!["NoSchedule", "NoExecute"];
    for (others, before, expected) in [
        (vec!["True"], vec![], both.clone()),
        (vec!["True", "Unknown"], vec![], both.clone()),
        // Most nodes: where it has begun it goes on, elsewhere it does not begin.
        (vec!["True", "Unknown", "Unknown"], vec![], vec!["NoSchedule"]),
        (vec!["True", "Unknown", "Unknown"], both.clone(), both.clone()),
        // All nodes: it is taken back.
        (vec!["Unknown", "Unknown"], vec![], vec!["NoSchedule"]),
        (vec![], both.clone(), vec!["NoSchedule"]),
    ] {
        let node = lost("n", &before);
        let others_of = others.iter().enumerate().map(|(n, ready)| (NODES, other(&format!("o{n}"), ready)));
        let plan = plan(others_of.chain([(NODES, node.clone())]).collect(), at(1));
        assert_eq!(effects(&plan, &node), expected, "{others:?} {before:?}");
    }
}

#[test]
fn pods_are_driven_out_of_one_node_after_the_other() {
    let (a, b) = (lost("a", &["NoSchedule"]), lost("b", &["NoSchedule"]));
    let view = View::of([(NODES, a.clone()), (NODES, b.clone()), (NODES, other("o", "True"))]);
    let mut controller = controller();
    let mut look = |name: &str, seconds: i64| controller.plan(&view, &ObjectKey::new("", name), at(seconds));
    assert_eq!(effects(&look("a", 0), &a), ["NoSchedule", "NoExecute"]);
    // A write that failed is tried again.
    assert_eq!(effects(&look("a", 1), &a), ["NoSchedule", "NoExecute"]);
    let early = look("b", 4);
    assert_eq!((effects(&early, &b), early.recheck), (vec!["NoSchedule".to_owned()], Some(Duration::from_secs(7))));
    assert_eq!(effects(&look("b", 11), &b), ["NoSchedule", "NoExecute"]);
}

#[test]
fn a_change_of_how_many_are_well_brings_up_every_node() {
    let view = View::of([(NODES, other("a", "True")), (NODES, other("b", "Unknown"))]);
    let change = |before: &str, after: &str| Change {
        resource: NODES,
        before: Some(Object::new(other("b", before))),
        after: Some(Object::new(other("b", after))),
    };
    let names = |change: &Change| -> BTreeSet<String> {
        controller().keys(&view, change).into_iter().map(|key| key.name).collect()
    };
    assert_eq!(names(&change("True", "Unknown")), ["a", "b"].map(str::to_owned).into());
    assert_eq!(names(&change("Unknown", "Unknown")), ["b".to_owned()].into());
}

#[test]
fn pods_of_a_lost_node_are_not_ready() {
    let pod = |node: &str| {
        json!({"metadata": {"name": format!("on-{node}"), "namespace": "ns"}, "spec": {"nodeName": node},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    };
    let plan = plan(vec![(NODES, node("Unknown", json!({}))), (PODS, pod("n")), (PODS, pod("m"))], at(1));
    let marked: Vec<_> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Write { resource, object, .. } if *resource == PODS => Some(object::name(object)),
            _ => None,
        })
        .collect();
    assert_eq!(marked, ["on-n"]);
}
