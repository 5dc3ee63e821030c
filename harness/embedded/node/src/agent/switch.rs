//! Stopping, freezing and returning nodes.
//!
//! What pods send and receive is not stopped here: whoever switches a node silences its traffic first.

use std::sync::Arc;

use embedded_apimachinery::object;
use embedded_apimachinery::resource::PODS;
use futures::future::join_all;

use super::NodeAgent;
use super::context::Node;
use super::power::{Phase, Power};

impl NodeAgent {
    /// The power of a node, for what else depends on it.
    ///
    /// # Errors
    /// There is no such node.
    pub fn power(&self, node: &str) -> Result<&Power, String> {
        self.node(node).map(|node| &node.power)
    }

    /// Takes the power from a node: its containers are dead when this returns, and its kubelet does nothing any more.
    /// Again is no error.
    ///
    /// # Errors
    /// There is no such node.
    pub async fn stop_node(&self, name: &str) -> Result<(), String> {
        let node = self.node(name)?;
        let _switching = node.switching.lock().await;
        if node.power.phase() == Phase::Off {
            return Ok(());
        }
        {
            // From here on no pod is taken in.
            let mut pods = self.pods.lock();
            node.power.switch(Phase::Off);
            pods.retain(|_, entry| entry.node != name);
            node.still.lock().clear();
        }
        node.workers.close();
        node.workers.wait().await;
        node.workers.reopen();
        Ok(())
    }

    /// Lets everything on a node stand still: containers and kubelet. Again is no error.
    ///
    /// # Errors
    /// There is no such node, it is off, or a container goes on; then the others do so again.
    pub async fn freeze_node(&self, name: &str) -> Result<(), String> {
        let node = self.node(name)?;
        let _switching = node.switching.lock().await;
        if node.power.phase() == Phase::Off {
            return Err(format!("{name} is stopped"));
        }
        // First the kubelet: what it is just starting stands still by its own doing.
        node.power.switch(Phase::Frozen);
        let (runtime, containers) = (&self.machine.runtime, self.containers_of(name));
        node.still.lock().extend(containers.iter().cloned());
        let frozen = join_all(containers.iter().map(|id| runtime.freeze(id))).await;
        match frozen.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some(error) => {
                self.thaw(node).await.err().into_iter().for_each(|error| tracing::warn!("node {name}: {error}"));
                Err(error.to_string())
            }
        }
    }

    /// Brings a node back: one that is frozen goes on where it stood, one that is off starts as a machine does, and its
    /// pods are started anew or, where they are gone from the API, forgotten. A node that is on is no error.
    ///
    /// # Errors
    /// There is no such node, or a container does not go on.
    pub async fn return_node(&self, name: &str) -> Result<(), String> {
        let node = self.node(name)?;
        let _switching = node.switching.lock().await;
        match node.power.phase() {
            Phase::On => Ok(()),
            Phase::Frozen => self.thaw(node).await,
            Phase::Off => {
                self.boot(node).await;
                Ok(())
            }
        }
    }

    async fn thaw(&self, node: &Node) -> Result<(), String> {
        let runtime = &self.machine.runtime;
        // Also those whose pods were deleted by force meanwhile: they go on until the kubelet has heard of it.
        let still = std::mem::take(&mut *node.still.lock());
        let thawed = join_all(still.iter().map(|id| runtime.thaw(id))).await;
        // The kubelet goes on whatever came of that: it alone can restart what does not.
        node.power.switch(Phase::On);
        thawed.into_iter().find_map(Result::err).map_or(Ok(()), |error| Err(error.to_string()))
    }

    async fn boot(&self, node: &Node) {
        let known: Vec<String> = node.remains.lock().keys().cloned().collect();
        for uid in known {
            // The networks that its pods had went with the power.
            if let Err(error) = self.machine.network.detach(&uid).await {
                tracing::warn!("network of pod {uid}: {error}");
            }
        }
        {
            // No change of a pod is told to anybody between the list and the last delivery.
            let mut pods = self.pods.lock();
            node.power.switch(Phase::On);
            let (all, _) = self.machine.api.list(&PODS, None);
            let here = all.into_iter().filter(|pod| object::str_at(pod, "/spec/nodeName") == node.name);
            here.for_each(|pod| self.deliver_to(&mut pods, pod));
        }
        let orphans = std::mem::take(&mut *node.remains.lock());
        for uid in orphans.into_keys() {
            super::stop::remove_files(node, &uid);
        }
    }

    fn node(&self, name: &str) -> Result<&Arc<Node>, String> {
        self.nodes.get(name).ok_or_else(|| format!("there is no node {name:?}"))
    }

    /// The containers of a node's pods, by the runtime's names, which begin with the uid of the pod.
    fn containers_of(&self, node: &str) -> Vec<String> {
        let pods = self.pods.lock();
        let uids: Vec<&str> =
            pods.values().filter(|entry| entry.node == node).map(|entry| entry.uid.as_str()).collect();
        let ids = self.machine.runtime.ids().into_iter();
        ids.filter(|id| uids.iter().any(|uid| id.starts_with(uid))).collect()
    }
}
