//! What is done to a pod on purpose: containers held down, nodes frozen or off.

use embedded_apimachinery::object;
use tokio::sync::oneshot;

use super::power::Phase;
use super::slot::Slot;
use super::worker::Worker;

impl Worker {
    /// Kills a container and keeps it down; the reply comes with its end.
    pub(super) async fn hold(&mut self, container: String, done: oneshot::Sender<Result<(), String>>) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.name == container) else {
            let _ = done.send(Err(format!("pod {} has no container {container}", object::name(&self.pod))));
            return;
        };
        slot.held = true;
        let Some(running) = slot.running() else {
            let _ = done.send(Ok(()));
            return;
        };
        match self.node.machine.runtime.signal(&running.id, nix::libc::SIGKILL).await {
            Ok(()) => self.holders.push((container, done)),
            Err(error) => drop(done.send(Err(error.to_string()))),
        }
    }

    pub(super) fn release(&mut self, container: &str, done: oneshot::Sender<Result<(), String>>) {
        let slot = self.slots.iter_mut().find(|slot| slot.name == container);
        let result = match slot {
            Some(slot) => {
                slot.held = false;
                slot.backoff.reset();
                Ok(())
            }
            None => Err(format!("pod {} has no container {container}", object::name(&self.pod))),
        };
        let _ = done.send(result);
    }

    /// A container that was just being started when its node froze stands still as the others do.
    pub(super) async fn keep_still(&self, id: &str) {
        if self.node.power.phase() != Phase::Frozen {
            return;
        }
        let runtime = &self.node.machine.runtime;
        self.node.still.lock().insert(id.to_owned());
        let mut done = runtime.freeze(id).await;
        if self.node.power.phase() != Phase::Frozen {
            done = runtime.thaw(id).await;
        }
        if let Err(error) = done {
            tracing::warn!("pod {}: {error}", object::name(&self.pod));
        }
    }

    /// The machine is off: nothing runs any more, and only what a disk keeps is left of the pod. Its address stays taken
    /// until the machine is back, so that whoever writes to it hears nothing.
    pub(super) async fn lose_power(mut self) {
        for (_, probe) in self.probes.drain() {
            probe.abort();
        }
        let runtime = &self.node.machine.runtime;
        for running in self.slots.iter().filter_map(Slot::running) {
            let mut exit = running.exit.clone();
            let done = async {
                runtime.signal(&running.id, nix::libc::SIGKILL).await?;
                let _ = exit.wait_for(Option::is_some).await;
                runtime.remove(&running.id).await
            };
            if let Err(error) = done.await {
                tracing::warn!("pod {}: {error}", object::name(&self.pod));
            }
        }
        if let Some(mut sandbox) = self.sandbox.take() {
            for error in sandbox.volumes.lose_power(&self.pod) {
                tracing::warn!("volumes of pod {}: {error}", object::name(&self.pod));
            }
        }
        *self.directory.lock() = self.slots.drain(..).map(|slot| (slot.name.clone(), slot)).collect();
        self.node.remains.lock().insert(object::uid(&self.pod).to_owned(), self.directory);
    }
}
