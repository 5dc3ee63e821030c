//! The status of a pod: a pure function of its specification and of what the node knows.
//!
//! Rules from k8s.io/kubernetes/pkg/kubelet (`getPhase`, status/generate.go).

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use embedded_apimachinery::{object, timestamp};
use serde_json::{Map, Value, json};

use super::slot::{self, Role, Slot, State, Terminated};
use crate::image;

/// What the node knows of a pod besides its containers.
#[derive(Clone, Debug)]
pub struct PodFacts {
    pub host_ip: IpAddr,
    /// Set once the pod is on the network.
    pub pod_ip: Option<IpAddr>,
    pub start_time: DateTime<Utc>,
    /// Whether the network and the volumes are there.
    pub sandbox_ready: bool,
    /// Nothing runs any more, nor will again: deletion or a deadline.
    pub stopped_for_good: bool,
    /// Whether network and volumes are gone again after the end.
    pub settled: bool,
    /// `status.reason` and `status.message`, as in `DeadlineExceeded`.
    pub verdict: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// The phase that the containers amount to.
pub fn phase(pod: &Value, slots: &[Slot], facts: &PodFacts) -> Phase {
    let policy = object::str_at(pod, "/spec/restartPolicy");
    let of_role = |role: Role| slots.iter().filter(move |slot| slot.role == role);
    if facts.verdict.is_some() && facts.stopped_for_good {
        return Phase::Failed;
    }
    let init_failed =
        of_role(Role::Init).any(|slot| slot.ended().is_some_and(|e| e.exit_code != 0) && policy == "Never");
    if init_failed {
        return Phase::Failed;
    }
    let never_ran = |slot: &Slot| slot.running().is_none() && slot.ended().is_none();
    if !facts.stopped_for_good {
        if !was_initialised(slots) && slots.iter().any(|slot| slot.role == Role::Init && !slot.lets_pass()) {
            return Phase::Pending;
        }
        if of_role(Role::Main).any(never_ran) {
            return Phase::Pending;
        }
    }
    if of_role(Role::Main).any(|slot| slot.running().is_some()) {
        return Phase::Running;
    }
    let all_well = of_role(Role::Main).all(Slot::succeeded);
    match policy {
        "Never" | "OnFailure" if all_well => Phase::Succeeded,
        "Never" => Phase::Failed,
        _ if facts.stopped_for_good && all_well => Phase::Succeeded,
        _ if facts.stopped_for_good => Phase::Failed,
        _ => Phase::Running,
    }
}

/// Whether main containers have run: such a pod is not initialised anew, even if its init containers run once more
/// (`HasAnyRegularContainerStarted`, pkg/kubelet/container).
fn was_initialised(slots: &[Slot]) -> bool {
    slots.iter().any(|slot| slot.role == Role::Main && (slot.running().is_some() || slot.ended().is_some()))
}

/// The whole `status`; what others own (qosClass, conditions of others, nominatedNodeName) is kept.
pub fn render(pod: &Value, slots: &[Slot], facts: &PodFacts) -> Value {
    let phase = phase(pod, slots, facts);
    let shown = if phase.is_final() && !facts.settled {
        // The end is announced when everything of the pod is gone.
        if object::str_at(pod, "/status/phase") == "Pending" { Phase::Pending } else { Phase::Running }
    } else {
        phase
    };
    let mut status = pod["status"].as_object().cloned().unwrap_or_default();
    status.insert("observedGeneration".into(), object::generation(pod).into());
    status.insert("phase".into(), format!("{shown:?}").into());
    status.insert("conditions".into(), conditions(pod, slots, facts, phase));
    if let Some((reason, message)) = &facts.verdict {
        status.insert("reason".into(), reason.clone().into());
        status.insert("message".into(), message.clone().into());
    }
    status.insert("hostIP".into(), facts.host_ip.to_string().into());
    status.insert("hostIPs".into(), json!([{"ip": facts.host_ip}]));
    if let Some(ip) = facts.pod_ip {
        status.insert("podIP".into(), ip.to_string().into());
        status.insert("podIPs".into(), json!([{"ip": ip}]));
    }
    status.insert("startTime".into(), timestamp::format(facts.start_time).into());
    status.insert("resources".into(), pod.pointer("/spec/resources").cloned().unwrap_or_else(|| json!({})));
    let groups = [
        ("initContainerStatuses", [Role::Init, Role::Sidecar].as_slice()),
        ("containerStatuses", &[Role::Main]),
        ("ephemeralContainerStatuses", &[Role::Ephemeral]),
    ];
    for (field, roles) in groups {
        let list: Vec<Value> =
            slots.iter().filter(|s| roles.contains(&s.role)).map(|s| container_status(pod, s)).collect();
        if !list.is_empty() {
            status.insert(field.into(), list.into());
        }
    }
    Value::Object(status)
}

fn conditions(pod: &Value, slots: &[Slot], facts: &PodFacts, phase: Phase) -> Value {
    let ended = match phase {
        Phase::Succeeded => Some("PodCompleted"),
        Phase::Failed => Some("PodFailed"),
        _ => None,
    };
    let names = |list: Vec<&Slot>| list.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>().join(" ");
    let incomplete: Vec<&Slot> = slots
        .iter()
        .filter(|slot| matches!(slot.role, Role::Init | Role::Sidecar))
        .filter(|slot| !(slot.lets_pass() || slot.role == Role::Sidecar && slot.succeeded() && ended.is_some()))
        .collect();
    let unready: Vec<&Slot> =
        slots.iter().filter(|slot| matches!(slot.role, Role::Main | Role::Sidecar) && !slot.ready).collect();
    let initialized = if incomplete.is_empty() || was_initialised(slots) || phase == Phase::Succeeded {
        Verdict {
            holds: true,
            reason: if phase == Phase::Succeeded { "PodCompleted" } else { "" },
            message: String::new(),
        }
    } else {
        Verdict::no("ContainersNotInitialized", format!("containers with incomplete status: [{}]", names(incomplete)))
    };
    let ready = match ended {
        Some(reason) => Verdict::no(reason, String::new()),
        None if unready.is_empty() => Verdict::yes(),
        None => Verdict::no("ContainersNotReady", format!("containers with unready status: [{}]", names(unready))),
    };
    let gated = gates(pod, ready.clone());
    let sandbox = Verdict { holds: facts.sandbox_ready, reason: "", message: String::new() };
    let ours = [
        ("PodReadyToStartContainers", sandbox),
        ("Initialized", initialized),
        ("Ready", gated),
        ("ContainersReady", ready),
    ];
    // What others said comes first, but for the scheduler, as a kubelet writes it.
    let (mut scheduled, mut conditions): (Vec<Value>, Vec<Value>) = object::list_at(pod, "/status/conditions")
        .iter()
        .filter(|c| ours.iter().all(|(kind, _)| c["type"] != *kind))
        .cloned()
        .partition(|c| c["type"] == "PodScheduled");
    for condition in &mut scheduled {
        condition["observedGeneration"] = object::generation(pod).into();
    }
    conditions.extend(ours.iter().map(|(kind, verdict)| verdict.condition(pod, kind)));
    conditions.extend(scheduled);
    conditions.into()
}

#[derive(Clone)]
struct Verdict {
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes() -> Self {
        Self { holds: true, reason: "", message: String::new() }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Self { holds: false, reason, message }
    }

    fn condition(&self, pod: &Value, kind: &str) -> Value {
        let status = if self.holds { "True" } else { "False" };
        let before = object::condition(pod, kind);
        let same = before.filter(|before| before["status"] == status);
        let since = same.and_then(|before| before["lastTransitionTime"].as_str()).map(str::to_owned);
        let mut condition = Map::new();
        condition.insert("type".into(), kind.into());
        condition.insert("observedGeneration".into(), object::generation(pod).into());
        condition.insert("status".into(), status.into());
        condition.insert("lastProbeTime".into(), Value::Null);
        condition.insert("lastTransitionTime".into(), since.unwrap_or_else(timestamp::now).into());
        if !self.reason.is_empty() {
            condition.insert("reason".into(), self.reason.into());
        }
        if !self.message.is_empty() {
            condition.insert("message".into(), self.message.clone().into());
        }
        Value::Object(condition)
    }
}

/// `readinessGates`: conditions that others must set before the pod is ready.
fn gates(pod: &Value, ready: Verdict) -> Verdict {
    let kinds = object::list_at(pod, "/spec/readinessGates").iter().map(|gate| object::str_at(gate, "/conditionType"));
    let closed: Vec<String> = kinds
        .filter(|kind| !object::condition_is_true(pod, kind))
        .map(|kind| match object::condition(pod, kind) {
            Some(_) => format!("the status of pod readiness gate \"{kind}\" is not \"True\", but False"),
            None => format!("corresponding condition of pod readiness gate \"{kind}\" does not exist."),
        })
        .collect();
    if !ready.holds || closed.is_empty() { ready } else { Verdict::no("ReadinessGatesNotReady", closed.join(", ")) }
}

fn container_status(pod: &Value, slot: &Slot) -> Value {
    let spec = slot::container(pod, &slot.name).unwrap_or(&Value::Null);
    let image = object::str_at(spec, "/image");
    let ran = !slot.container_id.is_empty();
    let mut status = json!({
        "name": slot.name,
        "state": state(&slot.state),
        "lastState": slot.last.as_ref().map_or_else(|| json!({}), terminated),
        "ready": match slot.role {
            Role::Init => slot.lets_pass(),
            _ => slot.ready,
        },
        "restartCount": slot.restarts,
        "image": if ran { image::normalise(image) } else { image.to_owned() },
        "imageID": slot.image_id,
    });
    if ran {
        status["containerID"] = slot.container_id.clone().into();
    }
    status["started"] = slot.started.into();
    if ran {
        let resources = spec.get("resources").cloned().unwrap_or_else(|| json!({}));
        if let Some(requests) = resources.get("requests") {
            status["allocatedResources"] = requests.clone();
        }
        status["resources"] = resources;
    }
    let mounts: Vec<Value> = object::list_at(spec, "/volumeMounts").iter().map(volume_mount).collect();
    if !mounts.is_empty() {
        status["volumeMounts"] = mounts.into();
    }
    if let Some(user) = &slot.user {
        let mut groups = vec![user.gid];
        groups.extend(user.additional_gids.iter().filter(|gid| **gid != user.gid));
        status["user"] = json!({"linux": {"uid": user.uid, "gid": user.gid, "supplementalGroups": groups}});
    }
    status
}

fn volume_mount(mount: &Value) -> Value {
    let mut status = json!({"name": mount["name"], "mountPath": mount["mountPath"]});
    if object::bool_at(mount, "/readOnly") {
        status["readOnly"] = true.into();
        status["recursiveReadOnly"] = "Disabled".into();
    }
    status
}

fn state(state: &State) -> Value {
    match state {
        State::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running(running) => json!({"running": {"startedAt": timestamp::format(running.since)}}),
        State::Terminated(ended) => terminated(ended),
    }
}

fn terminated(ended: &Terminated) -> Value {
    let mut value = json!({"exitCode": ended.exit_code});
    value["reason"] = ended.reason.clone().into();
    if !ended.message.is_empty() {
        value["message"] = ended.message.clone().into();
    }
    value["startedAt"] = timestamp::format(ended.started_at).into();
    value["finishedAt"] = timestamp::format(ended.finished_at).into();
    value["containerID"] = ended.container_id.clone().into();
    json!({"terminated": value})
}

#[cfg(test)]
mod tests {
    use super::*;
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
        State::Running(super::super::slot::Running { id: "c".into(), pid: 1, since: Utc::now(), exit })
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
}
