//! The conditions of a pod: what its node says of it, beside what others said.

use embedded_apimachinery::{object, timestamp};
use serde_json::{Map, Value};

use super::{Phase, PodFacts, was_initialised};
use crate::agent::slot::{Role, Slot};

pub(super) fn conditions(pod: &Value, slots: &[Slot], facts: &PodFacts, phase: Phase) -> Value {
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
