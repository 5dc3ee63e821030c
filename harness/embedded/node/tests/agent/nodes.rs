//! Nodes that are stopped, frozen and brought back.

use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{Actor, Api, object};
use serde_json::{Value, json};

use crate::fakes::{NODE, TestNode, of_container, phase};

fn restarts(pod: &Value) -> Option<i64> {
    object::int_at(pod, "/status/containerStatuses/0/restartCount")
}

/// As the node controller does when a node falls silent.
fn mark_unready(node: &TestNode) {
    Api::modify(&node.store, &Actor::system("test"), &PODS, "ns", "p", "status", &mut |pod| {
        for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = "False".into();
            }
        }
        Ok(())
    })
    .unwrap();
}

#[tokio::test]
async fn what_ran_on_a_stopped_node_is_dead_and_nobody_says_so() {
    let node = TestNode::start();
    node.create(&["run"], |_| {});
    let before = node.pod(object::pod_is_ready).await;
    node.agent.stop_node(NODE).await.unwrap();
    assert_eq!(node.runtime.asked(), ["start c-0", "signal 9 c-0", "remove c-0"]);
    assert_eq!(*node.pod(|_| true).await, *before, "the API was told of it");
    // The address stays taken: packets to it are lost rather than refused.
    assert_eq!(node.network.attached.lock().len(), 1);
    node.delete(0);
    node.agent.stop_node(NODE).await.unwrap();
    assert!(node.agent.freeze_node(NODE).await.unwrap_err().contains("is stopped"));
    assert!(node.agent.hold("ns", "p", "c").await.unwrap_err().contains("no node runs pod ns/p"));
    assert!(node.agent.stop_node("other").await.unwrap_err().contains("no node \"other\""));
    assert!(object::is_deleting(node.pod(|_| true).await.as_ref()), "a pod went although its kubelet is away");
}

#[tokio::test]
async fn pods_of_a_node_that_comes_back_are_started_anew() {
    let node = TestNode::start();
    node.create(&["run"], |spec| {
        spec["initContainers"] = json!([{"name": "i", "image": "busybox:1", "command": ["exit", "0"]}]);
        spec["volumes"] = json!([{"name": "data", "emptyDir": {}}, {"name": "conf", "downwardAPI": {"items": []}}]);
    });
    let before = node.pod(object::pod_is_ready).await;
    let volumes = node.directory.path().join(object::uid(&before)).join("volumes");
    std::fs::write(volumes.join("data/kept"), "").unwrap();
    node.agent.stop_node(NODE).await.unwrap();
    assert!(volumes.join("data/kept").exists() && !volumes.join("conf").exists());
    mark_unready(&node);
    node.agent.return_node(NODE).await.unwrap();
    let pod = node.pod(|pod| object::pod_is_ready(pod) && restarts(pod) == Some(1)).await;
    assert_eq!(of_container(&pod, "/lastState/terminated/reason"), "Unknown");
    assert_eq!(object::int_at(&pod, "/status/containerStatuses/0/lastState/terminated/exitCode"), Some(255));
    assert_eq!(object::int_at(&pod, "/status/initContainerStatuses/0/restartCount"), Some(1));
    assert!(volumes.join("data/kept").exists() && volumes.join("conf").exists());
    let starts: Vec<String> = node.runtime.asked().into_iter().filter(|asked| asked.starts_with("start")).collect();
    assert_eq!(starts, ["start i-0", "start c-0", "start i-1", "start c-1"]);
    assert_eq!(node.network.attached.lock().len(), 1, "the old network is still there");
    assert_eq!(node.times("SandboxChanged"), 1);
}

#[tokio::test]
async fn a_pod_that_never_restarts_has_failed_when_its_node_comes_back() {
    let node = TestNode::start();
    node.create(&["run"], |spec| spec["restartPolicy"] = "Never".into());
    node.pod(object::pod_is_ready).await;
    node.agent.stop_node(NODE).await.unwrap();
    node.agent.return_node(NODE).await.unwrap();
    let pod = node.pod(|pod| phase(pod) == "Failed").await;
    assert_eq!(of_container(&pod, "/state/terminated/reason"), "Unknown");
}

#[tokio::test]
async fn pods_deleted_while_a_node_was_off_go_when_it_comes_back() {
    let node = TestNode::start();
    node.create(&["run"], |_| {});
    node.pod(object::pod_is_ready).await;
    node.agent.stop_node(NODE).await.unwrap();
    node.delete(30);
    node.agent.return_node(NODE).await.unwrap();
    node.gone().await;
    node.agent.stop().await;
    assert_eq!(node.directory.path().read_dir().unwrap().count(), 0, "files of the pod are left");
}

#[tokio::test]
async fn pods_forgotten_while_a_node_was_off_leave_nothing_there() {
    let node = TestNode::start();
    node.create(&["run"], |_| {});
    node.pod(object::pod_is_ready).await;
    node.agent.stop_node(NODE).await.unwrap();
    node.force_delete();
    node.gone().await;
    node.agent.return_node(NODE).await.unwrap();
    assert_eq!(node.directory.path().read_dir().unwrap().count(), 0, "files of the pod are left");
    assert!(node.network.attached.lock().is_empty());
}

#[tokio::test]
async fn a_pod_that_is_being_ended_when_the_power_goes_is_ended_later() {
    let node = TestNode::start();
    node.create(&["stubborn"], |_| {});
    node.pod(object::pod_is_ready).await;
    node.delete(600);
    while !node.runtime.asked().contains(&"signal 15 c-0".to_owned()) {
        tokio::task::yield_now().await;
    }
    node.agent.stop_node(NODE).await.unwrap();
    assert!(node.runtime.asked().contains(&"signal 9 c-0".to_owned()));
    assert!(object::is_deleting(node.pod(|_| true).await.as_ref()));
    node.agent.return_node(NODE).await.unwrap();
    node.gone().await;
}

#[tokio::test]
async fn a_frozen_node_does_nothing_until_it_goes_on() {
    let node = TestNode::start();
    node.create(&["run"], |_| {});
    let before = node.pod(object::pod_is_ready).await;
    node.agent.freeze_node(NODE).await.unwrap();
    node.agent.freeze_node(NODE).await.unwrap();
    assert!(node.agent.hold("ns", "p", "c").await.unwrap_err().contains("is frozen"));
    mark_unready(&node);
    node.agent.return_node(NODE).await.unwrap();
    // The kubelet knows better, and nothing was started anew.
    let after = node.pod(object::pod_is_ready).await;
    assert_eq!((restarts(&after), object::uid(&after)), (Some(0), object::uid(&before)));
    assert_eq!(node.runtime.asked(), ["start c-0", "freeze c-0", "freeze c-0", "thaw c-0"]);
}

#[tokio::test]
async fn what_was_asked_of_a_frozen_node_is_done_when_it_goes_on() {
    let node = TestNode::start();
    node.create(&["run"], |_| {});
    node.pod(object::pod_is_ready).await;
    node.agent.freeze_node(NODE).await.unwrap();
    node.force_delete();
    node.gone().await;
    node.create(&["run"], |_| {});
    assert_eq!(node.runtime.asked(), ["start c-0", "freeze c-0"]);
    node.agent.return_node(NODE).await.unwrap();
    node.pod(object::pod_is_ready).await;
    node.agent.stop().await;
    let asked = node.runtime.asked();
    assert_eq!(asked.iter().filter(|asked| *asked == "remove c-0").count(), 2, "{asked:?}");
    assert_eq!(asked[2], "thaw c-0", "those deleted by force go on, too");
}

#[tokio::test]
async fn a_frozen_node_can_be_stopped() {
    let node = TestNode::start();
    node.create(&["run"], |_| {});
    node.pod(object::pod_is_ready).await;
    node.agent.freeze_node(NODE).await.unwrap();
    node.agent.stop_node(NODE).await.unwrap();
    assert!(node.runtime.asked().contains(&"signal 9 c-0".to_owned()));
    node.agent.return_node(NODE).await.unwrap();
    node.pod(|pod| object::pod_is_ready(pod) && restarts(pod) == Some(1)).await;
}
