//! One task per pod: it takes in what happens to the pod, and brings the machine to what the pod asks for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, Object};
use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{ApiExt, timestamp};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::context::Node;
use super::launch::{self, Sandbox};
use super::power::Phase;
use super::slot::{self, Slot, State, Terminated};
use super::status::{self, PodFacts};
use crate::probe::Report;
use crate::runtime::Exit;

/// What can happen to a pod.
pub enum Message {
    /// Its object changed.
    Pod(Object),
    /// Its object is gone: end at once.
    Removed,
    /// ConfigMaps, Secrets or claims of its namespace changed.
    Sources,
    /// A container's run has ended: the runtime's name of it.
    Exited {
        container: String,
        id: String,
    },
    Probed {
        container: String,
        id: String,
        report: Report,
    },
    /// Kill a container and keep it down.
    Hold {
        container: String,
        done: oneshot::Sender<Result<(), String>>,
    },
    Release {
        container: String,
        done: oneshot::Sender<Result<(), String>>,
    },
}

/// What others may know of a pod's containers: for logs and commands.
pub type Directory = Arc<Mutex<HashMap<String, Slot>>>;

pub struct Worker {
    pub(super) node: Arc<Node>,
    pub(super) pod: Object,
    pub(super) slots: Vec<Slot>,
    pub(super) sandbox: Option<Sandbox>,
    /// Attempts to make the sandbox that failed.
    pub(super) sandbox_failures: u32,
    pub(super) inbox: mpsc::UnboundedReceiver<Message>,
    pub(super) outbox: mpsc::UnboundedSender<Message>,
    pub(super) probes: HashMap<String, AbortHandle>,
    pub(super) started_at: DateTime<Utc>,
    pub(super) verdict: Option<(String, String)>,
    /// Replies owed to those who asked for a container to be held.
    pub(super) holders: Vec<(String, oneshot::Sender<Result<(), String>>)>,
    /// When everything of the pod was gone but its object.
    pub(super) settled: Option<Instant>,
    pub(super) removed: bool,
    /// Something is to be told the API that could not be while the node stood still.
    untold: bool,
    /// Whether we last told the API that the pod is ready.
    called_ready: bool,
    /// The node was off since the pod had a network.
    pub(super) rebooted: bool,
    pub(super) directory: Directory,
}

/// What to do after a look at the pod.
pub(super) enum Next {
    Wait,
    /// Look again at this time, whatever happens.
    At(Instant),
    Finished,
}

impl Worker {
    /// `directory` holds what a node that was off had of the pod on its disk; it is empty for a pod that is new there.
    pub fn new(
        node: Arc<Node>,
        pod: Object,
        inbox: mpsc::UnboundedReceiver<Message>,
        outbox: mpsc::UnboundedSender<Message>,
        directory: Directory,
    ) -> Self {
        let started = timestamp::parse(object::str_at(&pod, "/status/startTime"));
        let mut slots = slot::of_pod(&pod);
        let mut known = std::mem::take(&mut *directory.lock());
        let rebooted = !known.is_empty();
        if rebooted {
            slots.iter_mut().for_each(|slot| {
                if let Some(known) = known.remove(&slot.name) {
                    *slot = known
                }
            });
            // Only ephemeral containers came later.
            slots.extend(known.into_values());
            slot::after_reboot(&mut slots, object::str_at(&pod, "/spec/restartPolicy"), Utc::now());
        }
        Self {
            node,
            slots,
            pod,
            sandbox: None,
            sandbox_failures: 0,
            inbox,
            outbox,
            probes: HashMap::new(),
            started_at: started.unwrap_or_else(Utc::now),
            verdict: None,
            holders: Vec::new(),
            settled: None,
            removed: false,
            untold: false,
            called_ready: false,
            rebooted,
            directory,
        }
    }

    /// Runs the pod until it is gone, or its node off.
    pub async fn run(mut self) {
        // A pod that ended before this process knew it keeps what its status says.
        let ended_before = object::pod_is_terminal(&self.pod);
        self.untold = !ended_before;
        loop {
            if !self.node.power.awake().await {
                return self.lose_power().await;
            }
            if self.untold {
                self.publish();
            }
            let wake = match if ended_before { self.await_deletion() } else { self.sync().await } {
                Next::Finished => return,
                Next::Wait => None,
                Next::At(time) => Some(time),
            };
            let time = async {
                match wake {
                    Some(time) => tokio::time::sleep_until(time.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.inbox.recv() => {
                    let Some(message) = message else { return };
                    self.take(message).await;
                    while let Ok(message) = self.inbox.try_recv() {
                        self.take(message).await;
                    }
                }
                () = time => {}
                () = self.node.power.interrupted() => {}
            }
        }
    }

    fn await_deletion(&mut self) -> Next {
        if self.removed {
            self.remove_files();
            return Next::Finished;
        }
        if object::is_deleting(&self.pod) {
            self.remove_object();
            return Next::Finished;
        }
        Next::Wait
    }

    pub(super) async fn take(&mut self, message: Message) {
        match message {
            Message::Pod(pod) => {
                self.pod = pod;
                self.add_ephemeral();
                // Conditions of others may open or close readiness gates.
                if !self.pod["spec"]["readinessGates"].is_null() || self.is_misjudged() {
                    self.publish();
                }
            }
            Message::Removed => self.removed = true,
            Message::Sources => self.refresh_volumes(),
            Message::Exited { container, id } => self.note_exit(&container, &id).await,
            Message::Probed { container, id, report } => self.note_probe(&container, &id, report).await,
            Message::Hold { container, done } => self.hold(container, done).await,
            Message::Release { container, done } => self.release(&container, done),
        }
    }

    /// Whether somebody has taken a pod that we called ready for lost, and said so.
    fn is_misjudged(&self) -> bool {
        self.called_ready && !object::pod_is_ready(&self.pod)
    }

    fn add_ephemeral(&mut self) {
        for container in object::list_at(&self.pod, "/spec/ephemeralContainers") {
            let name = object::str_at(container, "/name");
            if self.slots.iter().all(|slot| slot.name != name) {
                self.slots.push(Slot::new(container, slot::Role::Ephemeral, false));
            }
        }
    }

    /// The slot whose present run has this id.
    fn slot_of_run(&mut self, container: &str, id: &str) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|s| s.name == container && s.running().is_some_and(|running| running.id == id))
    }

    pub(super) async fn note_exit(&mut self, container: &str, id: &str) {
        let Some(slot) = self.slot_of_run(container, id) else { return };
        let Some(running) = slot.running().cloned() else { return };
        let Some(exit) = running.exit.borrow().clone() else { return };
        let run = slot.restarts;
        (slot.ready, slot.started) = (false, false);
        let container_id = slot.container_id.clone();
        if let Some(probe) = self.probes.remove(container) {
            probe.abort();
        }
        let message = self.termination_message(container, run, &exit).await;
        let terminated = Terminated {
            exit_code: exit.code,
            signal: exit.signal,
            reason: reason(&exit).into(),
            message,
            started_at: running.since,
            finished_at: exit.at.into(),
            container_id,
            at: Instant::now(),
        };
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.name == container) {
            slot.state = State::Terminated(terminated);
        }
        if let Err(error) = self.node.machine.runtime.remove(id).await {
            tracing::warn!("pod {}: {error}", object::name(&self.pod));
        }
        for (_, done) in self.holders.extract_if(.., |(held, _)| held == container) {
            let _ = done.send(Ok(()));
        }
        self.publish();
    }

    /// What the container left at its termination message path, or else the end of its log where that is asked for.
    async fn termination_message(&self, container: &str, run: u32, exit: &Exit) -> String {
        const LIMIT: usize = 4096;
        const LOG_LINES: u64 = 80;
        const LOG_BYTES: usize = 2048;
        let uid = object::uid(&self.pod);
        let path = launch::termination_path(&self.node, uid, container, run);
        let text = tokio::fs::read(&path).await.unwrap_or_default();
        let policy = slot::container(&self.pod, container).map(|c| object::str_at(c, "/terminationMessagePolicy"));
        if text.is_empty() && exit.code != 0 && policy == Some("FallbackToLogsOnError") {
            let path = launch::log_path(&self.node, uid, container, run);
            return super::access::log_tail(self.node.machine.runtime.as_ref(), &path, LOG_LINES, LOG_BYTES).await;
        }
        String::from_utf8_lossy(&text[..text.len().min(LIMIT)]).into_owned()
    }

    async fn note_probe(&mut self, container: &str, id: &str, report: Report) {
        let node = self.node.clone();
        let pod = self.pod.clone();
        let Some(slot) = self.slot_of_run(container, id) else { return };
        match report {
            Report::Started => slot.started = true,
            Report::Ready(ready) => slot.ready = ready,
            Report::Unhealthy { message, .. } => {
                node.event("Warning", &pod, container, "Unhealthy", message);
                return;
            }
            // A pod that ends has no use for a restart.
            Report::Dead(_) if object::is_deleting(&pod) => return,
            Report::Dead(kind) => {
                let probe = kind.to_string().to_lowercase();
                let text = format!("Container {container} failed {probe} probe, will be restarted");
                node.event("Normal", &pod, container, "Killing", text);
                let specified = slot::container(&pod, container);
                let grace = format!("/{probe}Probe/terminationGracePeriodSeconds");
                self.stop_container(container, specified.and_then(|container| object::int_at(container, &grace)));
                return;
            }
        }
        self.publish();
    }

    pub(super) fn facts(&self) -> PodFacts {
        PodFacts {
            host_ip: self.node.address,
            pod_ip: self.sandbox.as_ref().map(|s| s.attachment.address).or_else(|| {
                // The address is remembered after the end.
                object::str_at(&self.pod, "/status/podIP").parse().ok()
            }),
            start_time: self.started_at,
            sandbox_ready: self.sandbox.is_some(),
            stopped_for_good: self.settled.is_some(),
            settled: self.settled.is_some(),
            verdict: self.verdict.clone(),
        }
    }

    /// Writes the status if it differs, and tells those who read logs and run commands.
    pub(super) fn publish(&mut self) {
        *self.directory.lock() = self.slots.iter().map(|slot| (slot.name.clone(), slot.clone())).collect();
        let status = status::render(&self.pod, &self.slots, &self.facts());
        // A node that stands still says nothing; it will when it goes on.
        self.untold = self.node.power.phase() != Phase::On;
        if self.removed || self.untold || status == self.pod["status"] {
            return;
        }
        self.called_ready = object::pod_is_ready(&serde_json::json!({"status": status}));
        let facts = self.facts();
        let (slots, api) = (&self.slots, &self.node.machine.api);
        let written = api.modify_status(&self.node.actor, &PODS, &self.pod, &mut |pod| {
            let status = status::render(pod, slots, &facts);
            pod["status"] = status;
        });
        match written {
            Ok(()) => {
                self.pod = api
                    .find(&PODS, object::namespace(&self.pod), object::name(&self.pod))
                    .filter(|now| object::uid(now) == object::uid(&self.pod))
                    .unwrap_or_else(|| self.pod.clone())
            }
            Err(error) => tracing::warn!("status of pod {}: {error}", object::name(&self.pod)),
        }
    }
}

fn reason(exit: &Exit) -> &'static str {
    match exit {
        Exit { oom_killed: true, .. } => "OOMKilled",
        Exit { code: 0, .. } => "Completed",
        Exit { .. } => "Error",
    }
}
