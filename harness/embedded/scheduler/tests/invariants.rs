//! What must hold whatever pods come in whatever order.

mod common;

use common::{cluster, info, node, place};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
struct Wish {
    cpu: i64,
    memory: i64,
    app: usize,
    apart_from: Option<usize>,
    host_port: Option<i64>,
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let wish = (
        0..3000_i64,
        0..4096_i64,
        0..3_usize,
        prop::option::of(0..3_usize),
        prop::option::weighted(0.2, 8000..8003_i64),
    )
        .prop_map(|(cpu, memory, app, apart_from, host_port)| Wish { cpu, memory, app, apart_from, host_port });
    prop::collection::vec(wish, 1..40)
}

fn as_pod(index: usize, wish: &Wish) -> Value {
    let mut spec = json!({"containers": [{"name": "c",
        "resources": {"requests": {"cpu": format!("{}m", wish.cpu), "memory": format!("{}Mi", wish.memory)}}}]});
    if let Some(port) = wish.host_port {
        spec["containers"][0]["ports"] = json!([{"hostPort": port}]);
    }
    if let Some(app) = wish.apart_from {
        spec["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": app.to_string()}}, "topologyKey": "kubernetes.io/hostname"}]}});
    }
    common::pod(&format!("p{index}"), json!({"app": wish.app.to_string()}), spec)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nodes_are_never_overcommitted_and_anti_affinity_is_never_broken(wishes in wishes(), nodes in 1..5_usize) {
        let mut cluster = cluster((0..nodes).map(|n| node(&format!("node{n}"), json!({}))));
        for (index, wish) in wishes.iter().enumerate() {
            let _refusals_are_fine = place(&mut cluster, as_pod(index, wish));
        }
        for node in cluster.nodes.values() {
            for resource in ["cpu", "memory"] {
                prop_assert!(node.requested(resource) <= node.allocatable[resource]);
            }
            let mut ports: Vec<_> = node.pods.values().flat_map(|p| p.host_ports.iter().map(|h| h.port)).collect();
            let given = ports.len();
            ports.sort_unstable();
            ports.dedup();
            prop_assert_eq!(ports.len(), given);
            for pod in node.pods.values() {
                for other in node.pods.values().filter(|other| other.uid() != pod.uid()) {
                    prop_assert!(!pod.anti_affinity.iter().any(|term| term.matches(other, |_| None)));
                }
            }
        }
    }

    #[test]
    fn a_pod_is_refused_only_where_it_really_does_not_fit(wishes in wishes()) {
        let mut cluster = cluster([node("node0", json!({}))]);
        for (index, wish) in wishes.iter().enumerate() {
            let pod = as_pod(index, &Wish { apart_from: None, host_port: None, ..wish.clone() });
            let (cpu, memory) = (info(pod.clone()).requests["cpu"], info(pod.clone()).requests["memory"]);
            let only = &cluster.nodes["node0"];
            let room = cpu <= only.allocatable["cpu"] - only.requested("cpu")
                && memory <= only.allocatable["memory"] - only.requested("memory");
            prop_assert_eq!(place(&mut cluster, pod).is_ok(), room);
        }
    }
}
