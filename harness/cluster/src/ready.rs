//! Whether what runs is what the contract promises, decided purely from a snapshot; and what is lacking, in words.

use crate::view::Snapshot;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::workload::{Workload, WorkloadKind};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt;
use std::sync::Arc;

/// Everything that keeps the deployment from its steady state; empty when it is in order.
pub fn lacking(deployment: Deployment<'_>, snapshot: &Snapshot) -> Vec<String> {
    let serving = deployment.workloads().filter(|workload| workload.kind.is_serving());
    let mut lacks: Vec<String> =
        serving.filter_map(|workload| lacking_workload(workload, deployment.replicas(workload), snapshot)).collect();
    for job in &deployment.contract.steady_state.completed_jobs {
        if let Some(workload) = deployment.workload(&job.value)
            && !job_complete(workload, snapshot)
        {
            lacks.push(format!("job {} not complete", job.value));
        }
    }
    lacks
}

fn job_complete(workload: &Workload, snapshot: &Snapshot) -> bool {
    let job = find(&snapshot.jobs, workload);
    let conditions = job.and_then(|job| job.status.as_ref()?.conditions.as_ref());
    conditions.is_some_and(|list| list.iter().any(|c| c.type_ == "Complete" && c.status == "True"))
}

/// The workload's own object.
fn find<'a, K: ResourceExt>(objects: &'a [Arc<K>], workload: &Workload) -> Option<&'a Arc<K>> {
    let namespace = Some(workload.namespace.value.clone());
    objects.iter().find(|object| object.name_any() == workload.name.value && object.namespace() == namespace)
}

/// `ready` of `wanted` pods, or `None` when the object has not been seen or acted upon.
fn counts(workload: &Workload, snapshot: &Snapshot) -> Option<(i32, i32)> {
    match workload.kind {
        WorkloadKind::Deployment => {
            let object = find(&snapshot.deployments, workload)?;
            let status = object.status.as_ref()?;
            let current = status.observed_generation >= object.metadata.generation;
            let wanted = object.spec.as_ref()?.replicas.unwrap_or(1);
            let ready = status.ready_replicas.unwrap_or(0).min(status.updated_replicas.unwrap_or(0));
            (current && status.replicas.unwrap_or(0) == wanted).then_some((ready, wanted)).or(Some((0, wanted)))
        }
        WorkloadKind::StatefulSet => {
            let object = find(&snapshot.stateful_sets, workload)?;
            let status = object.status.as_ref()?;
            let current = status.observed_generation >= object.metadata.generation;
            let wanted = object.spec.as_ref()?.replicas.unwrap_or(1);
            Some((if current { status.ready_replicas.unwrap_or(0) } else { 0 }, wanted))
        }
        WorkloadKind::DaemonSet => {
            let object = find(&snapshot.daemon_sets, workload)?;
            let status = object.status.as_ref()?;
            Some((status.number_ready, status.desired_number_scheduled))
        }
        WorkloadKind::Job | WorkloadKind::CronJob => None,
    }
}

fn lacking_workload(workload: &Workload, promised: u32, snapshot: &Snapshot) -> Option<String> {
    let name = format!("{} {}", workload.kind.as_str().to_lowercase(), workload.name.value);
    let Some((ready, wanted)) = counts(workload, snapshot) else {
        return Some(format!("{name} not seen"));
    };
    let enough =
        ready >= wanted && (workload.kind == WorkloadKind::DaemonSet || i64::from(ready) >= i64::from(promised));
    if enough {
        return None;
    }
    let mut troubled: Vec<String> =
        pods_of(workload, snapshot).into_iter().filter_map(|pod| pod_trouble(&pod)).collect();
    troubled.truncate(3);
    let detail = if troubled.is_empty() { String::new() } else { format!(" ({})", troubled.join("; ")) };
    Some(format!("{name} {ready}/{} ready{detail}", i64::from(wanted).max(i64::from(promised))))
}

/// The workload's pods, known by their labels.
pub fn pods_of(workload: &Workload, snapshot: &Snapshot) -> Vec<Arc<Pod>> {
    let namespace = Some(workload.namespace.value.clone());
    let carries = |pod: &Arc<Pod>| workload.labels.iter().all(|(key, value)| pod.labels().get(key) == Some(value));
    snapshot.pods.iter().filter(|pod| pod.namespace() == namespace && carries(pod)).cloned().collect()
}

/// Whether the pod serves: its Ready condition, and it is not on its way out.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|list| list.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// Whether the pod has run to its end.
pub fn is_finished(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// Why a pod is not ready, in a few words; `None` when it is.
pub fn pod_trouble(pod: &Pod) -> Option<String> {
    if is_ready(pod) || is_finished(pod) {
        return None;
    }
    let name = pod.name_any();
    let status = pod.status.clone().unwrap_or_default();
    let containers = [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten();
    let reasons: Vec<String> = containers.filter_map(|container| container_trouble(&container)).collect();
    if !reasons.is_empty() {
        return Some(format!("{name}: {}", reasons.join(", ")));
    }
    let unscheduled =
        status.conditions.unwrap_or_default().into_iter().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let why = match unscheduled {
        Some(condition) => condition.message.unwrap_or_else(|| "not scheduled".to_owned()),
        None => status.phase.unwrap_or_else(|| "no status yet".to_owned()),
    };
    Some(format!("{name}: {why}"))
}

fn container_trouble(container: &ContainerStatus) -> Option<String> {
    let name = &container.name;
    let state = container.state.clone().unwrap_or_default();
    let last =
        container.last_state.as_ref().and_then(last_end).map(|end| format!(", before that {end}")).unwrap_or_default();
    match state {
        ContainerState { waiting: Some(waiting), .. } => {
            let reason = waiting.reason.unwrap_or_else(|| "waiting".to_owned());
            let message = waiting.message.map(|text| format!(": {text}")).unwrap_or_default();
            Some(format!("{name} {reason}{message}{last}"))
        }
        ContainerState { terminated: Some(end), .. } if end.exit_code != 0 => {
            Some(format!("{name} exited with {}", end.exit_code))
        }
        ContainerState { running: Some(_), .. } if !container.ready => Some(format!("{name} running, not ready{last}")),
        _ => None,
    }
}

fn last_end(state: &ContainerState) -> Option<String> {
    let end = state.terminated.as_ref()?;
    let reason = end.reason.as_deref().unwrap_or("ended");
    Some(format!("{reason} with exit code {}", end.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: Value) -> Pod {
        let labels = json!({"app": "api"});
        serde_json::from_value(json!({"metadata": {"name": "api-0", "labels": labels}, "status": status})).unwrap()
    }

    fn container(state: Value) -> Value {
        json!({"name": "main", "image": "i", "imageID": "", "ready": false, "restartCount": 1, "state": state,
               "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}})
    }

    #[test]
    fn a_ready_pod_has_no_trouble() {
        let ready = pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
        assert!(is_ready(&ready));
        assert_eq!(pod_trouble(&ready), None);
    }

    #[test]
    fn trouble_names_pod_container_reason_and_last_end() {
        let state = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let crashing = pod(json!({"phase": "Running", "containerStatuses": [container(state)]}));
        assert_eq!(
            pod_trouble(&crashing).as_deref(),
            Some("api-0: main CrashLoopBackOff: back-off 10s, before that Error with exit code 3")
        );
    }

    #[test]
    fn an_unscheduled_pod_says_why() {
        let message = "0/3 nodes are available: 3 Insufficient cpu.";
        let pending = pod(json!({"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}));
        assert_eq!(pod_trouble(&pending), Some(format!("api-0: {message}")));
    }

    fn contract() -> gauntlet_core::Contract {
        gauntlet_core::Contract::parse("c", include_str!("../../../scenarios/systems/cordum/system.yaml")).unwrap()
    }

    fn deployment_of(name: &str, wanted: i32, ready: i32, observed: i64) -> Value {
        json!({"metadata": {"name": name, "namespace": "cordum", "generation": 2}, "spec": {"replicas": wanted, "selector": {}, "template": {}},
               "status": {"observedGeneration": observed, "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": ready}})
    }

    fn lack_of_gateway(object: Value) -> Option<String> {
        let contract = contract();
        let deployment = contract.deployment(None).unwrap();
        let snapshot =
            Snapshot { deployments: vec![Arc::new(serde_json::from_value(object).unwrap())], ..Snapshot::default() };
        lacking(deployment, &snapshot).into_iter().find(|lack| lack.contains("cordum-api-gateway"))
    }

    #[test]
    fn a_workload_is_ready_when_all_promised_replicas_are() {
        assert_eq!(lack_of_gateway(deployment_of("cordum-api-gateway", 2, 2, 2)), None);
        let half = lack_of_gateway(deployment_of("cordum-api-gateway", 2, 1, 2));
        assert_eq!(half.as_deref(), Some("deployment cordum-api-gateway 1/2 ready"));
    }

    #[test]
    fn fewer_replicas_than_promised_are_lacking_though_all_are_ready() {
        let one = lack_of_gateway(deployment_of("cordum-api-gateway", 1, 1, 2));
        assert_eq!(one.as_deref(), Some("deployment cordum-api-gateway 1/2 ready"));
    }

    #[test]
    fn a_status_of_an_older_generation_counts_for_nothing() {
        let stale = lack_of_gateway(deployment_of("cordum-api-gateway", 2, 2, 1));
        assert_eq!(stale.as_deref(), Some("deployment cordum-api-gateway 0/2 ready"));
    }

    #[test]
    fn an_empty_namespace_lacks_everything() {
        let contract = contract();
        let lacks = lacking(contract.deployment(None).unwrap(), &Snapshot::default());
        assert!(lacks.contains(&"statefulset cordum-redis not seen".to_owned()), "{lacks:?}");
        assert!(lacks.contains(&"job cordum-redis-cluster-init not complete".to_owned()), "{lacks:?}");
    }
}
