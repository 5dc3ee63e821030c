//! The admin socket: what only a cluster's nodes can do to it, asked for over a Unix socket.
//!
//! A request is one line of JSON, its reply another: `{"ok":true,…}` or `{"ok":false,"error":"…"}`. A connection may
//! send several requests, one after the other.
//!
//! | request | effect |
//! |---|---|
//! | `{"op":"info"}` | the reply's `info` is the cluster's [`ClusterInfo`](crate::ClusterInfo) |
//! | `{"op":"hold-container","namespace":…,"pod":…,"container":…}` | kills the container's process and keeps it down |
//! | `{"op":"release-container","namespace":…,"pod":…,"container":…}` | lets the container be restarted |
//! | `{"op":"stop-node","node":…}` | takes the power from a node: its containers are dead at once, its kubelet and its pods' traffic are gone |
//! | `{"op":"freeze-node","node":…}` | lets a node stand still: containers, kubelet and traffic; nothing is lost |
//! | `{"op":"return-node","node":…}` | starts a stopped node as a machine starts, or lets a frozen one go on |
//! | `{"op":"disturb-network","id":…,"from":[…],"to":[…],"both-ways":…,"ports":[…],"effect":…}` | puts a [`NetworkFault`] into effect: a cut, loss, a limited rate or a delay |
//! | `{"op":"restore-network","id":…}` | takes it away |
//! | `{"op":"network-counters","id":…}` | the reply's `counters` are the packets it has `seen`, `dropped` and `delayed` |
//! | `{"op":"network-rules"}` | the reply's `rules` are those by which traffic is passed on just now, as `nft` writes them |
//! | `{"op":"dial","namespace":…,"pod":…,"to":"10.244.1.2:80","within-ms":…}` | tries a connection from inside a pod; the reply's `dialled` is `open`, `refused` or `timeout` |
//! | `{"op":"shutdown"}` | ends the cluster |
//!
//! A party of a network fault is `{"pod":{"namespace":…,"name":…}}`, `{"node":…}` or `{"address":"10.0.0.0/24"}`; its
//! effect is `"cut"`, `{"loss":{"percent":…}}`, `{"rate":{"kilobytes-per-second":…}}` or
//! `{"delay":{"ms":…,"jitter-ms":…}}`, the latter between pods only.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::error::{Doing, Error, Result};
use crate::network_faults::{Dial, FaultId, NetworkFault, NetworkFaults};
use crate::state::ClusterInfo;

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerId {
    pub namespace: String,
    pub pod: String,
    pub container: String,
}

/// A node by its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeId {
    pub node: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Request {
    Info,
    HoldContainer(ContainerId),
    ReleaseContainer(ContainerId),
    StopNode(NodeId),
    FreezeNode(NodeId),
    ReturnNode(NodeId),
    DisturbNetwork(NetworkFault),
    RestoreNetwork(FaultId),
    NetworkCounters(FaultId),
    NetworkRules,
    Dial(Dial),
    Shutdown,
}

/// What nodes can do on request.
#[async_trait]
pub trait NodeFaults: Send + Sync {
    /// Kills a container's process (SIGKILL) and keeps it from being restarted. Done when the process is dead.
    async fn hold(&self, container: &ContainerId) -> Result<(), String>;

    /// Lets a held container be restarted.
    async fn release(&self, container: &ContainerId) -> Result<(), String>;

    /// Takes the power from a node: its containers are dead when this is done, and nothing more is heard of it or of
    /// its pods. One that is off is no error.
    async fn stop_node(&self, node: &str) -> Result<(), String>;

    /// Lets everything on a node stand still; nothing is heard of it meanwhile. One that is frozen is no error.
    async fn freeze_node(&self, node: &str) -> Result<(), String>;

    /// Starts a stopped node, lets a frozen one go on. One that is on is no error.
    async fn return_node(&self, node: &str) -> Result<(), String>;
}

/// Answers requests until `shutdown`, which a request may also cause.
pub(crate) async fn serve(
    listener: UnixListener,
    info: ClusterInfo,
    nodes: Arc<dyn NodeFaults>,
    network: Arc<dyn NetworkFaults>,
    shutdown: CancellationToken,
) {
    let server = Arc::new(Server { info, nodes, network, shutdown: shutdown.clone() });
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(server.clone().converse(stream));
            }
            Err(error) => tracing::warn!(%error, "the admin socket could not accept a connection"),
        }
    }
}

struct Server {
    info: ClusterInfo,
    nodes: Arc<dyn NodeFaults>,
    network: Arc<dyn NetworkFaults>,
    shutdown: CancellationToken,
}

impl Server {
    async fn converse(self: Arc<Self>, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let reply = match self.answer(&line).await {
                Ok(mut reply) => {
                    reply["ok"] = true.into();
                    reply
                }
                Err(error) => json!({"ok": false, "error": error}),
            };
            if write.write_all(format!("{reply}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, line: &str) -> Result<Value, String> {
        match serde_json::from_str(line).map_err(|error| format!("not a request: {error}"))? {
            Request::Info => Ok(json!({"info": self.info})),
            Request::HoldContainer(container) => self.nodes.hold(&container).await.map(|()| json!({})),
            Request::ReleaseContainer(container) => self.nodes.release(&container).await.map(|()| json!({})),
            Request::StopNode(NodeId { node }) => self.nodes.stop_node(&node).await.map(|()| json!({})),
            Request::FreezeNode(NodeId { node }) => self.nodes.freeze_node(&node).await.map(|()| json!({})),
            Request::ReturnNode(NodeId { node }) => self.nodes.return_node(&node).await.map(|()| json!({})),
            Request::DisturbNetwork(fault) => self.network.disturb(&fault).await.map(|()| json!({})),
            Request::RestoreNetwork(fault) => self.network.restore(&fault.id).await.map(|()| json!({})),
            Request::NetworkCounters(fault) => {
                self.network.counters(&fault.id).await.map(|counters| json!({"counters": counters}))
            }
            Request::NetworkRules => self.network.rules().await.map(|rules| json!({"rules": rules})),
            Request::Dial(dial) => self.network.dial(&dial).await.map(|dialled| json!({"dialled": dialled})),
            Request::Shutdown => {
                self.shutdown.cancel();
                Ok(json!({}))
            }
        }
    }
}

/// Asks something of a cluster's server. The caller sets the deadline.
pub async fn request(socket: &Path, request: &Value) -> Result<Value> {
    let what = || format!("ask the cluster's server at {}", socket.display());
    let mut stream = UnixStream::connect(socket).await.doing(what)?;
    stream.write_all(format!("{request}\n").as_bytes()).await.doing(what)?;
    stream.shutdown().await.doing(what)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.doing(what)?;
    let reply: Value = serde_json::from_str(&reply).doing(what)?;
    match reply["ok"].as_bool() {
        Some(true) => Ok(reply),
        _ => Err(Error::failed(what(), reply["error"].as_str().unwrap_or("it refused without a reason"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network_faults::{Dialled, Endpoint, FaultCounters, NetworkEffect};

    struct Nodes;

    struct Network;

    #[async_trait]
    impl NetworkFaults for Network {
        async fn disturb(&self, fault: &NetworkFault) -> Result<(), String> {
            let pod = Endpoint::Pod { namespace: "ns".into(), name: "a".into() };
            assert_eq!(fault.from, [pod, Endpoint::Node("node-1".into())]);
            assert_eq!(fault.to, [Endpoint::Address("10.0.0.0/8".into())]);
            match fault.effect {
                NetworkEffect::Cut => Ok(()),
                other => Err(format!("asked for {other:?} on {:?}, both ways: {}", fault.ports, fault.both_ways)),
            }
        }

        async fn restore(&self, _: &str) -> Result<(), String> {
            Ok(())
        }

        async fn counters(&self, _: &str) -> Result<FaultCounters, String> {
            Ok(FaultCounters { seen: 3, dropped: 2, delayed: 1 })
        }

        async fn rules(&self) -> Result<String, String> {
            Ok("table ip policies".into())
        }

        async fn dial(&self, dial: &Dial) -> Result<Dialled, String> {
            assert_eq!(dial.to.port(), 80);
            Ok(Dialled::Refused)
        }
    }

    #[async_trait]
    impl NodeFaults for Nodes {
        async fn hold(&self, container: &ContainerId) -> Result<(), String> {
            if container.pod == "web" { Ok(()) } else { Err(format!("there is no pod {:?}", container.pod)) }
        }

        async fn release(&self, _: &ContainerId) -> Result<(), String> {
            Ok(())
        }

        async fn stop_node(&self, node: &str) -> Result<(), String> {
            Err(format!("asked to stop {node}"))
        }

        async fn freeze_node(&self, node: &str) -> Result<(), String> {
            Err(format!("asked to freeze {node}"))
        }

        async fn return_node(&self, node: &str) -> Result<(), String> {
            Err(format!("asked to return {node}"))
        }
    }

    fn info() -> ClusterInfo {
        ClusterInfo {
            id: "a".into(),
            server: "https://127.0.0.1:6443".into(),
            kubeconfig: "/state/kubeconfig".into(),
            admin_socket: "/state/admin.sock".into(),
            nodes: vec!["node-1".into()],
            pid: 7,
            ready_at: "2026-01-01T00:00:00Z".into(),
            outside: Vec::new(),
        }
    }

    #[tokio::test]
    async fn network_faults_are_understood_in_all_their_forms() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, info(), Arc::new(Nodes), Arc::new(Network), shutdown.clone()));
        let fault = |effect: Value| {
            json!({"op": "disturb-network", "id": "f", "effect": effect, "both-ways": true, "ports": [6222],
                "from": [{"pod": {"namespace": "ns", "name": "a"}}, {"node": "node-1"}],
                "to": [{"address": "10.0.0.0/8"}]})
        };
        let answer = async |asked: &Value| request(&socket, asked).await.map_err(|error| error.to_string());
        assert!(answer(&fault(json!("cut"))).await.is_ok());
        let loss = answer(&fault(json!({"loss": {"percent": 12.5}}))).await.unwrap_err();
        assert!(loss.contains("Loss { percent: 12.5 } on [6222], both ways: true"), "{loss}");
        let rate = answer(&fault(json!({"rate": {"kilobytes-per-second": 9}}))).await.unwrap_err();
        assert!(rate.contains("kilobytes_per_second: 9"), "{rate}");
        let delay = answer(&fault(json!({"delay": {"ms": 9}}))).await.unwrap_err();
        assert!(delay.contains("Delay { ms: 9, jitter_ms: 0 }"), "{delay}");
        assert!(answer(&fault(json!({"explosion": {"ms": 9}}))).await.unwrap_err().contains("not a request"));
        let counters = answer(&json!({"op": "network-counters", "id": "f"})).await.unwrap();
        assert_eq!(counters["counters"], json!({"seen": 3, "dropped": 2, "delayed": 1}));
        let dial = json!({"op": "dial", "namespace": "ns", "pod": "a", "to": "10.244.1.2:80", "within-ms": 9});
        assert_eq!(answer(&dial).await.unwrap()["dialled"], "refused");
        assert!(answer(&json!({"op": "restore-network", "id": "f"})).await.is_ok());
        shutdown.cancel();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn requests_are_answered_or_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let shutdown = CancellationToken::new();
        let listener = UnixListener::bind(&socket).unwrap();
        let server = tokio::spawn(serve(listener, info(), Arc::new(Nodes), Arc::new(Network), shutdown.clone()));
        let hold = |pod: &str| json!({"op": "hold-container", "namespace": "ns", "pod": pod, "container": "c"});
        let answer = async |asked: &Value| request(&socket, asked).await.map_err(|error| error.to_string());
        assert_eq!(answer(&json!({"op": "info"})).await.unwrap()["info"]["server"], "https://127.0.0.1:6443");
        assert!(answer(&hold("web")).await.is_ok());
        assert!(answer(&hold("db")).await.unwrap_err().contains("there is no pod \"db\""));
        for op in ["stop", "freeze", "return"] {
            let refused = answer(&json!({"op": format!("{op}-node"), "node": "node-1"})).await.unwrap_err();
            assert!(refused.contains(&format!("asked to {op} node-1")), "{refused}");
        }
        assert!(answer(&json!({"op": "explode"})).await.unwrap_err().contains("not a request"));
        assert!(!shutdown.is_cancelled());
        answer(&json!({"op": "shutdown"})).await.unwrap();
        server.await.unwrap();
    }
}
