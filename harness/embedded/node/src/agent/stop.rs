//! Ending containers: hooks, SIGTERM, and SIGKILL when the grace period is over.

use std::time::{Duration, Instant};

use embedded_apimachinery::object;
use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{DeleteOptions, timestamp};
use futures::future::join_all;

use super::context::Node;
use super::hooks;
use super::slot::{self, Role, Slot};
use super::worker::{Message, Worker};
use crate::probe::ProbeTarget;

/// A container gets this long after its `preStop` hook, even if that used the grace period up
/// (`minimumGracePeriodInSeconds`, pkg/kubelet/kuberuntime).
const LEAST_GRACE: Duration = Duration::from_secs(2);

impl Worker {
    /// Ends one container, with its `preStop` hook, in the background; its end is reported as any other. `grace` is in
    /// seconds, by default the pod's.
    pub(super) fn stop_container(&self, name: &str, grace: Option<i64>) {
        let Some(running) = self.slots.iter().find(|slot| slot.name == name).and_then(Slot::running).cloned() else {
            return;
        };
        let of_pod = || object::int_at(&self.pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
        let grace = seconds(grace.unwrap_or_else(of_pod));
        let (node, runtime) = (self.node.clone(), self.node.machine.runtime.clone());
        let pre_stop = self.pre_stop(&[name.to_owned()]);
        let stop = async move {
            let mut exit = running.exit;
            let begun = Instant::now();
            let _ = tokio::time::timeout(grace, pre_stop).await;
            let _ = runtime.signal(&running.id, nix::libc::SIGTERM).await;
            let left = grace.saturating_sub(begun.elapsed()).max(LEAST_GRACE.min(grace));
            if tokio::time::timeout(left, exit.wait_for(Option::is_some)).await.is_err() {
                let _ = runtime.signal(&running.id, nix::libc::SIGKILL).await;
            }
        };
        tokio::spawn(async move { node.power.drive(stop).await });
    }

    /// Ends the whole pod: main containers first, then sidecars, last first; then network and volumes. A pod whose node
    /// loses its power meanwhile is left as it is.
    pub(super) async fn terminate(&mut self) {
        let begun = Instant::now();
        // Marks that others made (of a disruption) take their place among the conditions while all still runs.
        self.publish();
        let mains: Vec<String> = self.running(|slot| !matches!(slot.role, Role::Sidecar));
        self.stop_all(mains, begun).await;
        for sidecar in self.running(|slot| slot.role == Role::Sidecar).into_iter().rev() {
            self.stop_all(vec![sidecar], begun).await;
        }
        for (_, probe) in self.probes.drain() {
            probe.abort();
        }
        if !self.node.power.awake().await {
            return;
        }
        self.publish();
        self.tear_down().await;
        self.settled = Some(Instant::now());
        self.publish();
    }

    fn running(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<String> {
        self.slots.iter().filter(|s| s.running().is_some() && wanted(s)).map(|slot| slot.name.clone()).collect()
    }

    /// The time by which everything must be dead.
    fn kill_time(&self, begun: Instant) -> Instant {
        if self.removed {
            return begun;
        }
        let own = object::int_at(&self.pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
        let Some(asked) = object::int_at(&self.pod, "/metadata/deletionGracePeriodSeconds") else {
            return begun + seconds(own);
        };
        // The deadline counts from the request, which may have come again with a shorter period.
        let ends = object::deletion_timestamp(&self.pod).and_then(timestamp::parse);
        let left = ends.and_then(|ends| (ends - chrono::Utc::now()).to_std().ok()).unwrap_or(Duration::ZERO);
        (begun + seconds(asked)).min(Instant::now() + left + Duration::from_secs(1))
    }

    async fn stop_all(&mut self, names: Vec<String>, begun: Instant) {
        if names.is_empty() {
            return;
        }
        for name in &names {
            self.node.event("Normal", &self.pod, name, "Killing", format!("Stopping container {name}"));
        }
        let mut hooks = Box::pin(self.pre_stop(&names));
        let mut signalled = false;
        let mut least = None;
        loop {
            let left: Vec<String> = names.iter().filter(|name| self.is_running(name)).cloned().collect();
            if left.is_empty() {
                return;
            }
            let deadline = self.kill_time(begun).max(least.unwrap_or(begun));
            tokio::select! {
                () = &mut hooks, if !signalled => {
                    signalled = true;
                    least = Some((Instant::now() + LEAST_GRACE).min(begun + LEAST_GRACE.max(self.kill_time(begun) - begun)));
                    self.signal(&left, nix::libc::SIGTERM).await;
                }
                message = self.inbox.recv() => match message {
                    Some(message) => self.take_while_stopping(message).await,
                    None => return,
                },
                () = self.node.power.interrupted() => {
                    if !self.node.power.awake().await {
                        return;
                    }
                }
                () = tokio::time::sleep_until(deadline.into()) => {
                    self.signal(&left, nix::libc::SIGKILL).await;
                    self.await_exits(&left).await;
                    return;
                }
            }
        }
    }

    fn is_running(&self, name: &str) -> bool {
        self.slots.iter().any(|slot| slot.name == name && slot.running().is_some())
    }

    /// The same as ever, but a container that ends now stays ended.
    async fn take_while_stopping(&mut self, message: Message) {
        Box::pin(self.take(message)).await;
    }

    /// Nothing survives SIGKILL: only the exits are missing.
    async fn await_exits(&mut self, names: &[String]) {
        for name in names {
            let Some(running) = self.slots.iter().find(|slot| slot.name == *name).and_then(Slot::running).cloned()
            else {
                continue;
            };
            let mut exit = running.exit;
            let _ = exit.wait_for(Option::is_some).await;
            self.note_exit(name, &running.id).await;
        }
    }

    async fn signal(&self, names: &[String], signal: i32) {
        for running in self.slots.iter().filter(|s| names.contains(&s.name)).filter_map(Slot::running) {
            if let Err(error) = self.node.machine.runtime.signal(&running.id, signal).await {
                tracing::warn!("pod {}: {error}", object::name(&self.pod));
            }
        }
    }

    /// The `preStop` hooks of these containers, side by side.
    fn pre_stop(&self, names: &[String]) -> impl Future<Output = ()> + Send + 'static {
        let machine = self.node.machine.clone();
        let node = self.node.clone();
        let pod = self.pod.clone();
        let address = self.sandbox.as_ref().map(|sandbox| sandbox.attachment.address);
        let removed = self.removed;
        let running: Vec<(String, String)> = self
            .slots
            .iter()
            .filter(|slot| names.contains(&slot.name))
            .filter_map(|slot| Some((slot.name.clone(), slot.running()?.id.clone())))
            .collect();
        async move {
            let run = |(name, id): (String, String)| {
                let (machine, node, pod) = (machine.clone(), node.clone(), pod.clone());
                async move {
                    let container = slot::container(&pod, &name)?;
                    let handler = container.pointer("/lifecycle/preStop").filter(|_| !removed)?;
                    let target = ProbeTarget::new(address?, id, container);
                    if let Err(why) = hooks::run(&machine, handler, &target).await {
                        node.event("Warning", &pod, &name, "FailedPreStopHook", format!("PreStopHook failed: {why}"));
                    }
                    Some(())
                }
            };
            join_all(running.into_iter().map(run)).await;
        }
    }

    async fn tear_down(&mut self) {
        let uid = object::uid(&self.pod).to_owned();
        if let Some(mut sandbox) = self.sandbox.take() {
            for error in sandbox.volumes.unmount_all() {
                tracing::warn!("volumes of pod {}: {error}", object::name(&self.pod));
            }
        }
        if let Err(error) = self.node.machine.network.detach(&uid).await {
            tracing::warn!("network of pod {}: {error}", object::name(&self.pod));
        }
    }

    /// Lets the API server forget the pod, and forgets its files.
    pub(super) fn remove_object(&mut self) {
        let (namespace, name) = (object::namespace(&self.pod), object::name(&self.pod));
        let options = DeleteOptions::now(&self.pod);
        match self.node.machine.api.delete(&self.node.actor, &PODS, namespace, name, &options) {
            Err(error) if !error.is_not_found() && !error.is_conflict() => tracing::warn!("pod {name}: {error}"),
            _ => {}
        }
        self.remove_files();
    }

    /// Volumes of the pod's own, logs and termination messages.
    pub(super) fn remove_files(&self) {
        remove_files(&self.node, object::uid(&self.pod));
    }
}

pub(super) fn remove_files(node: &Node, pod_uid: &str) {
    let directory = node.directory_of(pod_uid);
    if let Err(error) = std::fs::remove_dir_all(&directory)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("removing {}: {error}", directory.display());
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}
