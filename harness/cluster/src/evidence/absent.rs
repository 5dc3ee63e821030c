//! Why something cannot be asked: what does not run, in words. Pure.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

/// `not running (CrashLoopBackOff)`; `None` where a container runs.
pub fn not_running(pod: &Pod) -> Option<String> {
    let statuses: Vec<ContainerStatus> =
        pod.status.as_ref().and_then(|status| status.container_statuses.clone()).unwrap_or_default();
    if statuses.iter().any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some())) {
        return None;
    }
    let reason = statuses.iter().find_map(reason).or_else(|| pod.status.as_ref()?.phase.clone());
    Some(format!("not running ({})", reason.unwrap_or_else(|| "nothing is known of it".to_owned())))
}

/// Containers that never started, and why.
pub fn never_started(pod: &Pod) -> Vec<(String, String)> {
    let status = pod.status.clone().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let known: Vec<ContainerStatus> =
        [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten().collect();
    let names = spec.init_containers.into_iter().flatten().chain(spec.containers).map(|container| container.name);
    let absent = names.filter_map(|name| match known.iter().find(|status| status.name == name) {
        None => Some((name, status.phase.clone().unwrap_or_else(|| "not on a node".to_owned()))),
        Some(status) => {
            let waits = status.state.as_ref().is_none_or(|state| state.running.is_none() && state.terminated.is_none());
            let why = || reason(status).unwrap_or_else(|| "no reason is given".to_owned());
            (waits && status.restart_count == 0).then(|| (name, why()))
        }
    });
    absent.collect()
}

/// Members of a StatefulSet that there should be and that have no pod.
pub fn without_pod(workload: &str, replicas: u32, pods: &[&Pod]) -> Vec<String> {
    let names: Vec<String> = pods.iter().map(|pod| pod.name_any()).collect();
    (0..replicas).map(|number| format!("{workload}-{number}")).filter(|name| !names.contains(name)).collect()
}

fn reason(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref()?;
    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
    let ended = || {
        let ended = state.terminated.as_ref()?;
        Some(ended.reason.clone().unwrap_or_else(|| format!("ended with {}", ended.exit_code)))
    };
    waiting.or_else(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(phase: &str, state: Option<Value>) -> Pod {
        let status = |state| json!([{"name": "db", "state": state, "ready": false, "restartCount": 0, "image": "i", "imageID": "i"}]);
        let pod = json!({"metadata": {"name": "db-0"}, "spec": {"containers": [{"name": "db"}]},
            "status": {"phase": phase, "containerStatuses": state.map(status)}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn what_does_not_run_is_named_with_its_reason() {
        let waiting = |reason: &str| Some(json!({"waiting": {"reason": reason}}));
        for (pod, why, absent) in [
            (pod("Running", Some(json!({"running": {}}))), None, None),
            (pod("Running", waiting("CrashLoopBackOff")), Some("CrashLoopBackOff"), Some("CrashLoopBackOff")),
            (pod("Pending", waiting("ErrImagePull")), Some("ErrImagePull"), Some("ErrImagePull")),
            (pod("Pending", None), Some("Pending"), Some("Pending")),
            (pod("Failed", Some(json!({"terminated": {"exitCode": 3}}))), Some("ended with 3"), None),
        ] {
            assert_eq!(not_running(&pod), why.map(|why| format!("not running ({why})")), "{pod:?}");
            let expected: Vec<(String, String)> =
                absent.map(|why| ("db".to_owned(), why.to_owned())).into_iter().collect();
            assert_eq!(never_started(&pod), expected);
        }
    }

    #[test]
    fn members_that_have_no_pod_are_named() {
        let one = pod("Running", None);
        assert_eq!(without_pod("db", 3, &[&one]), ["db-1", "db-2"]);
    }
}
