//! The loop against a store.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{node, pod, requesting};
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{
    CORE_EVENTS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES,
};
use embedded_apimachinery::{Actor, Api, DeleteOptions, GroupResource, Object, Store};
use embedded_scheduler::worker::Worker;
use serde_json::{Value, json};

struct Harness {
    store: Arc<Store>,
    worker: Worker,
}

impl Harness {
    fn with_nodes(nodes: usize) -> Self {
        let store: Arc<Store> = Arc::default();
        let mut harness = Self { worker: Worker::new(Arc::new(store.clone())), store };
        for n in 1..=nodes {
            harness.create(&NODES, "", node(&format!("node{n}"), json!({})));
        }
        harness.settle();
        harness
    }

    fn create(&self, resource: &GroupResource, namespace: &str, object: Value) -> Object {
        Api::create(&self.store, &Actor::system("test"), resource, namespace, object).unwrap()
    }

    fn change(&self, resource: &GroupResource, namespace: &str, name: &str, change: impl Fn(&mut Value)) {
        let change = &mut |object: &mut Value| {
            change(object);
            Ok(())
        };
        Api::modify(&self.store, &Actor::system("test"), resource, namespace, name, "", change).unwrap();
    }

    fn remove(&self, name: &str) {
        let now = DeleteOptions { grace_period: Some(0), ..Default::default() };
        Api::delete(&self.store, &Actor::system("test"), &PODS, "ns", name, &now).unwrap();
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.worker.step() {
                return;
            }
        }
        panic!("the scheduler does not come to rest");
    }

    fn pod(&self, name: &str) -> Object {
        Api::get(&self.store, &PODS, "ns", name).unwrap()
    }

    fn node_of(&self, name: &str) -> String {
        str_at(&self.pod(name), "/spec/nodeName").to_owned()
    }

    fn events(&self, name: &str) -> Vec<(String, String)> {
        let (events, _) = Api::list(&self.store, &CORE_EVENTS, Some("ns"));
        let about = events.iter().filter(|e| str_at(e, "/involvedObject/name") == name);
        about.map(|e| (str_at(e, "/reason").to_owned(), str_at(e, "/message").to_owned())).collect()
    }
}

#[test]
fn a_binding_is_announced_and_marked() {
    let mut harness = Harness::with_nodes(1);
    harness.create(&PODS, "ns", pod("p", json!({}), json!({})));
    harness.settle();
    assert_eq!(harness.node_of("p"), "node1");
    assert_eq!(object::condition(&harness.pod("p"), "PodScheduled").unwrap()["status"], "True");
    assert_eq!(harness.events("p"), [("Scheduled".to_owned(), "Successfully assigned ns/p to node1".to_owned())]);
}

#[test]
fn a_pod_that_fits_nowhere_is_told_once_and_tried_again_when_room_appears() {
    let mut harness = Harness::with_nodes(1);
    harness.create(&PODS, "ns", requesting("first", json!({"cpu": "3"})));
    harness.settle();
    harness.create(&PODS, "ns", requesting("second", json!({"cpu": "3"})));
    harness.settle();
    let refused = harness.pod("second");
    let condition = object::condition(&refused, "PodScheduled").unwrap();
    assert_eq!((str_at(condition, "/status"), str_at(condition, "/reason")), ("False", "Unschedulable"));
    assert_eq!(harness.events("second"), [("FailedScheduling".to_owned(), str_at(condition, "/message").to_owned())]);

    let revision = harness.store.revision();
    harness.change(&NODES, "", "node1", |node| node["status"]["conditions"] = json!([{"type": "Ready"}]));
    harness.settle();
    assert_eq!(harness.store.revision(), revision + 1, "a heartbeat is no reason to try again");

    harness.remove("first");
    harness.settle();
    assert_eq!(harness.node_of("second"), "node1");
    assert_eq!(object::condition(&harness.pod("second"), "PodScheduled").unwrap()["status"], "True");
}

#[test]
fn a_refusal_is_written_again_only_when_its_reasons_change() {
    let mut harness = Harness::with_nodes(1);
    harness.create(&PODS, "ns", requesting("large", json!({"cpu": "64"})));
    harness.settle();
    let revision = harness.store.revision();
    harness.change(&NODES, "", "node1", |node| node["metadata"]["labels"]["new"] = "label".into());
    harness.settle();
    assert_eq!(harness.store.revision(), revision + 1);
    harness.change(&NODES, "", "node1", |node| node["spec"]["unschedulable"] = true.into());
    harness.settle();
    assert_eq!(harness.events("large").len(), 2);
}

#[test]
fn pods_of_other_schedulers_and_gated_pods_are_left_alone() {
    let mut harness = Harness::with_nodes(1);
    harness.create(&PODS, "ns", pod("other", json!({}), json!({"schedulerName": "nobody"})));
    harness.create(&PODS, "ns", pod("gated", json!({}), json!({"schedulingGates": [{"name": "g"}]})));
    harness.settle();
    assert_eq!((harness.node_of("other"), harness.node_of("gated")), (String::new(), String::new()));
    assert!(object::condition(&harness.pod("other"), "PodScheduled").is_none());
    harness.change(&PODS, "ns", "gated", |pod| pod["spec"]["schedulingGates"] = json!([]));
    harness.settle();
    assert_eq!(harness.node_of("gated"), "node1");
}

#[test]
fn the_more_important_pod_goes_first_when_room_is_short() {
    let mut harness = Harness::with_nodes(0);
    for (name, priority) in [("low", 1), ("high", 100)] {
        let mut pod = requesting(name, json!({"cpu": "3"}));
        pod["spec"]["priority"] = priority.into();
        harness.create(&PODS, "ns", pod);
    }
    harness.settle();
    harness.create(&NODES, "", node("node1", json!({})));
    harness.settle();
    assert_eq!((harness.node_of("high"), harness.node_of("low")), ("node1".to_owned(), String::new()));
}

#[test]
fn a_pod_of_lower_priority_makes_room() {
    let mut harness = Harness::with_nodes(1);
    harness.create(&PODS, "ns", requesting("low", json!({"cpu": "3"})));
    harness.settle();
    let mut high = requesting("high", json!({"cpu": "3"}));
    high["spec"]["priority"] = 100.into();
    harness.create(&PODS, "ns", high);
    harness.settle();
    let victim = harness.pod("low");
    assert!(object::is_deleting(&victim));
    assert_eq!(object::condition(&victim, "DisruptionTarget").unwrap()["reason"], "PreemptionByScheduler");
    assert_eq!(harness.pod("high")["status"]["nominatedNodeName"], "node1");
    harness.remove("low");
    harness.settle();
    assert_eq!(harness.node_of("high"), "node1");
}

#[test]
fn claims_that_wait_for_a_consumer_learn_the_node_and_the_pod_follows_the_volume() {
    let mut harness = Harness::with_nodes(2);
    harness.create(
        &STORAGE_CLASSES,
        "",
        json!({"metadata": {"name": "standard"}, "provisioner": "example.com/p",
        "volumeBindingMode": "WaitForFirstConsumer"}),
    );
    harness.create(
        &PERSISTENT_VOLUME_CLAIMS,
        "ns",
        json!({"metadata": {"name": "c"},
        "spec": {"storageClassName": "standard"}}),
    );
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]);
    harness.create(&PODS, "ns", pod("p", json!({}), json!({"volumes": volumes})));
    harness.settle();
    let claim = Api::get(&harness.store, &PERSISTENT_VOLUME_CLAIMS, "ns", "c").unwrap();
    let selected = object::annotation(&claim, "volume.kubernetes.io/selected-node").unwrap().to_owned();
    assert_eq!(harness.node_of("p"), "", "the volume is not there yet");
    harness.change(&PERSISTENT_VOLUME_CLAIMS, "ns", "c", |claim| {
        claim["spec"]["volumeName"] = "v".into();
        object::set_annotation(claim, "pv.kubernetes.io/bind-completed", "yes");
    });
    let volume = json!({"metadata": {"name": "v"}});
    harness.create(&PERSISTENT_VOLUMES, "", volume);
    harness.settle();
    assert_eq!(harness.node_of("p"), "", "a kubelet would not take the claim for bound yet");
    harness.change(&PERSISTENT_VOLUME_CLAIMS, "ns", "c", |claim| claim["status"] = json!({"phase": "Bound"}));
    harness.settle();
    assert_eq!(harness.node_of("p"), selected);
}

#[test]
fn a_burst_of_pods_is_spread_while_their_bindings_are_still_to_be_seen() {
    let mut harness = Harness::with_nodes(4);
    for n in 0..50 {
        let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "a"}}}]});
        harness.create(&PODS, "ns", pod(&format!("p{n}"), json!({"app": "a"}), spread));
    }
    harness.settle();
    let mut counts = BTreeMap::new();
    for n in 0..50 {
        *counts.entry(harness.node_of(&format!("p{n}"))).or_insert(0) += 1;
    }
    let mut counts: Vec<i32> = counts.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [12, 12, 13, 13]);
}
