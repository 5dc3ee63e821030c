//! DaemonSets over the raw store with a kubelet that only writes statuses.

use super::*;
use crate::testing::Cluster;
use embedded_apimachinery::Store;
use serde_json::json;

fn daemon() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "ds", "annotations": {"deprecated.daemonset.template.generation": "1"}},
        "spec": {"selector": {"matchLabels": {"app": "ds"}}, "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        "template": {"metadata": {"labels": {"app": "ds"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}}}})
}

fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"disk": "ssd"}}, "spec": {}})
}

fn cluster(set: Value) -> Cluster {
    let cluster = Cluster::new(vec![Box::new(DaemonSets::default())]);
    for name in ["n1", "n2", "n3"] {
        Store::create(&cluster.store, &NODES, node(name)).unwrap();
    }
    cluster.create(&DAEMON_SETS, set);
    cluster
}

fn set_image(cluster: &Cluster, image: &str, generation: &str) {
    cluster.modify(&DAEMON_SETS, "ds", "", &|set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
        object::set_annotation(set, "deprecated.daemonset.template.generation", generation);
    });
}

fn change_node(cluster: &Cluster, name: &str, change: &dyn Fn(&mut Value)) {
    let change = |node: &Object| {
        let mut node = Value::clone(node);
        change(&mut node);
        Ok(node)
    };
    Store::update(&cluster.store, &NODES, "", name, change).unwrap();
}

/// The nodes that pods are meant for.
fn nodes(cluster: &Cluster) -> Vec<String> {
    let mut nodes: Vec<String> = cluster.list(&PODS).iter().map(|pod| meant_for(pod).to_owned()).collect();
    nodes.sort();
    nodes
}

/// The kubelet of these tests binds to any node, so only the affinity tells.
fn meant_for(pod: &Value) -> &str {
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    str_at(pod, &format!("{terms}/0/matchFields/0/values/0"))
}

/// Binds pods to the nodes they are meant for, as the scheduler does.
fn run(cluster: &mut Cluster) {
    for _ in 0..100 {
        let before = cluster.store.revision();
        cluster.settle();
        bind(cluster);
        cluster.start_pods();
        cluster.finish_deletions();
        if cluster.store.revision() == before {
            return;
        }
    }
    panic!("the cluster does not come to rest");
}

fn bind(cluster: &Cluster) {
    for pod in cluster.list(&PODS).iter().filter(|pod| str_at(pod, "/spec/nodeName").is_empty()) {
        cluster.modify(&PODS, object::name(pod), "", &|pod| pod["spec"]["nodeName"] = meant_for(pod).to_owned().into());
    }
}

#[test]
fn every_node_gets_a_pod_that_tolerates_trouble() {
    let mut cluster = cluster(daemon());
    run(&mut cluster);
    assert_eq!(nodes(&cluster), ["n1", "n2", "n3"]);
    let pod = &cluster.list(&PODS)[0];
    assert_eq!(
        pod["spec"]["tolerations"],
        json!([
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}])
    );
    let revision = &cluster.list(&CONTROLLER_REVISIONS)[0];
    let hash = object::label(revision, "controller-revision-hash").unwrap();
    assert_eq!(object::name(revision), format!("ds-{hash}"));
    assert_eq!(revision["metadata"]["annotations"], json!({"deprecated.daemonset.template.generation": "1"}));
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"app": "ds", "controller-revision-hash": hash, "pod-template-generation": "1"})
    );
    assert_eq!(
        cluster.status(&DAEMON_SETS, "ds"),
        json!({"currentNumberScheduled": 3, "numberMisscheduled": 0, "desiredNumberScheduled": 3, "numberReady": 3,
            "observedGeneration": 1, "updatedNumberScheduled": 3, "numberAvailable": 3})
    );
}

#[test]
fn new_nodes_get_pods_and_taints_and_labels_are_respected() {
    let mut set = daemon();
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    let mut cluster = cluster(set);
    let taint = |effect: &str| json!([{"key": "k", "effect": effect}]);
    change_node(&cluster, "n1", &|node| node["spec"]["taints"] = taint("NoSchedule"));
    change_node(&cluster, "n2", &|node| node["metadata"]["labels"] = json!({"disk": "hdd"}));
    change_node(&cluster, "n3", &|node| node["spec"]["unschedulable"] = true.into());
    run(&mut cluster);
    assert_eq!(nodes(&cluster), ["n3"]);

    change_node(&cluster, "n1", &|node| node["spec"]["taints"] = json!([]));
    Store::create(&cluster.store, &NODES, node("n4")).unwrap();
    run(&mut cluster);
    assert_eq!(nodes(&cluster), ["n1", "n3", "n4"]);

    change_node(&cluster, "n1", &|node| node["spec"]["taints"] = taint("NoSchedule"));
    change_node(&cluster, "n4", &|node| node["spec"]["taints"] = taint("NoExecute"));
    run(&mut cluster);
    assert_eq!(nodes(&cluster), ["n1", "n3"], "pods stay where new ones would not come, but not against NoExecute");
    assert_eq!(cluster.status(&DAEMON_SETS, "ds")["numberMisscheduled"], 1);
}

#[test]
fn updates_go_node_by_node() {
    let mut cluster = cluster(daemon());
    run(&mut cluster);
    set_image(&cluster, "b", "2");
    for step in 1..=3 {
        cluster.settle();
        let going = cluster.list(&PODS).iter().filter(|pod| object::is_deleting(pod)).count();
        assert_eq!(going, 1, "step {step}");
        cluster.finish_deletions();
        cluster.settle();
        bind(&cluster);
        cluster.settle();
        let going = cluster.list(&PODS).iter().filter(|pod| object::is_deleting(pod)).count();
        assert_eq!(going, 0, "step {step}: the new pod is not available yet");
        cluster.start_pods();
    }
    run(&mut cluster);
    let images: Vec<_> = cluster.list(&PODS).iter().map(|pod| pod["spec"]["containers"][0]["image"].clone()).collect();
    assert_eq!(images, ["b", "b", "b"]);
    assert_eq!(cluster.status(&DAEMON_SETS, "ds")["updatedNumberScheduled"], 3);
}

#[test]
fn with_a_surge_new_pods_come_first() {
    let mut set = daemon();
    set["spec"]["updateStrategy"]["rollingUpdate"] = json!({"maxUnavailable": 0, "maxSurge": 1});
    let mut cluster = cluster(set);
    run(&mut cluster);
    set_image(&cluster, "b", "2");
    cluster.settle();
    assert_eq!(cluster.list(&PODS).len(), 4);
    assert!(cluster.list(&PODS).iter().all(|pod| !object::is_deleting(pod)));
    run(&mut cluster);
    assert_eq!(nodes(&cluster), ["n1", "n2", "n3"]);
    assert_eq!(cluster.status(&DAEMON_SETS, "ds")["updatedNumberScheduled"], 3);
}

#[test]
fn a_failed_pod_is_replaced_with_a_note() {
    let mut cluster = cluster(daemon());
    run(&mut cluster);
    let pod = cluster.names(&PODS)[0].clone();
    cluster.end(&pod, "Failed", 1);
    run(&mut cluster);
    assert_eq!(nodes(&cluster), ["n1", "n2", "n3"]);
    assert_eq!(cluster.find(&PODS, &pod), None);
    assert!(cluster.events().iter().any(|e| e.contains("FailedDaemonPod: Found failed daemon pod ns/")));
}

#[test]
fn pods_that_were_never_bound_go_with_their_node() {
    let mut cluster = cluster(daemon());
    cluster.settle();
    Store::delete(&cluster.store, &NODES, "", "n2", |_| Ok(())).unwrap();
    run(&mut cluster);
    assert_eq!(nodes(&cluster), ["n1", "n3"]);
}

#[test]
fn a_node_affinity_of_the_template_is_kept_beside_the_nodes_name() {
    let expressions = json!([{"key": "disk", "operator": "In", "values": ["ssd"]}]);
    let mut set = daemon();
    set["spec"]["template"]["spec"]["affinity"]["nodeAffinity"] = json!({
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}});
    let revision = Revision { name: "ds-x".into(), hash: "x".into(), template: Value::Null };
    let pod = placement::pod_for(&set, &revision, "n1");
    assert_eq!(
        pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"],
        json!([{"matchExpressions": expressions,
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}])
    );
}
