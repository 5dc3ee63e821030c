//! Which of several nodes is taken, and who has to make room.

mod common;

use common::{cluster, four_nodes, info, node, place, pod, requesting};
use embedded_scheduler::{Decision, schedule};
use serde_json::{Value, json};

fn owned(mut pod: Value) -> Value {
    pod["metadata"]["ownerReferences"] = json!([{"uid": "set", "controller": true}]);
    pod
}

fn with_priority(mut pod: Value, priority: i64) -> Value {
    pod["spec"]["priority"] = priority.into();
    pod
}

#[test]
fn replicas_of_one_owner_are_spread() {
    let mut cluster = four_nodes();
    let mut nodes: Vec<_> =
        (0..4).map(|n| place(&mut cluster, owned(pod(&format!("p{n}"), json!({}), json!({})))).unwrap()).collect();
    nodes.sort();
    assert_eq!(nodes, ["node1", "node2", "node3", "node4"]);
}

#[test]
fn preferred_node_affinity_outweighs_the_default_spread() {
    let prefers = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "preference": {"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node4"]}]}}]}}});
    let mut cluster = four_nodes();
    for n in 0..2 {
        let pod = owned(pod(&format!("web-{n}"), json!({}), prefers.clone()));
        assert_eq!(place(&mut cluster, pod).unwrap(), "node4");
    }
}

#[test]
fn preferred_anti_affinity_spreads_but_does_not_refuse() {
    let apart = json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 100, "podAffinityTerm": {"labelSelector": {"matchLabels": {"app": "p"}},
            "topologyKey": "kubernetes.io/hostname"}}]}}});
    let mut cluster = four_nodes();
    let mut nodes: Vec<_> = (0..5)
        .map(|n| place(&mut cluster, pod(&format!("p{n}"), json!({"app": "p"}), apart.clone())).unwrap())
        .collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 4);
}

#[test]
fn soft_taints_are_avoided() {
    let soft = json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]});
    let mut cluster = cluster([node("node1", soft), node("node2", json!({}))]);
    for n in 0..3 {
        assert_eq!(place(&mut cluster, pod(&format!("p{n}"), json!({}), json!({}))).unwrap(), "node2");
    }
}

#[test]
fn the_emptier_node_is_preferred() {
    let mut cluster = cluster([node("node1", json!({})), node("node2", json!({}))]);
    assert_eq!(place(&mut cluster, requesting("big", json!({"cpu": "2", "memory": "4Gi"}))).unwrap(), "node1");
    for n in 0..3 {
        let small = requesting(&format!("small{n}"), json!({"cpu": "100m", "memory": "200Mi"}));
        assert_eq!(place(&mut cluster, small).unwrap(), "node2");
    }
}

#[test]
fn the_least_important_pods_make_room_and_no_more_than_needed() {
    let mut cluster = cluster([node("node1", json!({})), node("node2", json!({}))]);
    for (name, cpu, priority, on) in
        [("a", "2", 5, "node1"), ("b", "2", 1, "node1"), ("c", "2", 9, "node2"), ("d", "2", 9, "node2")]
    {
        let mut bound = with_priority(requesting(name, json!({"cpu": cpu})), priority);
        bound["spec"]["nodeName"] = on.into();
        cluster.put_pod(&info(bound));
    }
    let important = with_priority(requesting("important", json!({"cpu": "2"})), 10);
    match schedule(&info(important), &cluster) {
        Decision::Unschedulable { message, preemption: Some(preemption) } => {
            assert_eq!(message, "0/2 nodes are available: 2 Insufficient cpu.");
            assert_eq!(preemption.node, "node1");
            assert_eq!(preemption.victims.iter().map(|v| v.name()).collect::<Vec<_>>(), ["b"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_that_may_not_preempt_says_so() {
    let mut cluster = cluster([node("node1", json!({}))]);
    let mut low = requesting("low", json!({"cpu": "4"}));
    low["spec"]["nodeName"] = "node1".into();
    cluster.put_pod(&info(low));
    let mut polite = with_priority(requesting("polite", json!({"cpu": "4"})), 10);
    polite["spec"]["preemptionPolicy"] = "Never".into();
    assert_eq!(
        place(&mut cluster, polite).unwrap_err(),
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to \
         preemptionPolicy=Never."
    );
}
