//! Faults of the network as the admin socket takes them, and their way to the cluster's network.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{Api, ApiExt, object};
use embedded_network::faults::delay::Wait;
use embedded_network::faults::{Effect, Fault, Party};
use embedded_network::{ClusterNetwork, NodeIndex};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::config::Config;

/// A fault between two groups of parties. `embedded_network::faults` says what each part means.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkFault {
    /// Names it, for what is asked of it later.
    pub id: String,
    pub from: Vec<Endpoint>,
    pub to: Vec<Endpoint>,
    #[serde(default)]
    pub both_ways: bool,
    #[serde(default)]
    pub ports: Vec<u16>,
    pub effect: NetworkEffect,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Endpoint {
    Pod {
        namespace: String,
        name: String,
    },
    Node(String),
    /// `10.0.0.1` or `10.0.0.0/24`.
    Address(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum NetworkEffect {
    Cut,
    #[serde(rename_all = "kebab-case")]
    Loss {
        percent: f64,
    },
    #[serde(rename_all = "kebab-case")]
    Rate {
        kilobytes_per_second: u32,
    },
    #[serde(rename_all = "kebab-case")]
    Delay {
        ms: u32,
        #[serde(default)]
        jitter_ms: u32,
    },
}

/// A fault by its id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultId {
    pub id: String,
}

/// A connection to be tried from inside a pod's network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dial {
    pub namespace: String,
    pub pod: String,
    pub to: SocketAddr,
    pub within_ms: u64,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialled {
    Open,
    Refused,
    Timeout,
}

/// The packets that a fault has looked at, those it has dropped, and those it has let go on after their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FaultCounters {
    pub seen: u64,
    pub dropped: u64,
    pub delayed: u64,
}

/// What the network can do on request.
#[async_trait]
pub trait NetworkFaults: Send + Sync {
    /// Puts a fault into effect; one with the same id is replaced.
    async fn disturb(&self, fault: &NetworkFault) -> Result<(), String>;

    /// Takes a fault away. One that is not there is no error.
    async fn restore(&self, id: &str) -> Result<(), String>;

    async fn counters(&self, id: &str) -> Result<FaultCounters, String>;

    /// Tries a connection from inside a pod's network.
    async fn dial(&self, dial: &Dial) -> Result<Dialled, String>;

    /// The rules by which traffic is passed on just now, for a person.
    async fn rules(&self) -> Result<String, String>;
}

/// The network of one cluster, by the names that its API has.
pub(crate) struct NamedNetwork {
    api: Arc<dyn Api>,
    network: ClusterNetwork,
    nodes: HashMap<String, NodeIndex>,
}

impl NamedNetwork {
    pub fn new(config: &Config, api: Arc<dyn Api>, network: ClusterNetwork) -> Self {
        Self { api, network, nodes: indices(config) }
    }

    fn party(&self, endpoint: &Endpoint) -> Result<Party, String> {
        Ok(match endpoint {
            Endpoint::Pod { namespace, name } => Party::Pod { namespace: namespace.clone(), name: name.clone() },
            Endpoint::Node(node) => {
                Party::Node(*self.nodes.get(node).ok_or_else(|| format!("there is no node {node:?}"))?)
            }
            Endpoint::Address(address) => Party::Addresses(address.clone()),
        })
    }
}

/// The numbers of the nodes, by their names.
pub(crate) fn indices(config: &Config) -> HashMap<String, NodeIndex> {
    config.nodes.iter().map(|node| node.name.clone()).zip((1..).map_while(NodeIndex::new)).collect()
}

#[async_trait]
impl NetworkFaults for NamedNetwork {
    async fn disturb(&self, fault: &NetworkFault) -> Result<(), String> {
        let parties = |endpoints: &[Endpoint]| -> Result<Vec<Party>, String> {
            endpoints.iter().map(|endpoint| self.party(endpoint)).collect()
        };
        let wanted = Fault {
            from: parties(&fault.from)?,
            to: parties(&fault.to)?,
            both_ways: fault.both_ways,
            ports: fault.ports.clone(),
            effect: match fault.effect {
                NetworkEffect::Cut => Effect::Cut,
                NetworkEffect::Loss { percent } => Effect::Loss { percent },
                NetworkEffect::Rate { kilobytes_per_second } => Effect::Rate { kilobytes_per_second },
                NetworkEffect::Delay { ms, jitter_ms } => Effect::Delay(Wait {
                    delay: Duration::from_millis(ms.into()),
                    jitter: Duration::from_millis(jitter_ms.into()),
                }),
            },
        };
        self.network.disturb(&fault.id, wanted).await.map_err(|error| error.to_string())
    }

    async fn restore(&self, id: &str) -> Result<(), String> {
        self.network.restore(id).await.map_err(|error| error.to_string())
    }

    async fn counters(&self, id: &str) -> Result<FaultCounters, String> {
        let counters = self.network.counters(id).await.map_err(|error| error.to_string())?;
        Ok(FaultCounters { seen: counters.seen, dropped: counters.dropped, delayed: counters.delayed })
    }

    async fn rules(&self) -> Result<String, String> {
        self.network.rules().await.map_err(|error| error.to_string())
    }

    async fn dial(&self, dial: &Dial) -> Result<Dialled, String> {
        let Dial { namespace, pod, to, within_ms } = dial;
        let object =
            self.api.find(&PODS, namespace, pod).ok_or_else(|| format!("there is no pod {namespace}/{pod}"))?;
        let connection = self.network.connect_from(object::uid(&object), *to);
        match timeout(Duration::from_millis(*within_ms), connection).await {
            Err(_) => Ok(Dialled::Timeout),
            Ok(Ok(_)) => Ok(Dialled::Open),
            Ok(Err(error)) => match error.source.kind() {
                ErrorKind::ConnectionRefused => Ok(Dialled::Refused),
                ErrorKind::TimedOut => Ok(Dialled::Timeout),
                _ => Err(error.to_string()),
            },
        }
    }
}
