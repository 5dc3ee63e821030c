//! The kubelet: pods from watches to processes and back to status.
//!
//! - [`worker`]: one task per pod; `sync`: what it starts; `stop`: how it ends; `launch`: one container
//! - [`status`]: the pod's status, a pure function; [`slot`]: what is known of each container
//! - `env`, `fields`, `security`, `mounts`, [`volumes`], `images`: the parts of a container's configuration
//! - `hooks`: lifecycle hooks; `backoff`: waits between restarts
//! - [`power`], `switch`, `harm`: nodes that are stopped, frozen and brought back, containers that are held down
//! - `access`: logs, commands and port-forwarding for the API server
//! - [`context`], [`network`]: what the agent is given

mod access;
mod backoff;
pub mod context;
mod env;
mod fields;
mod harm;
mod hooks;
mod images;
mod launch;
mod mounts;
pub mod network;
pub mod power;
mod security;
pub mod slot;
pub mod status;
mod stop;
mod switch;
mod sync;
pub mod volumes;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;

use embedded_apimachinery::object::{self, Object, ObjectKey};
use embedded_apimachinery::resource::{CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PODS, SECRETS};
use embedded_apimachinery::store::EventType;
use embedded_apimachinery::{GroupResource, Status};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use context::{Machine, Node};
use power::Phase;
use worker::{Directory, Message, Worker};

/// The kubelets of all nodes of one cluster.
#[derive(Clone)]
pub struct NodeAgent {
    machine: Arc<Machine>,
    nodes: Arc<HashMap<String, Arc<Node>>>,
    pods: Arc<Mutex<HashMap<ObjectKey, Entry>>>,
    workers: TaskTracker,
}

/// A pod that has a worker.
struct Entry {
    uid: String,
    node: String,
    inbox: mpsc::UnboundedSender<Message>,
    directory: Directory,
}

impl NodeAgent {
    pub fn new(machine: Arc<Machine>, nodes: impl IntoIterator<Item = Node>) -> Self {
        let nodes = nodes.into_iter().map(|node| (node.name.clone(), Arc::new(node))).collect();
        Self { machine, nodes: Arc::new(nodes), pods: Arc::default(), workers: TaskTracker::new() }
    }

    /// Runs pods until `shutdown`. Containers are not stopped then: they end with this process's PID namespace, or by
    /// [`NodeAgent::stop`].
    pub async fn run(&self, shutdown: CancellationToken) {
        let follow = async {
            tokio::join!(
                self.follow_pods(),
                self.follow_sources(CONFIG_MAPS),
                self.follow_sources(SECRETS),
                self.follow_sources(PERSISTENT_VOLUME_CLAIMS),
            );
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow => {}
        }
    }

    /// Ends every pod at once and waits until nothing of them is left.
    pub async fn stop(&self) {
        for entry in self.pods.lock().values() {
            let _ = entry.inbox.send(Message::Removed);
        }
        self.workers.close();
        self.workers.wait().await;
    }

    /// Kills a container's process and keeps it from being restarted. Done when the process is dead.
    pub async fn hold(&self, namespace: &str, pod: &str, container: &str) -> Result<(), String> {
        let message = |done| Message::Hold { container: container.to_owned(), done };
        self.ask(namespace, pod, message).await
    }

    /// Lets a held container be restarted, at once.
    pub async fn release(&self, namespace: &str, pod: &str, container: &str) -> Result<(), String> {
        let message = |done| Message::Release { container: container.to_owned(), done };
        self.ask(namespace, pod, message).await
    }

    async fn ask(
        &self,
        namespace: &str,
        pod: &str,
        message: impl FnOnce(oneshot::Sender<Result<(), String>>) -> Message,
    ) -> Result<(), String> {
        let gone = || format!("no node runs pod {namespace}/{pod}");
        let frozen = |node: &String| self.nodes.get(node).is_some_and(|node| node.power.phase() == Phase::Frozen);
        let (done, answer) = oneshot::channel();
        let sent = {
            let pods = self.pods.lock();
            let entry = pods.get(&ObjectKey::new(namespace, pod)).ok_or_else(gone)?;
            if frozen(&entry.node) {
                return Err(format!("{}, which runs pod {namespace}/{pod}, is frozen", entry.node));
            }
            entry.inbox.send(message(done))
        };
        sent.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Every pod and every change of one, for as long as this runs.
    async fn follow_pods(&self) {
        loop {
            let (pods, revision) = self.machine.api.list(&PODS, None);
            let mut listed: Vec<ObjectKey> = Vec::with_capacity(pods.len());
            for pod in pods {
                listed.push(ObjectKey::of(&pod));
                self.deliver(pod);
            }
            self.forget(|key| !listed.contains(key));
            let Ok(mut watcher) = self.machine.api.watch(&PODS, None, revision) else { continue };
            while let Ok(event) = watcher.next().await {
                match event.kind {
                    EventType::Added | EventType::Modified => self.deliver(event.object),
                    EventType::Deleted => {
                        let (key, uid) = (ObjectKey::of(&event.object), object::uid(&event.object).to_owned());
                        self.remove(&key, &uid);
                    }
                }
            }
        }
    }

    /// Tells pods of namespaces in which an object that volumes or environments may use has changed.
    async fn follow_sources(&self, resource: GroupResource) {
        loop {
            let (_, revision) = self.machine.api.list(&resource, None);
            // What changed while nobody watched is not told one by one.
            for entry in self.pods.lock().values() {
                let _ = entry.inbox.send(Message::Sources);
            }
            let Ok(mut watcher) = self.machine.api.watch(&resource, None, revision) else { continue };
            while let Ok(event) = watcher.next().await {
                let namespace = object::namespace(&event.object);
                for (_, entry) in self.pods.lock().iter().filter(|(key, _)| key.namespace == namespace) {
                    let _ = entry.inbox.send(Message::Sources);
                }
            }
        }
    }

    fn deliver(&self, pod: Object) {
        let mut pods = self.pods.lock();
        self.deliver_to(&mut pods, pod);
    }

    fn deliver_to(&self, pods: &mut HashMap<ObjectKey, Entry>, pod: Object) {
        let Some(node) = self.nodes.get(object::str_at(&pod, "/spec/nodeName")) else { return };
        let key = ObjectKey::of(&pod);
        if let Some(entry) = pods.get(&key) {
            if entry.uid == object::uid(&pod) {
                let _ = entry.inbox.send(Message::Pod(pod));
                return;
            }
            let _ = entry.inbox.send(Message::Removed);
        }
        // Whoever brings the node back looks at all its pods.
        if node.power.phase() == Phase::Off {
            return;
        }
        let (inbox, messages) = mpsc::unbounded_channel();
        let uid = object::uid(&pod).to_owned();
        let directory = node.remains.lock().remove(&uid).unwrap_or_default();
        let entry = Entry { uid, node: node.name.clone(), inbox: inbox.clone(), directory: directory.clone() };
        pods.insert(key, entry);
        let worker = Worker::new(node.clone(), pod, messages, inbox, directory);
        self.workers.spawn(node.workers.track_future(worker.run()));
    }

    fn remove(&self, key: &ObjectKey, uid: &str) {
        let mut pods = self.pods.lock();
        if pods.get(key).is_some_and(|entry| entry.uid == uid)
            && let Some(entry) = pods.remove(key)
        {
            let _ = entry.inbox.send(Message::Removed);
        }
    }

    fn forget(&self, gone: impl Fn(&ObjectKey) -> bool) {
        self.pods.lock().retain(|key, entry| {
            let keep = !gone(key);
            if !keep {
                let _ = entry.inbox.send(Message::Removed);
            }
            keep
        });
    }

    /// What is known of the containers of a pod.
    fn directory(&self, pod: &serde_json::Value) -> Result<Directory, Status> {
        let entry = self.pods.lock().get(&ObjectKey::of(pod)).map(|entry| entry.directory.clone());
        let host = object::str_at(pod, "/spec/nodeName");
        entry.ok_or_else(|| match host {
            "" => Status::bad_request(format!("pod {} does not have a host assigned", object::name(pod))),
            host => Status::not_found(&PODS, object::name(pod)).with_details(serde_json::json!({"node": host})),
        })
    }
}
