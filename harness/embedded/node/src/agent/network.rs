//! What the kubelet needs of the pod network.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use async_trait::async_trait;
use tokio::net::TcpStream;

/// Where a pod is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The file that the pod's network namespace is mounted on.
    pub netns: PathBuf,
    pub address: IpAddr,
}

/// The pod network, as nodes use it. Errors are texts for an Event.
#[async_trait]
pub trait PodNetwork: Send + Sync {
    /// Gives a pod its namespace and address; one that is attached keeps them.
    async fn attach(&self, pod_uid: &str, node: &str) -> Result<Attachment, String>;

    /// The namespace of all nodes, for pods with `hostNetwork`.
    fn host_namespace(&self) -> PathBuf;

    /// A pod that is not attached is no error.
    async fn detach(&self, pod_uid: &str) -> Result<(), String>;

    /// A connection from the node's side, for probes. The caller sets the deadline.
    async fn connect(&self, to: SocketAddr) -> std::io::Result<TcpStream>;

    /// A connection from inside a pod's namespace, for port-forwarding.
    async fn connect_from(&self, pod_uid: &str, to: SocketAddr) -> std::io::Result<TcpStream>;
}
