//! The cluster's nodes: kubelets over this machine's container runtime and the cluster's network.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use embedded_apimachinery::kubelet::Kubelet;
use embedded_apimachinery::{Api, object};
use embedded_apiserver::ApiServer;
use embedded_network::{ClusterNetwork, NodeIndex};
use embedded_node::agent::NodeAgent;
use embedded_node::agent::context::{Machine, Node};
use embedded_node::agent::network::{Attachment, PodNetwork};
use embedded_node::image::Catalogue;
use embedded_node::registration::{self, NodeSpec};
use embedded_node::runtime::Runc;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::NodeFaults;
use crate::config::{Config, NodeConfig};
use crate::error::{Doing, Result};
use crate::network_faults;
use crate::power::Faults;

/// The nodes of a cluster, registered and running pods while [`Nodes::run`] runs.
pub(crate) struct Nodes {
    agent: NodeAgent,
    api: Arc<dyn Api>,
    network: ClusterNetwork,
    indices: HashMap<String, NodeIndex>,
    specs: Vec<NodeSpec>,
}

impl Nodes {
    pub fn new(config: &Config, api: Arc<ApiServer>, network: ClusterNetwork) -> Result<Self> {
        let paths = config.paths();
        let runtime = Runc::new(paths.nodes().join("runtime"), paths.cgroup()).doing(|| "use the container runtime")?;
        let container_runtime = runtime.version();
        let indices = network_faults::indices(config);
        let tokens = api.clone();
        let catalogue = Catalogue::new(config.images.clone());
        let images = catalogue.names();
        let machine = Arc::new(Machine {
            api: api.clone(),
            runtime: Arc::new(runtime),
            network: Arc::new(Network { cluster: network.clone(), indices: indices.clone() }),
            catalogue,
            issue_token: Box::new(move |namespace, account, spec| {
                let answer = tokens.issue_token(namespace, account, &json!({"spec": spec}));
                answer.map(|answer| object::str_at(&answer, "/status/token").to_owned()).map_err(|s| s.message)
            }),
            directory: paths.nodes().join("pods"),
        });
        let nodes = config.nodes.iter().filter_map(|node| {
            let address = IpAddr::V4(indices.get(&node.name)?.address());
            Some(Node::new(machine.clone(), &node.name, address, allocatable(node)))
        });
        let agent = NodeAgent::new(machine.clone(), nodes);
        let specs = config
            .nodes
            .iter()
            .filter_map(|node| Some(spec(config, node, *indices.get(&node.name)?, &container_runtime, &images)))
            .collect();
        Ok(Self { agent, api, network, indices, specs })
    }

    pub fn kubelet(&self) -> Arc<dyn Kubelet> {
        Arc::new(self.agent.clone())
    }

    pub fn faults(&self) -> Arc<dyn NodeFaults> {
        Arc::new(Faults { agent: self.agent.clone(), network: self.network.clone(), indices: self.indices.clone() })
    }

    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let mut registrations = JoinSet::new();
        for spec in self.specs {
            registrations.spawn(keep_registered(self.agent.clone(), self.api.clone(), spec, shutdown.clone()));
        }
        self.agent.run(shutdown).await;
        Ok(())
    }
}

/// A node registers whenever it is started, and is heard of only while it is on.
async fn keep_registered(agent: NodeAgent, api: Arc<dyn Api>, spec: NodeSpec, shutdown: CancellationToken) {
    let Ok(power) = agent.power(&spec.name) else { return };
    let lives = async {
        // It ends by itself at the end of the cluster only.
        while power.drive(registration::run(api.clone(), spec.clone(), shutdown.clone())).await.is_none() {
            power.started().await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = lives => {}
    }
}

fn allocatable(node: &NodeConfig) -> Value {
    let capacity = &node.capacity;
    json!({"cpu": capacity.cpu, "memory": capacity.memory, "ephemeral-storage": capacity.ephemeral_storage})
}

fn spec(config: &Config, node: &NodeConfig, index: NodeIndex, container_runtime: &str, images: &[String]) -> NodeSpec {
    NodeSpec {
        name: node.name.clone(),
        address: IpAddr::V4(index.address()),
        pod_cidr: index.pod_cidr(),
        cpu: node.capacity.cpu.clone(),
        memory: node.capacity.memory.clone(),
        ephemeral_storage: node.capacity.ephemeral_storage.clone(),
        pods: node.capacity.pods,
        control_plane: node.control_plane,
        container_runtime: container_runtime.to_owned(),
        images: images.to_vec(),
        heartbeat: config.heartbeat(),
    }
}

/// The cluster's network as its nodes see it.
struct Network {
    cluster: ClusterNetwork,
    indices: HashMap<String, NodeIndex>,
}

#[async_trait]
impl PodNetwork for Network {
    async fn attach(&self, pod_uid: &str, node: &str) -> Result<Attachment, String> {
        let index = self.indices.get(node).ok_or_else(|| format!("there is no node {node}"))?;
        let attached = self.cluster.attach(pod_uid, *index).await.map_err(|error| error.to_string())?;
        let netns: PathBuf = attached.netns;
        Ok(Attachment { netns, address: IpAddr::V4(attached.address) })
    }

    fn host_namespace(&self) -> PathBuf {
        self.cluster.namespace().path().to_owned()
    }

    async fn detach(&self, pod_uid: &str) -> Result<(), String> {
        self.cluster.detach(pod_uid).await.map_err(|error| error.to_string())
    }

    async fn connect(&self, to: SocketAddr) -> std::io::Result<TcpStream> {
        self.cluster.connect(to).await.map_err(into_io)
    }

    async fn connect_from(&self, pod_uid: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
        self.cluster.connect_from(pod_uid, to).await.map_err(into_io)
    }
}

/// The system's own error, since probes report it in its words.
fn into_io(error: embedded_network::Error) -> std::io::Error {
    use std::error::Error;
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match source.and_then(std::io::Error::raw_os_error) {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => std::io::Error::other(error),
    }
}
