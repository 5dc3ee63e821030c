//! What pods and event objects amount to, for the timeline of a run: pure.

use crate::view::Snapshot;
use gauntlet_core::timeline::{KubernetesEvent, PodSeen, PodState};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The pods that were seen last, by namespace and name.
pub type Pods = BTreeMap<(String, String), PodSeen>;

pub fn pods(snapshot: &Snapshot) -> Pods {
    let seen = snapshot.pods.iter().map(|pod| pod_seen(pod));
    seen.map(|seen| ((seen.namespace.clone(), seen.pod.clone()), seen)).collect()
}

/// What is to be told when `before` became `now`.
pub fn changed(before: &Pods, now: &Pods) -> Vec<PodSeen> {
    let gone = before.iter().filter(|(key, seen)| !now.contains_key(*key) && seen.state != PodState::Gone);
    let gone = gone.map(|(_, seen)| PodSeen { state: PodState::Gone, detail: None, ..seen.clone() });
    let other = now.iter().filter(|(key, seen)| before.get(*key) != Some(*seen)).map(|(_, seen)| seen.clone());
    gone.chain(other).collect()
}

fn pod_seen(pod: &Pod) -> PodSeen {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let init = status.init_container_statuses.unwrap_or_default();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let trouble = init.iter().chain(&containers).find_map(trouble);
    let ready = !containers.is_empty() && containers.iter().all(|container| container.ready);
    let running = !containers.is_empty() && containers.iter().all(is_running);
    let state = match status.phase.as_deref() {
        _ if pod.metadata.deletion_timestamp.is_some() => PodState::Terminating,
        Some("Succeeded") => PodState::Succeeded,
        Some("Failed") => PodState::Failed,
        _ if node.is_none() => PodState::Pending,
        _ if trouble.is_some() => PodState::Failing,
        _ if ready => PodState::Ready,
        _ if running => PodState::NotReady,
        _ => PodState::Starting,
    };
    let restarts: i32 = containers.iter().map(|container| container.restart_count).sum();
    let restarts = (restarts > 0).then(|| format!("restart {restarts}"));
    let details: Vec<String> = trouble.into_iter().chain(restarts).collect();
    PodSeen {
        namespace: pod.namespace().unwrap_or_default(),
        pod: pod.name_any(),
        node,
        state,
        detail: (!details.is_empty()).then(|| details.join(", ")),
    }
}

fn is_running(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Why a container does not run, where that is more than that it has just not started yet.
fn trouble(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.clone().unwrap_or_default();
        let usual = ["", "ContainerCreating", "PodInitializing"].contains(&reason.as_str());
        return (!usual).then_some(reason);
    }
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    Some(format!("{} ended with {}", container.name, ended.exit_code))
}

pub fn event_seen(event: &Event) -> KubernetesEvent {
    let about = &event.involved_object;
    let kind = about.kind.as_deref().unwrap_or("?");
    KubernetesEvent {
        namespace: about.namespace.clone().or_else(|| event.namespace()).unwrap_or_default(),
        about: format!("{kind}/{}", about.name.as_deref().unwrap_or("?")),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
        warning: event.type_.as_deref() == Some("Warning"),
        count: event.count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(metadata: Value, status: Value) -> PodSeen {
        let mut pod = json!({"metadata": metadata, "spec": {"nodeName": "n", "containers": []}, "status": status});
        pod["metadata"]["name"] = json!("p");
        pod_seen(&serde_json::from_value(pod).unwrap())
    }

    fn container(state: Value, ready: bool, restarts: i32) -> Value {
        json!({"name": "c", "state": state, "ready": ready, "restartCount": restarts, "image": "i", "imageID": "i"})
    }

    #[test]
    fn a_pod_is_one_word_and_its_reason() {
        let running = json!({"running": {}});
        let crashed = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let killed = json!({"terminated": {"exitCode": 137}});
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        for (metadata, phase, containers, state, detail) in [
            (json!({}), "Pending", json!([]), PodState::Starting, None),
            (json!({}), "Pending", json!([container(creating, false, 0)]), PodState::Starting, None),
            (json!({}), "Running", json!([container(running.clone(), false, 0)]), PodState::NotReady, None),
            (json!({}), "Running", json!([container(running.clone(), true, 2)]), PodState::Ready, Some("restart 2")),
            (json!({}), "Running", json!([container(killed, false, 0)]), PodState::Failing, Some("c ended with 137")),
            (
                json!({}),
                "Running",
                json!([container(crashed, false, 3)]),
                PodState::Failing,
                Some("CrashLoopBackOff, restart 3"),
            ),
            (
                json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
                "Running",
                json!([container(running, true, 0)]),
                PodState::Terminating,
                None,
            ),
            (json!({}), "Succeeded", json!([]), PodState::Succeeded, None),
        ] {
            let seen = pod(metadata, json!({"phase": phase, "containerStatuses": containers}));
            assert_eq!((seen.state, seen.detail.as_deref()), (state, detail), "{phase} {containers}");
        }
    }

    #[test]
    fn only_changes_are_told_and_a_pod_goes_once() {
        let seen = |state| PodSeen { namespace: "n".into(), pod: "p".into(), node: None, state, detail: None };
        let of = |state| Pods::from([(("n".to_owned(), "p".to_owned()), seen(state))]);
        assert_eq!(changed(&Pods::new(), &of(PodState::Ready)), [seen(PodState::Ready)]);
        assert!(changed(&of(PodState::Ready), &of(PodState::Ready)).is_empty());
        assert_eq!(changed(&of(PodState::Ready), &Pods::new()), [seen(PodState::Gone)]);
    }
}
