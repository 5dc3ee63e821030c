//! A container runtime and a pod network without processes, and a node over them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use embedded_apimachinery::kubelet::{ExecOptions, ExecSession, LogOptions, LogStream};
use embedded_apimachinery::resource::{CORE_EVENTS, PODS};
use embedded_apimachinery::{Actor, Api, DeleteOptions, Object, Store, object};
use embedded_node::agent::NodeAgent;
use embedded_node::agent::context::{Machine, Node};
use embedded_node::agent::network::{Attachment, PodNetwork};
use embedded_node::image::Catalogue;
use embedded_node::runtime::{ContainerConfig, ContainerRuntime, Exit, RuntimeError, Started};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub const NODE: &str = "node-1";
pub const NODE_ADDRESS: [u8; 4] = [10, 200, 0, 1];
pub const POD_ADDRESS: [u8; 4] = [10, 244, 1, 2];

/// How long a test waits for what is bound to happen.
const DEADLINE: Duration = Duration::from_secs(20);

/// Containers that do what their arguments say: `exit N` ends at once, `refuse` cannot be started, `stubborn` ignores
/// SIGTERM; anything else runs until it is told to end. Commands do the same.
#[derive(Default)]
pub struct FakeRuntime {
    containers: Mutex<HashMap<String, watch::Sender<Option<Exit>>>>,
    /// Everything that was asked, in order.
    asked: Mutex<Vec<String>>,
    configs: Mutex<Vec<ContainerConfig>>,
}

impl FakeRuntime {
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    pub fn configs(&self) -> Vec<ContainerConfig> {
        self.configs.lock().clone()
    }

    fn note(&self, what: String) {
        self.asked.lock().push(what);
    }
}

/// The container's name: ids are `<uid>-<name>-<run>`, and uids have 36 characters.
fn name_and_run(id: &str) -> &str {
    &id[37..]
}

fn exit(code: i32, signal: Option<i32>) -> Exit {
    Exit { code, signal, oom_killed: false, at: SystemTime::now() }
}

#[async_trait]
impl ContainerRuntime for FakeRuntime {
    async fn start(&self, config: &ContainerConfig) -> Result<Started, RuntimeError> {
        self.note(format!("start {}", name_and_run(&config.id)));
        self.configs.lock().push(config.clone());
        let words: Vec<&str> = config.args.iter().map(String::as_str).collect();
        let ended = match words.as_slice() {
            ["refuse"] => return Err(RuntimeError::CannotRun { message: "no such program".into() }),
            ["exit", code] => Some(exit(code.parse().unwrap(), None)),
            _ => None,
        };
        let (sender, receiver) = watch::channel(ended);
        self.containers.lock().insert(config.id.clone(), sender);
        Ok(Started { pid: 1, exit: receiver })
    }

    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        self.note(format!("signal {signal} {}", name_and_run(id)));
        let stubborn = self.configs.lock().iter().any(|config| config.id == id && config.args == ["stubborn"]);
        if signal == 15 && stubborn {
            return Ok(());
        }
        if let Some(container) = self.containers.lock().get(id) {
            container.send_if_modified(|ended| {
                let code = if signal == 15 { 0 } else { 128 + signal };
                ended.is_none().then(|| *ended = Some(exit(code, Some(signal)))).is_some()
            });
        }
        Ok(())
    }

    fn ids(&self) -> Vec<String> {
        self.containers.lock().keys().cloned().collect()
    }

    async fn freeze(&self, id: &str) -> Result<(), RuntimeError> {
        self.note(format!("freeze {}", name_and_run(id)));
        Ok(())
    }

    async fn thaw(&self, id: &str) -> Result<(), RuntimeError> {
        self.note(format!("thaw {}", name_and_run(id)));
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        self.note(format!("remove {}", name_and_run(id)));
        self.containers.lock().remove(id);
        Ok(())
    }

    async fn exec(&self, id: &str, options: &ExecOptions) -> Result<ExecSession, RuntimeError> {
        self.note(format!("exec {} {}", name_and_run(id), options.command.join(" ")));
        let ((output, received), (exited, exit)) = (mpsc::channel(1), oneshot::channel());
        match options.command.as_slice() {
            [word, code] if word == "exit" => {
                let _ = exited.send(Ok(code.parse().unwrap()));
            }
            _ => {
                tokio::spawn(async move {
                    output.closed().await;
                    drop(exited);
                });
            }
        }
        Ok(ExecSession { stdin: None, output: received, resize: None, exit })
    }

    async fn logs(&self, _: &Path, _: &LogOptions) -> Result<LogStream, RuntimeError> {
        Ok(Box::pin(futures::stream::empty()))
    }
}

/// Notes who is attached.
#[derive(Default)]
pub struct FakeNetwork {
    pub attached: Mutex<Vec<String>>,
}

#[async_trait]
impl PodNetwork for FakeNetwork {
    async fn attach(&self, pod_uid: &str, _: &str) -> Result<Attachment, String> {
        self.attached.lock().push(pod_uid.to_owned());
        Ok(Attachment { netns: PathBuf::from("/netns").join(pod_uid), address: IpAddr::from(POD_ADDRESS) })
    }

    fn host_namespace(&self) -> PathBuf {
        "/netns/cluster".into()
    }

    async fn detach(&self, pod_uid: &str) -> Result<(), String> {
        self.attached.lock().retain(|uid| uid != pod_uid);
        Ok(())
    }

    async fn connect(&self, to: SocketAddr) -> std::io::Result<TcpStream> {
        TcpStream::connect(to).await
    }

    async fn connect_from(&self, _: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
        TcpStream::connect(to).await
    }
}

/// A node that runs pods of a store.
pub struct TestNode {
    pub store: Arc<Store>,
    pub runtime: Arc<FakeRuntime>,
    pub network: Arc<FakeNetwork>,
    pub agent: NodeAgent,
    /// Holds one directory per pod.
    pub directory: tempfile::TempDir,
    _shutdown: tokio_util::sync::DropGuard,
}

impl TestNode {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, runtime, network) = (Arc::<Store>::default(), Arc::<FakeRuntime>::default(), Arc::default());
        let machine = Arc::new(Machine {
            api: Arc::new(store.clone()),
            runtime: runtime.clone(),
            network: Arc::<FakeNetwork>::clone(&network),
            catalogue: Catalogue::new(Vec::new()),
            issue_token: Box::new(|_, _, _| Ok("token".into())),
            directory: directory.path().to_owned(),
        });
        let allocatable = json!({"cpu": "8", "memory": "16Gi"});
        let node = Node::new(machine.clone(), NODE, IpAddr::from(NODE_ADDRESS), allocatable);
        let (agent, shutdown) = (NodeAgent::new(machine, [node]), CancellationToken::new());
        let (running, token) = (agent.clone(), shutdown.clone());
        tokio::spawn(async move { running.run(token).await });
        Self { store, runtime, network, agent, directory, _shutdown: shutdown.drop_guard() }
    }

    /// Creates pod `ns/p` of one container `c` that does what `words` say; both can be changed before.
    pub fn create(&self, words: &[&str], change: impl FnOnce(&mut Value)) {
        let mut spec = json!({
            "nodeName": NODE, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "c", "image": "busybox:1", "command": words}],
        });
        change(&mut spec);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
        Api::create(&self.store, &Actor::system("test"), &PODS, "ns", pod).unwrap();
    }

    /// Asks for the pod's graceful deletion, as the API server notes it.
    pub fn delete(&self, grace: i64) {
        Api::modify(&self.store, &Actor::system("test"), &PODS, "ns", "p", "", &mut |pod| {
            let ends = chrono::Utc::now() + chrono::Duration::seconds(grace);
            pod["metadata"]["deletionTimestamp"] = embedded_apimachinery::timestamp::format(ends).into();
            pod["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            Ok(())
        })
        .unwrap();
    }

    pub fn force_delete(&self) {
        let options = DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() };
        Api::delete(&self.store, &Actor::system("test"), &PODS, "ns", "p", &options).unwrap();
    }

    /// The pod as soon as it is as wanted.
    pub async fn pod(&self, wanted: impl Fn(&Value) -> bool) -> Object {
        self.until(|pod| pod.filter(|pod| wanted(pod)).cloned()).await
    }

    pub async fn gone(&self) {
        self.until(|pod| pod.is_none().then_some(())).await;
    }

    async fn until<T>(&self, found: impl Fn(Option<&Object>) -> Option<T>) -> T {
        let mut watcher = self.store.watch(&PODS, None, self.store.revision()).unwrap();
        let waiting = async {
            loop {
                if let Some(found) = found(Store::get(&self.store, &PODS, "ns", "p").as_ref()) {
                    return found;
                }
                watcher.next().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| {
            panic!("last seen: {:#}", Store::get(&self.store, &PODS, "ns", "p").unwrap_or_default()["status"])
        })
    }

    /// How often events of this reason were told.
    pub fn times(&self, reason: &str) -> i64 {
        let events = self.store.list(&CORE_EVENTS, None).0;
        let of_reason = events.iter().filter(|event| event["reason"] == reason);
        of_reason.map(|event| object::int_at(event, "/count").unwrap_or(1)).sum()
    }

    /// Reasons and messages of the events so far.
    pub fn events(&self) -> Vec<(String, String)> {
        let text = |event: &Object, pointer: &str| object::str_at(event, pointer).to_owned();
        self.store.list(&CORE_EVENTS, None).0.iter().map(|e| (text(e, "/reason"), text(e, "/message"))).collect()
    }
}

/// `status.containerStatuses[0]` and a pointer below it.
pub fn of_container<'a>(pod: &'a Value, pointer: &str) -> &'a str {
    object::str_at(&pod["status"]["containerStatuses"][0], pointer)
}

pub fn phase(pod: &Value) -> &str {
    object::str_at(pod, "/status/phase")
}
