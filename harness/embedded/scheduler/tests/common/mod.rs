//! Clusters and pods for the tests.
#![allow(dead_code)] // each test binary uses its own part

use std::sync::Arc;

use embedded_apimachinery::Object;
use embedded_apimachinery::resource::NODES;
use embedded_scheduler::{Cluster, Decision, PodInfo, schedule};
use serde_json::{Value, json};

/// Four nodes, as in the recordings.
pub fn four_nodes() -> Cluster {
    cluster((1..=4).map(|n| node(&format!("node{n}"), json!({}))))
}

pub fn cluster(nodes: impl IntoIterator<Item = Value>) -> Cluster {
    let mut cluster = Cluster::default();
    for node in nodes {
        cluster.put(&NODES, Object::new(node));
    }
    cluster
}

/// `spec` is merged into the node's.
pub fn node(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": spec,
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "100Gi", "pods": "110"}}})
}

/// A pod of namespace `ns` with one container; `spec` adds to and replaces what is in the spec.
pub fn pod(name: &str, labels: Value, spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]}, "status": {"phase": "Pending"}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    pod
}

pub fn requesting(name: &str, requests: Value) -> Value {
    pod(name, json!({}), json!({"containers": [{"name": "c", "resources": {"requests": requests}}]}))
}

pub fn info(pod: Value) -> Arc<PodInfo> {
    Arc::new(PodInfo::new(Object::new(pod)))
}

/// Schedules a pod and, if it fits, leaves it there. The node, or the message.
pub fn place(cluster: &mut Cluster, mut pod: Value) -> Result<String, String> {
    match schedule(&info(pod.clone()), cluster) {
        Decision::Place { node, .. } => {
            pod["spec"]["nodeName"] = node.clone().into();
            cluster.put_pod(&info(pod));
            Ok(node)
        }
        Decision::Unschedulable { message, .. } => Err(message),
    }
}
