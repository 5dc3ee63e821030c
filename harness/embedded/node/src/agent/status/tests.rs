//! Phases, conditions and when they change.

use super::*;
use crate::agent::slot::{self, Running, State, Terminated};
use std::time::Instant;

fn facts() -> PodFacts {
    PodFacts {
        host_ip: IpAddr::from([10, 200, 0, 1]),
        pod_ip: Some(IpAddr::from([10, 244, 1, 2])),
        start_time: Utc::now(),
        sandbox_ready: true,
        stopped_for_good: false,
        settled: false,
        verdict: None,
    }
}

fn pod(policy: &str) -> Value {
    json!({
        "metadata": {"name": "p", "generation": 1},
        "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "redis:7"}],
            "initContainers": [{"name": "i", "image": "redis:7"}]},
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    })
}

fn ended(code: i32) -> State {
    State::Terminated(Terminated {
        exit_code: code,
        signal: None,
        reason: if code == 0 { "Completed" } else { "Error" }.into(),
        message: String::new(),
        started_at: Utc::now(),
        finished_at: Utc::now(),
        container_id: "containerd://1".into(),
        at: Instant::now(),
    })
}

fn running() -> State {
    let (_, exit) = tokio::sync::watch::channel(None);
    State::Running(Running { id: "c".into(), pid: 1, since: Utc::now(), exit })
}

/// A pod whose init and main container are in these states.
fn slots(pod: &Value, init: Option<State>, main: Option<State>) -> Vec<Slot> {
    let mut slots = slot::of_pod(pod);
    for (slot, state) in slots.iter_mut().zip([init, main]) {
        if let Some(state) = state {
            slot.ready = matches!(state, State::Running(_));
            slot.state = state;
        }
    }
    slots
}

#[test]
fn phases_follow_containers_and_restart_policy() {
    for (policy, init, main, expected) in [
        ("Always", None, None, Phase::Pending),
        ("Always", Some(ended(1)), None, Phase::Pending),
        ("Never", Some(ended(1)), None, Phase::Failed),
        ("Always", Some(ended(0)), None, Phase::Pending),
        ("Always", Some(ended(0)), Some(running()), Phase::Running),
        ("Always", Some(ended(0)), Some(ended(1)), Phase::Running),
        ("OnFailure", Some(ended(0)), Some(ended(1)), Phase::Running),
        ("OnFailure", Some(ended(0)), Some(ended(0)), Phase::Succeeded),
        ("Never", Some(ended(0)), Some(ended(3)), Phase::Failed),
    ] {
        let pod = pod(policy);
        let case = format!("{policy} {init:?} {main:?}");
        assert_eq!(phase(&pod, &slots(&pod, init, main), &facts()), expected, "{case}");
    }
}

#[test]
fn a_deleted_pod_ends_by_how_its_containers_ended() {
    let pod = pod("Always");
    let facts = PodFacts { stopped_for_good: true, settled: true, ..facts() };
    assert_eq!(phase(&pod, &slots(&pod, Some(ended(0)), Some(ended(137))), &facts), Phase::Failed);
    assert_eq!(phase(&pod, &slots(&pod, Some(ended(0)), Some(ended(0))), &facts), Phase::Succeeded);
}

#[test]
fn conditions_name_what_is_missing() {
    let pod = pod("Always");
    let status = render(&pod, &slots(&pod, None, None), &facts());
    let condition = |kind: &str| object::condition(&json!({"status": status}), kind).cloned().unwrap();
    assert_eq!(condition("Initialized")["message"], "containers with incomplete status: [i]");
    assert_eq!(condition("Ready")["message"], "containers with unready status: [c]");
    assert_eq!(condition("PodReadyToStartContainers")["status"], "True");
    assert_eq!(status["qosClass"], "BestEffort");
    assert_eq!(status["containerStatuses"][0]["state"], json!({"waiting": {"reason": "PodInitializing"}}));
}

#[test]
fn the_end_is_announced_when_everything_is_gone() {
    let pod = pod("Never");
    let slots = slots(&pod, Some(ended(0)), Some(ended(0)));
    let before = render(&pod, &slots, &facts());
    assert_eq!(before["phase"], "Pending");
    let ready = object::condition(&json!({"status": before}), "Ready").cloned().unwrap();
    assert_eq!(ready["reason"], "PodCompleted");
    let after = render(&pod, &slots, &PodFacts { settled: true, ..facts() });
    assert_eq!(after["phase"], "Succeeded");
}

#[test]
fn transition_times_change_with_the_status_only() {
    let mut pod = pod("Always");
    pod["status"]["conditions"] =
        json!([{"type": "Ready", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"}]);
    let status = render(&pod, &slots(&pod, None, None), &facts());
    let ready = object::condition(&json!({"status": status}), "Ready").cloned().unwrap();
    assert_eq!(ready["lastTransitionTime"], "2020-01-01T00:00:00Z");
}
