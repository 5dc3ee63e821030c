//! Pods: what their containers add up to.

use chrono::{DateTime, Utc};
use embedded_apimachinery::{object, resource, timestamp};
use serde_json::{Value, json};

use super::Printer;
use super::column::{AGE, Column, NAME, NONE, age, duration, int, name, text_or};
use crate::catalog::Resource;

pub const PODS: Printer = Printer { columns: COLUMNS, cells };

const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    Column::text("Status", "The aggregate status of the containers in this pod."),
    Column::text(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod \
         has restarted.",
    ),
    AGE,
    Column::text(
        "IP",
        "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
    )
    .wide(),
    Column::text(
        "Node",
        "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by \
         the scheduler defined in schedulerName. Once this field is set, the kubelet for this node becomes responsible \
         for the lifecycle of this pod. This field should not be used to express a desire for the pod to be scheduled \
         on a specific node. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename",
    )
    .wide(),
    Column::text(
        "Nominated Node",
        "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right \
         away as preemption victims receive their graceful termination periods. This field does not guarantee that the \
         pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes become \
         available sooner. Scheduler may also decide to give the resources on this node to a higher priority pod that \
         is created after preemption. As a result, this field may be different than PodSpec.nodeName when the pod is \
         scheduled.",
    )
    .wide(),
    Column::text(
        "Readiness Gates",
        "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers \
         are ready AND all conditions specified in the readiness gates have status equal to \"True\" More info: \
         https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates",
    )
    .wide(),
];

fn cells(pod: &Value, now: DateTime<Utc>) -> Vec<Value> {
    let summary = summarize(pod);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, duration((now - last).num_seconds()))
        }
        _ => summary.restarts.to_string(),
    };
    vec![
        name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        restarts.into(),
        age(pod, now),
        text_or(pod, "/status/podIP", NONE).into(),
        text_or(pod, "/spec/nodeName", NONE).into(),
        text_or(pod, "/status/nominatedNodeName", NONE).into(),
        readiness_gates(pod).into(),
    ]
}

#[derive(Default)]
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<DateTime<Utc>>,
}

impl Summary {
    fn count_restarts(&mut self, status: &Value) {
        self.restarts += int(status, "/restartCount");
        let finished = object::str_at(status, "/lastState/terminated/finishedAt");
        self.last_restart = self.last_restart.max(timestamp::parse(finished));
    }
}

/// The rules of k8s.io/kubernetes/pkg/printers/internalversion, `printPod`.
fn summarize(pod: &Value) -> Summary {
    let mut summary = Summary { total: object::list_at(pod, "/spec/containers").len(), ..Summary::default() };
    summary.reason = match object::str_at(pod, "/status/reason") {
        "" => object::str_at(pod, "/status/phase"),
        reason => reason,
    }
    .to_owned();
    let gated = object::condition(pod, "PodScheduled").is_some_and(|c| c["reason"] == "SchedulingGated");
    if gated {
        summary.reason = "SchedulingGated".into();
    }
    let initializing = init_containers(pod, &mut summary);
    if !initializing {
        main_containers(pod, &mut summary);
    }
    if object::is_deleting(pod) {
        if object::str_at(pod, "/status/reason") == "NodeLost" {
            summary.reason = "Unknown".into();
        } else if !object::pod_is_terminal(pod) {
            summary.reason = "Terminating".into();
        }
    }
    summary
}

/// Whether the pod is still initializing, which then is its status.
fn init_containers(pod: &Value, summary: &mut Summary) -> bool {
    let specs = object::list_at(pod, "/spec/initContainers");
    let sidecar =
        |status: &Value| specs.iter().any(|spec| spec["name"] == status["name"] && spec["restartPolicy"] == "Always");
    summary.total += specs.iter().filter(|s| s["restartPolicy"] == "Always").count();
    for (index, status) in object::list_at(pod, "/status/initContainerStatuses").iter().enumerate() {
        summary.count_restarts(status);
        let terminated = status.pointer("/state/terminated");
        if terminated.is_some_and(|t| int(t, "/exitCode") == 0) {
            continue;
        }
        if sidecar(status) && object::bool_at(status, "/started") {
            summary.ready += usize::from(object::bool_at(status, "/ready"));
            continue;
        }
        let waiting = object::str_at(status, "/state/waiting/reason");
        summary.reason = match terminated {
            Some(ended) => format!("Init:{}", end_reason(ended)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
            None => format!("Init:{index}/{}", specs.len()),
        };
        return true;
    }
    false
}

fn main_containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in object::list_at(pod, "/status/containerStatuses").iter().rev() {
        summary.count_restarts(status);
        let waiting = object::str_at(status, "/state/waiting/reason");
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if let Some(ended) = status.pointer("/state/terminated").filter(|t| t.is_object()) {
            summary.reason = end_reason(ended);
        } else if object::bool_at(status, "/ready") && status.pointer("/state/running").is_some() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        summary.reason = if object::pod_is_ready(pod) { "Running" } else { "NotReady" }.into();
    }
}

fn end_reason(terminated: &Value) -> String {
    match (object::str_at(terminated, "/reason"), int(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates = object::list_at(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let met = gates.iter().filter(|g| object::condition_is_true(pod, object::str_at(g, "/conditionType"))).count();
    format!("{met}/{}", gates.len())
}

/// Rows of finished pods say so, for clients that hide them.
pub fn row_conditions(resource: &Resource, pod: &Value) -> Vec<Value> {
    if resource.id != resource::PODS {
        return Vec::new();
    }
    let (reason, message) = match object::str_at(pod, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(pod: Value) -> (String, String) {
        let cells = cells(&pod, Utc::now());
        (cells[1].as_str().unwrap().to_owned(), cells[2].as_str().unwrap().to_owned())
    }

    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "status": status})
    }

    #[test]
    fn the_status_tells_what_holds_the_pod_up() {
        let running = json!({"ready": true, "state": {"running": {}}});
        let waiting = json!({"state": {"waiting": {"reason": "ErrImagePull"}}});
        let failed = json!({"state": {"terminated": {"exitCode": 1, "reason": "Error"}}});
        for (status, expected) in [
            (json!({"phase": "Pending"}), ("0/2", "Pending")),
            (json!({"phase": "Running", "containerStatuses": [running, running]}), ("2/2", "Running")),
            (json!({"phase": "Running", "containerStatuses": [waiting, running]}), ("1/2", "ErrImagePull")),
            (json!({"phase": "Failed", "containerStatuses": [failed, failed]}), ("0/2", "Error")),
            (json!({"phase": "Failed", "reason": "Evicted"}), ("0/2", "Evicted")),
        ] {
            assert_eq!(status_of(pod(status)), (expected.0.to_owned(), expected.1.to_owned()));
        }
    }

    #[test]
    fn initialization_comes_first() {
        let mut pod = pod(json!({"phase": "Pending", "initContainerStatuses": [
            {"name": "i", "state": {"terminated": {"exitCode": 0}}}, {"name": "j", "state": {"running": {}}}]}));
        pod["spec"]["initContainers"] = json!([{"name": "i"}, {"name": "j"}]);
        assert_eq!(status_of(pod).1, "Init:1/2");
    }

    #[test]
    fn deleted_pods_are_terminating() {
        let mut pod = pod(json!({"phase": "Running"}));
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(status_of(pod).1, "Terminating");
    }
}
