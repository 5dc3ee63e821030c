//! Bringing a pod to what it asks for: network, volumes, init containers in their order, then the others.

use std::time::{Duration, Instant};

use embedded_apimachinery::object;
use serde_json::Value;

use super::backoff;
use super::context::NamespaceLookup;
use super::fields::NodeFacts;
use super::hooks;
use super::images;
use super::launch::{self, NotStarted, Sandbox};
use super::network::Attachment;
use super::power::Phase;
use super::slot::{self, Role, Slot, State};
use super::volumes::payload::Sources;
use super::volumes::{self, Volumes};
use super::worker::{Message, Next, Worker};
use crate::probe::{self, ProbeTarget};

/// How long to wait before another attempt to start a container that lacks something. What it most often lacks, a
/// ConfigMap or a Secret, wakes its pod when it comes.
const RETRY: Duration = Duration::from_secs(10);

/// The first wait before another attempt to mount volumes or to join the network, and how often it doubles, up to about
/// two minutes (`durationBeforeRetry`, pkg/util/goroutinemap/exponentialbackoff).
const FIRST_RETRY: Duration = Duration::from_millis(500);
const DOUBLINGS: u32 = 8;

/// A kubelet's volume manager looks at this interval whether all is gone, and only then does the object go. Until then
/// the pod is seen as Succeeded or Failed, which is what the replacement of some pods waits for.
const LAST_LOOK: Duration = Duration::from_millis(100);

impl Worker {
    /// One look at the pod: starts what is to be started, ends what is to be ended.
    pub(super) async fn sync(&mut self) -> Next {
        if self.settled.is_some() {
            return self.settle();
        }
        if self.removed || object::is_deleting(&self.pod) {
            return self.end().await;
        }
        let deadline = self.deadline();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            let text = "Pod was active on the node longer than the specified deadline";
            self.verdict = Some(("DeadlineExceeded".into(), text.into()));
            self.node.recorder.normal(&self.pod, "DeadlineExceeded", text);
            return self.end().await;
        }
        if let Err(next) = self.make_sandbox().await {
            return next;
        }
        let mut wake = deadline;
        let mut later = |time: Instant| wake = Some(wake.map_or(time, |wake: Instant| wake.min(time)));
        for name in self.due() {
            if self.node.power.phase() != Phase::On {
                return Next::Wait;
            }
            if let Some(time) = self.bring_up(&name).await {
                later(time);
            }
        }
        if status_is_final(self) {
            return self.end().await;
        }
        match wake {
            Some(time) => Next::At(time),
            None => Next::Wait,
        }
    }

    async fn end(&mut self) -> Next {
        self.terminate().await;
        // It was not ended when the node has lost its power over it.
        if self.settled.is_some() { self.settle() } else { Next::Wait }
    }

    /// After the end: the object goes when somebody wants that, but its last status is shown for a moment.
    fn settle(&mut self) -> Next {
        if self.removed {
            self.remove_files();
            return Next::Finished;
        }
        if !object::is_deleting(&self.pod) {
            return Next::Wait;
        }
        let shown_until = self.settled.map(|settled| settled + LAST_LOOK);
        if let Some(until) = shown_until.filter(|until| *until > Instant::now()) {
            return Next::At(until);
        }
        self.remove_object();
        Next::Finished
    }

    fn deadline(&self) -> Option<Instant> {
        let seconds = object::int_at(&self.pod, "/spec/activeDeadlineSeconds")?;
        let ends = self.started_at + chrono::Duration::seconds(seconds);
        let left = (ends - chrono::Utc::now()).to_std().unwrap_or(Duration::ZERO);
        Some(Instant::now() + left)
    }

    /// Network and volumes, once.
    async fn make_sandbox(&mut self) -> Result<(), Next> {
        if self.sandbox.is_some() {
            return Ok(());
        }
        let uid = object::uid(&self.pod).to_owned();
        if volumes::await_binding(self.node.machine.api.as_ref(), &self.pod) {
            self.publish();
            // The claim's change brings the pod back here.
            return Err(Next::Wait);
        }
        let mut volumes = Volumes::new(self.node.directory_of(&uid).join("volumes"), &self.pod);
        let facts = NodeFacts { host_ip: self.node.address, pod_ip: None, allocatable: self.node.allocatable.clone() };
        let mounted =
            with_sources(self, &facts, |sources, worker| volumes.mount_all(worker.node.machine.api.as_ref(), sources));
        if let Err(failure) = mounted {
            for error in volumes.unmount_all() {
                tracing::warn!("volumes of pod {}: {error}", object::name(&self.pod));
            }
            self.node.recorder.warning(&self.pod, "FailedMount", failure.message);
            self.publish();
            return Err(self.retry_sandbox());
        }
        if std::mem::take(&mut self.rebooted) {
            let text = "Pod sandbox changed, it will be killed and re-created.";
            self.node.recorder.normal(&self.pod, "SandboxChanged", text);
        }
        match self.attach(&uid).await {
            Ok(attachment) => {
                let facts = NodeFacts { pod_ip: Some(attachment.address), ..facts };
                self.sandbox = Some(Sandbox { attachment, volumes, facts });
                self.publish();
                Ok(())
            }
            Err(error) => {
                let text = format!("Failed to create pod sandbox: {error}");
                self.node.recorder.warning(&self.pod, "FailedCreatePodSandBox", text);
                Err(self.retry_sandbox())
            }
        }
    }

    fn retry_sandbox(&mut self) -> Next {
        let wait = FIRST_RETRY * 2_u32.pow(self.sandbox_failures.min(DOUBLINGS));
        self.sandbox_failures += 1;
        Next::At(Instant::now() + wait)
    }

    async fn attach(&self, uid: &str) -> Result<Attachment, String> {
        let network = &self.node.machine.network;
        if object::bool_at(&self.pod, "/spec/hostNetwork") {
            return Ok(Attachment { netns: network.host_namespace(), address: self.node.address });
        }
        network.attach(uid, &self.node.name).await
    }

    pub(super) fn refresh_volumes(&mut self) {
        let Some(mut sandbox) = self.sandbox.take() else { return };
        let facts = sandbox.facts.clone();
        if let Err(failure) = with_sources(self, &facts, |sources, _| sandbox.volumes.refresh(sources)) {
            self.node.recorder.warning(&self.pod, "FailedMount", failure.message);
        }
        self.sandbox = Some(sandbox);
    }

    /// The containers that may run now, in order: those before the first init container that has not done its part, and
    /// that one; all of them once there is none.
    fn due(&self) -> Vec<String> {
        let mut due = Vec::new();
        for slot in self.slots.iter().filter(|slot| matches!(slot.role, Role::Init | Role::Sidecar)) {
            due.push(slot.name.clone());
            if !(slot.lets_pass() || slot.role == Role::Sidecar && self.main_has_run()) {
                let ephemeral = self.slots.iter().filter(|slot| slot.role == Role::Ephemeral);
                return due.into_iter().chain(ephemeral.map(|slot| slot.name.clone())).collect();
            }
        }
        let rest = self.slots.iter().filter(|slot| matches!(slot.role, Role::Main | Role::Ephemeral));
        due.into_iter().chain(rest.map(|slot| slot.name.clone())).collect()
    }

    fn main_has_run(&self) -> bool {
        self.slots.iter().any(|slot| slot.role == Role::Main && (slot.running().is_some() || slot.ended().is_some()))
    }

    /// Starts a container if it is to run and does not; the time to look again, if it has to wait.
    async fn bring_up(&mut self, name: &str) -> Option<Instant> {
        let pod = self.pod.clone();
        let index = self.slots.iter().position(|slot| slot.name == name)?;
        let container = slot::container(&pod, name)?;
        let slot = &mut self.slots[index];
        if slot.running().is_some() || slot.held {
            return None;
        }
        let now = Instant::now();
        if let Some(ended) = slot.ended().cloned() {
            let done = slot.role == Role::Init && ended.exit_code == 0 && !slot.again;
            if done || !slot.restarts_after(&ended, object::str_at(&pod, "/spec/restartPolicy")) {
                return None;
            }
            if let Some((remaining, wait)) = slot.backoff.remaining(ended.at, now) {
                self.crash_loop(index, &pod, wait);
                return Some(now + remaining);
            }
        }
        if let Some(remaining) = slot.image_backoff.pending(now) {
            if let State::Waiting { reason, message } = slot.state.clone()
                && reason == "ErrImagePull"
            {
                images::back_off(&self.node, &pod, container, slot, &message);
                self.publish();
            }
            return Some(now + remaining);
        }
        match self.start(index, &pod, container).await {
            // The runtime refused it: that counts as a run that failed at once.
            Ok(()) if self.slots[index].running().is_none() => Some(Instant::now()),
            Ok(()) => None,
            Err(failure) => Some(self.note_failure(index, &pod, failure)),
        }
    }

    fn crash_loop(&mut self, index: usize, pod: &Value, wait: Duration) {
        let slot = &mut self.slots[index];
        if matches!(&slot.state, State::Waiting { reason, .. } if reason == "CrashLoopBackOff") {
            return;
        }
        let whose = format!("{}_{}({})", object::name(pod), object::namespace(pod), object::uid(pod));
        let name = slot.name.clone();
        let text = format!("Back-off restarting failed container {name} in pod {whose}");
        self.node.event("Warning", pod, &name, "BackOff", text);
        let wait = backoff::text(wait);
        slot.wait_for("CrashLoopBackOff", format!("back-off {wait} restarting failed container={name} pod={whose}"));
        self.publish();
    }

    async fn start(&mut self, index: usize, pod: &Value, container: &Value) -> Result<(), NotStarted> {
        let target = self.target_process(container)?;
        let slot = &mut self.slots[index];
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        let recipe = images::pull(&self.node, pod, container, slot)?.clone();
        let previous = slot.ended().cloned();
        let runs_before = slot.restarts;
        if !slot.container_id.is_empty() {
            slot.restarts += 1;
        }
        let started = launch::start(&self.node, pod, container, &recipe, sandbox, target, slot).await;
        if let Err(failure) = started {
            slot.restarts = runs_before;
            return Err(failure);
        }
        slot.again = false;
        slot.image_backoff.reset();
        if let Some(ended) = previous {
            slot.backoff.advance(ended.at, Instant::now());
        }
        if let Some(running) = slot.running() {
            let id = running.id.clone();
            self.keep_still(&id).await;
            self.watch(index, pod, container);
            hooks::post_start(self, index, container).await;
        }
        self.publish();
        Ok(())
    }

    /// The process whose PID namespace an ephemeral container joins.
    fn target_process(&self, container: &Value) -> Result<Option<i32>, NotStarted> {
        let name = object::str_at(container, "/targetContainerName");
        if name.is_empty() {
            return Ok(None);
        }
        let running = self.slots.iter().find(|slot| slot.name == name).and_then(Slot::running);
        let missing = || NotStarted {
            reason: "CreateContainerConfigError",
            message: format!("unable to find target container {name}"),
        };
        running.map(|running| Some(running.pid)).ok_or_else(missing)
    }

    /// Follows a container that has just started: its end, and its probes.
    fn watch(&mut self, index: usize, pod: &Value, container: &Value) {
        let slot = &mut self.slots[index];
        let (Some(running), Some(sandbox)) = (slot.running().cloned(), &self.sandbox) else { return };
        let (name, id) = (slot.name.clone(), running.id.clone());
        let probed =
            ["startupProbe", "readinessProbe", "livenessProbe"].iter().any(|kind| container.get(*kind).is_some());
        slot.started = container.get("startupProbe").is_none();
        slot.ready = slot.started && container.get("readinessProbe").is_none();
        let (outbox, mut exit) = (self.outbox.clone(), running.exit);
        let exited = Message::Exited { container: name.clone(), id: id.clone() };
        tokio::spawn(async move {
            let _ = exit.wait_for(Option::is_some).await;
            let _ = outbox.send(exited);
        });
        if !probed {
            return;
        }
        let target = ProbeTarget::new(sandbox.attachment.address, id.clone(), container);
        let (container, outbox) = (container.clone(), self.outbox.clone());
        let (node, machine) = (self.node.clone(), self.node.machine.clone());
        tracing::debug!("probing container {name} of pod {}", object::name(pod));
        let probing = tokio::spawn(async move {
            let (sender, mut reports) = tokio::sync::mpsc::unbounded_channel();
            let dialer = hooks::NodeDialer(machine.network.clone());
            let forward = async {
                while let Some(report) = reports.recv().await {
                    let _ = outbox.send(Message::Probed { container: name.clone(), id: id.clone(), report });
                }
            };
            let run = async {
                probe::run(&container, &target, &dialer, machine.runtime.as_ref(), &sender).await;
                drop(sender);
            };
            node.power.drive(async { tokio::join!(run, forward) }).await;
        });
        if let Some(before) = self.probes.insert(self.slots[index].name.clone(), probing.abort_handle()) {
            before.abort();
        }
    }

    /// Shows why a container does not start; when to try again.
    fn note_failure(&mut self, index: usize, pod: &Value, failure: NotStarted) -> Instant {
        let slot = &mut self.slots[index];
        let name = slot.name.clone();
        let same = matches!(&slot.state, State::Waiting { message, .. } if *message == failure.message);
        if !same && !failure.reason.starts_with("ErrImage") {
            self.node.event("Warning", pod, &name, "Failed", format!("Error: {}", failure.message));
        }
        let slot = &mut self.slots[index];
        slot.wait_for(failure.reason, failure.message);
        let backs_off = failure.reason == "ErrImagePull";
        self.publish();
        // The back-off is shown after the error itself was.
        if backs_off { Instant::now() } else { Instant::now() + RETRY }
    }
}

fn status_is_final(worker: &Worker) -> bool {
    super::status::phase(&worker.pod, &worker.slots, &worker.facts()).is_final()
}

/// Calls `action` with what volumes are made from.
fn with_sources<T>(worker: &Worker, facts: &NodeFacts, action: impl FnOnce(&Sources<'_>, &Worker) -> T) -> T {
    let pod = worker.pod.as_ref();
    let namespace = object::namespace(pod);
    let lookup = NamespaceLookup { api: worker.node.machine.api.as_ref(), namespace };
    let account = object::str_at(pod, "/spec/serviceAccountName");
    let token = |audience: &str, seconds: i64| {
        let mut spec = serde_json::json!({
            "expirationSeconds": seconds,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": object::name(pod), "uid": object::uid(pod)},
        });
        if !audience.is_empty() {
            spec["audiences"] = serde_json::json!([audience]);
        }
        (worker.node.machine.issue_token)(namespace, account, &spec)
    };
    action(&Sources { pod, facts, lookup: &lookup, token: &token }, worker)
}
