//! The kubelet over a store, with containers and a network that only pretend.

mod fakes;
mod nodes;

use std::time::{Duration, Instant};

use embedded_apimachinery::resource::{CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS};
use embedded_apimachinery::{Actor, Api, object};
use serde_json::json;

use fakes::{NODE_ADDRESS, POD_ADDRESS, TestNode, of_container, phase};

fn address(octets: [u8; 4]) -> String {
    std::net::IpAddr::from(octets).to_string()
}

#[tokio::test]
async fn a_pod_runs_on_its_own_address_and_says_so() {
    let node = TestNode::start();
    node.create(&["run"], |_| {});
    let pod = node.pod(object::pod_is_ready).await;
    assert_eq!(phase(&pod), "Running");
    assert_eq!(object::str_at(&pod, "/status/podIP"), address(POD_ADDRESS));
    assert_eq!(object::str_at(&pod, "/status/hostIP"), address(NODE_ADDRESS));
    let mut reasons: Vec<String> = node.events().into_iter().map(|(reason, _)| reason).collect();
    reasons.sort();
    assert_eq!(reasons, ["Created", "Pulled", "Started"]);
}

#[tokio::test]
async fn pods_on_the_hosts_network_have_their_nodes_address_and_name() {
    let node = TestNode::start();
    node.create(&["run"], |spec| spec["hostNetwork"] = true.into());
    let pod = node.pod(object::pod_is_ready).await;
    assert_eq!(object::str_at(&pod, "/status/podIP"), address(NODE_ADDRESS));
    let config = &node.runtime.configs()[0];
    assert_eq!((config.netns.to_str(), config.hostname.as_str()), (Some("/netns/cluster"), fakes::NODE));
    assert!(node.network.attached.lock().is_empty());
}

#[tokio::test]
async fn a_container_is_restarted_at_once_and_then_backs_off() {
    let node = TestNode::start();
    node.create(&["exit", "1"], |_| {});
    let pod = node.pod(|pod| of_container(pod, "/state/waiting/reason") == "CrashLoopBackOff").await;
    let uid = object::uid(&pod);
    assert_eq!(
        of_container(&pod, "/state/waiting/message"),
        format!("back-off 10s restarting failed container=c pod=p_ns({uid})")
    );
    assert_eq!(object::int_at(&pod, "/status/containerStatuses/0/restartCount"), Some(1));
    assert_eq!(of_container(&pod, "/lastState/terminated/reason"), "Error");
    assert_eq!(phase(&pod), "Running");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_a_run_that_failed() {
    let node = TestNode::start();
    node.create(&["refuse"], |spec| spec["restartPolicy"] = "Never".into());
    let pod = node.pod(|pod| phase(pod) == "Failed").await;
    assert_eq!(of_container(&pod, "/state/terminated/reason"), "StartError");
    assert_eq!(of_container(&pod, "/state/terminated/message"), "no such program");
    assert_eq!(object::int_at(&pod, "/status/containerStatuses/0/state/terminated/exitCode"), Some(128));
    assert!(node.events().contains(&("Failed".into(), "Error: no such program".into())));
}

#[tokio::test]
async fn init_containers_run_one_after_the_other_before_the_rest() {
    let node = TestNode::start();
    node.create(&["run"], |spec| {
        let init = |name: &str| json!({"name": name, "image": "busybox:1", "command": ["exit", "0"]});
        let sidecar = json!({"name": "side", "image": "busybox:1", "command": ["run"], "restartPolicy": "Always"});
        spec["initContainers"] = json!([init("one"), sidecar, init("two")]);
    });
    node.pod(object::pod_is_ready).await;
    let starts: Vec<String> = node.runtime.asked().into_iter().filter(|asked| asked.starts_with("start")).collect();
    assert_eq!(starts, ["start one-0", "start side-0", "start two-0", "start c-0"]);
}

#[tokio::test]
async fn what_does_not_obey_is_killed_after_the_grace_period() {
    let node = TestNode::start();
    node.create(&["stubborn"], |spec| {
        spec["containers"][0]["lifecycle"] = json!({"preStop": {"exec": {"command": ["exit", "0"]}}});
    });
    node.pod(object::pod_is_ready).await;
    let asked = Instant::now();
    node.delete(1);
    node.gone().await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "gone after {:?}", asked.elapsed());
    assert_eq!(node.runtime.asked(), ["start c-0", "exec c-0 exit 0", "signal 15 c-0", "signal 9 c-0", "remove c-0"]);
    assert!(node.network.attached.lock().is_empty());
}

#[tokio::test]
async fn forced_deletion_waits_for_nobody() {
    let node = TestNode::start();
    node.create(&["stubborn"], |_| {});
    node.pod(object::pod_is_ready).await;
    node.force_delete();
    node.agent.stop().await;
    assert!(node.runtime.asked().contains(&"signal 9 c-0".to_owned()));
    assert!(node.network.attached.lock().is_empty());
    assert_eq!(node.directory.path().read_dir().unwrap().count(), 0, "files of the pod are left");
}

#[tokio::test]
async fn a_hook_that_hangs_does_not_keep_a_pod_from_ending() {
    let node = TestNode::start();
    node.create(&["run"], |spec| {
        spec["containers"][0]["lifecycle"] = json!({"postStart": {"exec": {"command": ["hang"]}}});
    });
    node.pod(|pod| !object::str_at(pod, "/status/podIP").is_empty()).await;
    node.delete(5);
    node.gone().await;
    assert!(node.runtime.asked().contains(&"signal 15 c-0".to_owned()));
}

#[tokio::test]
async fn a_dead_container_is_stopped_as_any_other_and_started_again() {
    let node = TestNode::start();
    node.create(&["run"], |spec| {
        let probe = json!({"exec": {"command": ["exit", "1"]}, "failureThreshold": 1, "periodSeconds": 1});
        spec["containers"][0]["livenessProbe"] = probe;
        spec["containers"][0]["lifecycle"] = json!({"preStop": {"exec": {"command": ["exit", "0"]}}});
    });
    node.pod(|pod| object::int_at(pod, "/status/containerStatuses/0/restartCount") == Some(1)).await;
    let asked = node.runtime.asked();
    assert_eq!(
        asked[..6],
        ["start c-0", "exec c-0 exit 1", "exec c-0 exit 0", "signal 15 c-0", "remove c-0", "start c-1"]
    );
    assert!(node.events().contains(&("Killing".into(), "Container c failed liveness probe, will be restarted".into())));
}

#[tokio::test]
async fn held_containers_stay_down_until_they_are_released() {
    let node = TestNode::start();
    node.create(&["run"], |_| {});
    node.pod(object::pod_is_ready).await;
    node.agent.hold("ns", "p", "c").await.unwrap();
    let pod = node.pod(|pod| of_container(pod, "/state/terminated/reason") == "Error").await;
    assert_eq!(object::int_at(&pod, "/status/containerStatuses/0/state/terminated/exitCode"), Some(137));
    // Any change makes the kubelet look at the pod again: it must leave the container alone.
    node.agent.hold("ns", "p", "c").await.unwrap();
    assert_eq!(node.runtime.asked().iter().filter(|asked| asked.starts_with("start")).count(), 1);
    node.agent.release("ns", "p", "c").await.unwrap();
    node.pod(object::pod_is_ready).await;
    assert!(node.agent.hold("ns", "p", "other").await.unwrap_err().contains("has no container other"));
    assert!(node.agent.hold("ns", "q", "c").await.unwrap_err().contains("no node runs pod ns/q"));
}

#[tokio::test]
async fn a_container_waits_for_what_its_environment_needs() {
    let node = TestNode::start();
    node.create(&["run"], |spec| {
        let from = json!({"configMapKeyRef": {"name": "conf", "key": "a"}});
        spec["containers"][0]["env"] = json!([{"name": "A", "valueFrom": from}]);
    });
    let pod = node.pod(|pod| of_container(pod, "/state/waiting/reason") == "CreateContainerConfigError").await;
    assert_eq!(of_container(&pod, "/state/waiting/message"), "configmap \"conf\" not found");
    let conf = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a": "1"}});
    Api::create(&node.store, &Actor::system("test"), &CONFIG_MAPS, "ns", conf).unwrap();
    node.pod(object::pod_is_ready).await;
    assert!(node.runtime.configs()[0].env.contains(&("A".into(), "1".into())));
}

#[tokio::test]
async fn a_pod_waits_without_complaint_until_its_claim_is_bound() {
    let node = TestNode::start();
    let actor = Actor::system("test");
    let claim = json!({"metadata": {"name": "data"}, "spec": {}, "status": {"phase": "Pending"}});
    Api::create(&node.store, &actor, &PERSISTENT_VOLUME_CLAIMS, "ns", claim).unwrap();
    node.create(&["run"], |spec| {
        spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    });
    node.pod(|pod| of_container(pod, "/state/waiting/reason") == "ContainerCreating").await;
    let path = node.directory.path().join("volume");
    std::fs::create_dir(&path).unwrap();
    let volume = json!({"metadata": {"name": "pv"}, "spec": {"hostPath": {"path": path}}});
    Api::create(&node.store, &actor, &PERSISTENT_VOLUMES, "", volume).unwrap();
    Api::modify(&node.store, &actor, &PERSISTENT_VOLUME_CLAIMS, "ns", "data", "", &mut |claim| {
        claim["spec"]["volumeName"] = "pv".into();
        Ok(())
    })
    .unwrap();
    Api::modify(&node.store, &actor, &PERSISTENT_VOLUME_CLAIMS, "ns", "data", "status", &mut |claim| {
        claim["status"]["phase"] = "Bound".into();
        Ok(())
    })
    .unwrap();
    node.pod(object::pod_is_ready).await;
    assert!(node.events().iter().all(|(reason, _)| reason != "FailedMount"));
}

#[tokio::test]
async fn images_that_are_not_here_fail_as_pulls_fail() {
    let node = TestNode::start();
    node.create(&["run"], |spec| spec["containers"][0]["image"] = "example.invalid/none:1".into());
    let pod = node.pod(|pod| of_container(pod, "/state/waiting/reason") == "ImagePullBackOff").await;
    assert!(of_container(&pod, "/state/waiting/message").starts_with("Back-off pulling image"));
    assert_eq!(phase(&pod), "Pending");
    assert!(node.runtime.asked().is_empty());
}

#[tokio::test]
async fn a_pull_that_backs_off_is_not_tried_again_because_the_pod_changes() {
    let node = TestNode::start();
    node.create(&["run"], |spec| spec["containers"][0]["image"] = "example.invalid/none:1".into());
    node.pod(|pod| of_container(pod, "/state/waiting/reason") == "ImagePullBackOff").await;
    for change in 0..5 {
        Api::modify(&node.store, &Actor::system("test"), &PODS, "ns", "p", "", &mut |pod| {
            pod["metadata"]["annotations"]["change"] = change.to_string().into();
            Ok(())
        })
        .unwrap();
    }
    // Changes are taken in order, so these were looked at once the pod is gone.
    node.delete(0);
    node.gone().await;
    assert_eq!(node.times("Pulling"), 1);
}
