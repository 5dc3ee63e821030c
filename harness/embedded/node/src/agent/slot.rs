//! What a node knows of each container of a pod.

use std::time::Instant;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object;
use serde_json::Value;
use tokio::sync::watch;

use super::backoff::Backoff;
use crate::runtime::{Exit, User};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before what follows it.
    Init,
    /// An init container that keeps running (`restartPolicy: Always`).
    Sidecar,
    Main,
    Ephemeral,
}

#[derive(Clone, Debug)]
pub struct Slot {
    pub name: String,
    pub role: Role,
    pub restarts: u32,
    pub state: State,
    /// How the run before the present one ended.
    pub last: Option<Terminated>,
    /// Of the present or last run; empty before the first.
    pub container_id: String,
    pub image_id: String,
    pub user: Option<User>,
    /// What the readiness probe says; true without one as soon as the container has started.
    pub ready: bool,
    /// Whether the startup probe has succeeded; without one, whether the container runs.
    pub started: bool,
    pub backoff: Backoff,
    pub image_backoff: Backoff,
    /// Kept down from outside.
    pub held: bool,
    /// An init container that has done its part does it again: the pod has lost its network since.
    pub again: bool,
}

#[derive(Clone, Debug)]
pub enum State {
    Waiting { reason: String, message: String },
    Running(Running),
    Terminated(Terminated),
}

#[derive(Clone, Debug)]
pub struct Running {
    /// The runtime's name of the container.
    pub id: String,
    pub pid: i32,
    pub since: DateTime<Utc>,
    pub exit: watch::Receiver<Option<Exit>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Terminated {
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub reason: String,
    pub message: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub container_id: String,
    pub at: Instant,
}

impl Slot {
    pub fn new(container: &Value, role: Role, has_init: bool) -> Self {
        let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
        Self {
            name: object::str_at(container, "/name").to_owned(),
            role,
            restarts: 0,
            state: State::Waiting { reason: reason.into(), message: String::new() },
            last: None,
            container_id: String::new(),
            image_id: String::new(),
            user: None,
            ready: false,
            started: false,
            backoff: Backoff::default(),
            image_backoff: Backoff::default(),
            held: false,
            again: false,
        }
    }

    pub fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Running(running) => Some(running),
            _ => None,
        }
    }

    /// How the newest run that has ended did so.
    pub fn ended(&self) -> Option<&Terminated> {
        match &self.state {
            State::Terminated(terminated) => Some(terminated),
            State::Waiting { .. } => self.last.as_ref(),
            State::Running(_) => None,
        }
    }

    /// Whether it ran and ended well.
    pub fn succeeded(&self) -> bool {
        self.ended().is_some_and(|ended| ended.exit_code == 0)
    }

    pub fn wait_for(&mut self, reason: &str, message: impl Into<String>) {
        if let State::Terminated(ended) = &self.state {
            self.last = Some(ended.clone());
        }
        self.state = State::Waiting { reason: reason.into(), message: message.into() };
    }

    /// Whether what follows an init container may start.
    pub fn lets_pass(&self) -> bool {
        match self.role {
            Role::Init => !self.again && matches!(&self.state, State::Terminated(ended) if ended.exit_code == 0),
            Role::Sidecar => self.running().is_some() && self.started,
            Role::Main | Role::Ephemeral => true,
        }
    }

    /// Whether the container is to be started again after it has ended.
    pub fn restarts_after(&self, ended: &Terminated, pod_policy: &str) -> bool {
        match (self.role, pod_policy) {
            (Role::Ephemeral, _) => false,
            (Role::Sidecar, _) => true,
            (Role::Init, _) if self.again => true,
            (Role::Init, "Never") => false,
            (Role::Init, _) => ended.exit_code != 0,
            (Role::Main, "Never") => false,
            (Role::Main, "OnFailure") => ended.exit_code != 0,
            (Role::Main, _) => true,
        }
    }
}

/// The slots of a pod, in the order in which they start.
pub fn of_pod(pod: &Value) -> Vec<Slot> {
    let init = object::list_at(pod, "/spec/initContainers");
    let has_init = !init.is_empty();
    let role = |container: &Value| match object::str_at(container, "/restartPolicy") {
        "Always" => Role::Sidecar,
        _ => Role::Init,
    };
    let first = init.iter().map(|container| Slot::new(container, role(container), has_init));
    let main = object::list_at(pod, "/spec/containers").iter().map(|c| Slot::new(c, Role::Main, has_init));
    first.chain(main).collect()
}

/// What a kubelet finds of a pod's containers after its machine was off: what ran has ended, nobody knows how
/// (containerd's `unknownExitCode`), and the waits between restarts are forgotten.
pub fn after_reboot(slots: &mut [Slot], pod_policy: &str, now: DateTime<Utc>) {
    for slot in slots.iter_mut() {
        if let State::Running(run) = &slot.state {
            slot.state = State::Terminated(Terminated {
                exit_code: 255,
                signal: None,
                reason: "Unknown".into(),
                message: String::new(),
                started_at: run.since,
                finished_at: now,
                container_id: slot.container_id.clone(),
                at: Instant::now(),
            });
        }
        (slot.ready, slot.started) = (false, false);
        slot.backoff.reset();
        slot.image_backoff.reset();
    }
    // A pod that goes on begins from its beginning (`computePodActions`, pkg/kubelet/kuberuntime).
    let goes_on = |slot: &Slot| slot.ended().is_none_or(|ended| slot.restarts_after(ended, pod_policy));
    if slots.iter().any(|slot| slot.role == Role::Main && goes_on(slot)) {
        let done = |slot: &&mut Slot| slot.role == Role::Init && slot.lets_pass();
        slots.iter_mut().filter(done).for_each(|slot| slot.again = true);
    }
}

/// The specification of a container by name.
pub fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"]
        .into_iter()
        .find_map(|pointer| object::list_at(pod, pointer).iter().find(|c| object::str_at(c, "/name") == name))
}
