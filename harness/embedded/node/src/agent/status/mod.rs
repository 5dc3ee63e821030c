//! The status of a pod: a pure function of its specification and of what the node knows.
//!
//! Rules from k8s.io/kubernetes/pkg/kubelet (`getPhase`, status/generate.go).

mod conditions;
mod containers;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use embedded_apimachinery::{object, timestamp};
use serde_json::{Value, json};

use super::slot::{Role, Slot};

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
    status.insert("conditions".into(), conditions::conditions(pod, slots, facts, phase));
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
            slots.iter().filter(|s| roles.contains(&s.role)).map(|s| containers::status(pod, s)).collect();
        if !list.is_empty() {
            status.insert(field.into(), list.into());
        }
    }
    Value::Object(status)
}
