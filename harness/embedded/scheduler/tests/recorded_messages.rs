//! The messages of real clusters, from recordings of Kubernetes 1.36 with four nodes.

mod common;

use common::{cluster, four_nodes, node, place, pod, requesting};
use embedded_apimachinery::Object;
use embedded_apimachinery::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use serde_json::{Value, json};

const NO_HELP: &str = "no new claims to deallocate, preemption: 0/4 nodes are available: 4 Preemption is not helpful for \
                       scheduling.";

fn anti_affinity_to(app: &str) -> Value {
    term("podAntiAffinity", app)
}

fn term(kind: &str, app: &str) -> Value {
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}]}}})
}

fn spread(extra: Value) -> Value {
    let mut constraint = json!({"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "t"}}});
    for (key, value) in extra.as_object().unwrap() {
        constraint[key] = value.clone();
    }
    json!({"topologySpreadConstraints": [constraint], "nodeSelector": {"kubernetes.io/hostname": "node1"}})
}

#[test]
fn what_is_short_is_named() {
    for (requests, short) in [
        (json!({"cpu": "1000"}), "4 Insufficient cpu"),
        (json!({"cpu": "1000", "memory": "100Ti"}), "4 Insufficient cpu, 4 Insufficient memory"),
        (json!({"example.com/x": "1"}), "4 Insufficient example.com/x"),
    ] {
        let refused = place(&mut four_nodes(), requesting("p", requests)).unwrap_err();
        assert_eq!(refused, format!("0/4 nodes are available: {short}. {NO_HELP}"));
    }
}

#[test]
fn what_would_fit_an_empty_node_makes_preemption_thinkable() {
    let mut cluster = four_nodes();
    for n in 0..4 {
        place(&mut cluster, requesting(&format!("p{n}"), json!({"cpu": "3"}))).unwrap();
    }
    assert_eq!(
        place(&mut cluster, requesting("late", json!({"cpu": "3"}))).unwrap_err(),
        "0/4 nodes are available: 4 Insufficient cpu. no new claims to deallocate, preemption: 0/4 nodes are \
         available: 4 No preemption victims found for incoming pod."
    );
}

#[test]
fn selectors_and_affinity_share_a_message() {
    let nowhere = json!([{"matchExpressions": [{"key": "none", "operator": "Exists"}]}]);
    for spec in [
        json!({"nodeSelector": {"none": "none"}}),
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": nowhere}}}}),
    ] {
        assert_eq!(
            place(&mut four_nodes(), pod("p", json!({}), spec)).unwrap_err(),
            format!("0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector. {NO_HELP}")
        );
    }
}

#[test]
fn required_anti_affinity_leaves_the_fifth_of_five_pending() {
    let mut cluster = four_nodes();
    let of_app = |n: usize| pod(&format!("r-{n}"), json!({"app": "r"}), anti_affinity_to("r"));
    let mut nodes: Vec<_> = (0..4).map(|n| place(&mut cluster, of_app(n)).unwrap()).collect();
    nodes.sort();
    assert_eq!(nodes, ["node1", "node2", "node3", "node4"]);
    assert_eq!(
        place(&mut cluster, of_app(4)).unwrap_err(),
        "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, \
         preemption: 0/4 nodes are available: 4 No preemption victims found for incoming pod."
    );
}

#[test]
fn anti_affinity_of_pods_that_run_is_respected_too() {
    let mut cluster = cluster([node("node1", json!({}))]);
    place(&mut cluster, pod("loner", json!({}), anti_affinity_to("web"))).unwrap();
    assert_eq!(
        place(&mut cluster, pod("web", json!({"app": "web"}), json!({}))).unwrap_err(),
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules. no new claims to \
         deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
}

#[test]
fn required_affinity_needs_company_unless_the_pod_is_its_own() {
    let near = |app: &str| pod("near", json!({"app": "self"}), term("podAffinity", app));
    assert_eq!(
        place(&mut four_nodes(), near("none")).unwrap_err(),
        format!("0/4 nodes are available: 4 node(s) didn't match pod affinity rules. {NO_HELP}")
    );
    place(&mut four_nodes(), near("self")).unwrap();

    let mut cluster = four_nodes();
    let there = place(&mut cluster, pod("company", json!({"app": "self"}), json!({}))).unwrap();
    assert_eq!(place(&mut cluster, near("self")).unwrap(), there);
}

#[test]
fn taints_keep_pods_away_that_do_not_tolerate_them() {
    let tainted = node("node4", json!({"taints": [{"key": "golden", "value": "x", "effect": "NoSchedule"}]}));
    let mut cluster = cluster((1..=3).map(|n| node(&format!("node{n}"), json!({}))).chain([tainted]));
    let on_node4 =
        |tolerations: Value| json!({"nodeSelector": {"kubernetes.io/hostname": "node4"}, "tolerations": tolerations});
    assert_eq!(
        place(&mut cluster, pod("no", json!({}), on_node4(json!([])))).unwrap_err(),
        format!(
            "0/4 nodes are available: 1 node(s) had untolerated taint(s), 3 node(s) didn't match Pod's node \
             affinity/selector. {NO_HELP}"
        )
    );
    let equal = json!([{"key": "golden", "operator": "Equal", "value": "x", "effect": "NoSchedule"}]);
    assert_eq!(place(&mut cluster, pod("yes", json!({}), on_node4(equal))).unwrap(), "node4");
    assert_eq!(place(&mut cluster, pod("all", json!({}), on_node4(json!([{"operator": "Exists"}])))).unwrap(), "node4");
}

#[test]
fn cordoned_nodes_take_no_pods() {
    let mut cluster = cluster([node("node1", json!({"unschedulable": true}))]);
    assert_eq!(
        place(&mut cluster, pod("p", json!({}), json!({}))).unwrap_err(),
        "0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/1 nodes are \
         available: 1 Preemption is not helpful for scheduling."
    );
    let tolerant = json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]});
    place(&mut cluster, pod("daemon", json!({}), tolerant)).unwrap();
}

#[test]
fn spread_constraints_keep_the_skew_among_the_nodes_that_count() {
    let mut cluster = four_nodes();
    let mut counts = std::collections::BTreeMap::new();
    for n in 0..8 {
        let mut even = spread(json!({}));
        even["nodeSelector"] = json!({});
        *counts.entry(place(&mut cluster, pod(&format!("s-{n}"), json!({"app": "t"}), even)).unwrap()).or_insert(0) +=
            1;
    }
    assert!(counts.values().all(|count| *count == 2), "{counts:?}");

    let mut cluster = four_nodes();
    let labels = || json!({"app": "t"});
    assert_eq!(place(&mut cluster, pod("one", labels(), spread(json!({})))).unwrap(), "node1");
    assert_eq!(place(&mut cluster, pod("two", labels(), spread(json!({})))).unwrap(), "node1");
    assert_eq!(
        place(&mut cluster, pod("three", labels(), spread(json!({"nodeAffinityPolicy": "Ignore"})))).unwrap_err(),
        "0/4 nodes are available: 1 node(s) didn't match pod topology spread constraints, 3 node(s) didn't match Pod's \
         node affinity/selector. no new claims to deallocate, preemption: 0/4 nodes are available: 1 No preemption \
         victims found for incoming pod, 3 Preemption is not helpful for scheduling."
    );
    let anyway = json!({"nodeAffinityPolicy": "Ignore", "whenUnsatisfiable": "ScheduleAnyway"});
    assert_eq!(place(&mut cluster, pod("four", labels(), spread(anyway))).unwrap(), "node1");
}

fn with_claim(name: &str) -> Value {
    pod("p", json!({}), json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]}))
}

#[test]
fn claims_must_exist_and_be_bound() {
    let mut cluster = four_nodes();
    assert_eq!(
        place(&mut cluster, with_claim("none")).unwrap_err(),
        "0/4 nodes are available: persistentvolumeclaim \"none\" not found. not found"
    );
    let claim = json!({"metadata": {"name": "c", "namespace": "ns"}, "spec": {"storageClassName": "unknown"}});
    cluster.put(&PERSISTENT_VOLUME_CLAIMS, Object::new(claim));
    assert_eq!(
        place(&mut cluster, with_claim("c")).unwrap_err(),
        "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    );
}

#[test]
fn bound_volumes_decide_where_their_pods_run() {
    let mut cluster = four_nodes();
    let claim = json!({"metadata": {"name": "c", "namespace": "ns",
        "annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "v"}});
    let volume = |host: &str| {
        Object::new(json!({"metadata": {"name": "v"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}]}}}}))
    };
    cluster.put(&PERSISTENT_VOLUME_CLAIMS, Object::new(claim));
    cluster.put(&PERSISTENT_VOLUMES, volume("node3"));
    assert_eq!(place(&mut cluster.clone(), with_claim("c")).unwrap(), "node3");
    cluster.put(&PERSISTENT_VOLUMES, volume("gone"));
    assert_eq!(
        place(&mut cluster, with_claim("c")).unwrap_err(),
        format!("0/4 nodes are available: 4 node(s) didn't match PersistentVolume's node affinity. {NO_HELP}")
    );
}

#[test]
fn pods_of_daemons_say_which_node_they_mean() {
    let mut cluster = four_nodes();
    let for_node = |name: &str| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]}}}})
    };
    assert_eq!(place(&mut cluster, pod("ds", json!({}), for_node("node2"))).unwrap(), "node2");
    let mut large = requesting("large", json!({"cpu": "64"}));
    large["spec"]["affinity"] = for_node("node2")["affinity"].clone();
    assert_eq!(
        place(&mut cluster, large).unwrap_err(),
        format!(
            "0/4 nodes are available: 1 Insufficient cpu, 3 node(s) didn't satisfy plugin(s) [NodeAffinity]. {NO_HELP}"
        )
    );
}

#[test]
fn a_host_port_is_given_once() {
    let mut cluster = cluster([node("node1", json!({}))]);
    let on_port = |name: &str, ip: &str| {
        pod(name, json!({}), json!({"containers": [{"name": "c", "ports": [{"hostPort": 80, "hostIP": ip}]}]}))
    };
    place(&mut cluster, on_port("a", "10.0.0.1")).unwrap();
    place(&mut cluster, on_port("b", "10.0.0.2")).unwrap();
    assert_eq!(
        place(&mut cluster, on_port("c", "")).unwrap_err(),
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. no new claims to \
         deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
}

#[test]
fn a_cluster_without_nodes_says_so() {
    assert_eq!(place(&mut cluster([]), with_claim("c")).unwrap_err(), "no nodes available to schedule pods");
}
