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
//! | `{"op":"shutdown"}` | ends the cluster |

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::error::{Doing, Error, Result};
use crate::state::ClusterInfo;

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerId {
    pub namespace: String,
    pub pod: String,
    pub container: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Request {
    Info,
    HoldContainer(ContainerId),
    ReleaseContainer(ContainerId),
    Shutdown,
}

/// What nodes can do on request.
#[async_trait]
pub trait NodeFaults: Send + Sync {
    /// Kills a container's process (SIGKILL) and keeps it from being restarted. Done when the process is dead.
    async fn hold(&self, container: &ContainerId) -> Result<(), String>;

    /// Lets a held container be restarted.
    async fn release(&self, container: &ContainerId) -> Result<(), String>;
}

/// Answers requests until `shutdown`, which a request may also cause.
pub(crate) async fn serve(
    listener: UnixListener,
    info: ClusterInfo,
    nodes: Arc<dyn NodeFaults>,
    shutdown: CancellationToken,
) {
    let server = Arc::new(Server { info, nodes, shutdown: shutdown.clone() });
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

    struct Nodes;

    #[async_trait]
    impl NodeFaults for Nodes {
        async fn hold(&self, container: &ContainerId) -> Result<(), String> {
            if container.pod == "web" { Ok(()) } else { Err(format!("there is no pod {:?}", container.pod)) }
        }

        async fn release(&self, _: &ContainerId) -> Result<(), String> {
            Ok(())
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
        }
    }

    #[tokio::test]
    async fn requests_are_answered_or_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let shutdown = CancellationToken::new();
        let listener = UnixListener::bind(&socket).unwrap();
        let server = tokio::spawn(serve(listener, info(), Arc::new(Nodes), shutdown.clone()));
        let hold = |pod: &str| json!({"op": "hold-container", "namespace": "ns", "pod": pod, "container": "c"});
        let answer = async |asked: &Value| request(&socket, asked).await.map_err(|error| error.to_string());
        assert_eq!(answer(&json!({"op": "info"})).await.unwrap()["info"]["server"], "https://127.0.0.1:6443");
        assert!(answer(&hold("web")).await.is_ok());
        assert!(answer(&hold("db")).await.unwrap_err().contains("there is no pod \"db\""));
        assert!(answer(&json!({"op": "explode"})).await.unwrap_err().contains("not a request"));
        assert!(!shutdown.is_cancelled());
        answer(&json!({"op": "shutdown"})).await.unwrap();
        server.await.unwrap();
    }
}
