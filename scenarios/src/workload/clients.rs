//! What clients there are, from the contract alone.

use gauntlet_cluster::ownership;
use gauntlet_core::Seed;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::objective::Pipeline;
use gauntlet_core::contract::store::{Store, StoreKind};
use gauntlet_core::span::Span;

/// One client: what it uses.
#[derive(Debug, Clone, Copy)]
pub enum Client<'a> {
    Redis(&'a Store),
    Nats(&'a Store),
    /// A client of a NATS store that knows one of its endpoints only, so that it is cut off with it.
    NatsAt(&'a Store, &'a str),
    Jobs(&'a Pipeline),
}

impl<'a> Client<'a> {
    /// A client for everything in the deployment that clients use.
    pub fn all(deployment: Deployment<'a>) -> Vec<Self> {
        let stores = deployment.stores().map(|store| match store.kind {
            StoreKind::RedisCluster { .. } | StoreKind::Redis { .. } => Self::Redis(store),
            StoreKind::NatsJetstream { .. } => Self::Nats(store),
        });
        stores.chain(deployment.pipelines().map(Self::Jobs)).collect()
    }

    /// A client for each endpoint of each NATS store.
    pub fn pinned(deployment: Deployment<'a>) -> Vec<Self> {
        let stores = deployment.stores().filter(|store| matches!(store.kind, StoreKind::NatsJetstream { .. }));
        stores.flat_map(|store| store.endpoints.iter().map(|at| Self::NatsAt(store, at.as_str()))).collect()
    }

    /// What the contract calls the thing it uses; of an endpoint, the first label of its host name.
    pub fn name(&self) -> &'a str {
        match self {
            Self::Redis(store) | Self::Nats(store) => &store.name.value,
            Self::NatsAt(_, endpoint) => endpoint.split(['.', ':']).next().unwrap_or(endpoint),
            Self::Jobs(pipeline) => &pipeline.name.value,
        }
    }

    pub fn subcommand(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Nats(_) | Self::NatsAt(..) => "nats",
            Self::Jobs(_) => "pipeline",
        }
    }

    pub fn workload(&self) -> &'a str {
        match self {
            Self::Redis(store) | Self::Nats(store) | Self::NatsAt(store, _) => &store.workload.value,
            Self::Jobs(pipeline) => &pipeline.workload.value,
        }
    }
}

/// Where a fleet runs and what it is called.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The run that it is of.
    pub run: String,
    /// Tells this fleet from others of the same run.
    pub fleet: String,
    /// The node that nothing disturbs.
    pub node: Option<String>,
    /// The image of the agent.
    pub image: String,
    pub load: Load,
    /// Decides which server of several a client knows first.
    pub seed: Seed,
    /// How long what was accepted may take to come to its end, where the contract says so.
    pub settled_within: Option<Span>,
}

/// What the clients of a fleet do.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Milliseconds between two operations of one worker.
    pub pause_ms: u64,
    /// Whether messages are also taken from the stream, by a durable consumer.
    pub consume: bool,
    /// Whether there is also a client at each endpoint of NATS that knows no other.
    pub pinned: bool,
}

impl Load {
    /// Reads, writes and jobs, an operation of each worker every so many milliseconds.
    pub fn every_ms(pause_ms: u64) -> Self {
        Self { pause_ms, consume: false, pinned: false }
    }
}

impl Placement {
    pub fn pod_name(&self, client: &Client<'_>) -> String {
        format!("gauntlet-{}-{}", self.fleet, client.name())
    }

    /// The namespace of the fleet.
    pub fn namespace(&self) -> String {
        ownership::name(&self.run, &self.fleet)
    }

    /// The stream that the fleet's NATS client publishes to.
    pub fn stream(&self) -> String {
        format!("GAUNTLET_{}", self.fleet.to_uppercase().replace('-', "_"))
    }
}

/// A secret of the system that a client needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretOf<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
}

impl SecretOf<'_> {
    /// What its copy in the namespace of the clients is called.
    pub fn copy_name(&self) -> String {
        format!("{}-{}", self.namespace, self.name)
    }
}

impl<'a> Client<'a> {
    /// A secret in the namespace of what it uses.
    pub fn secret(&self, deployment: Deployment<'a>, name: &'a str) -> SecretOf<'a> {
        let workload = deployment.workload(self.workload());
        SecretOf { namespace: workload.map_or("default", |workload| &workload.namespace.value), name }
    }

    /// The secrets that it needs.
    pub fn secrets(&self, deployment: Deployment<'a>) -> Vec<SecretOf<'a>> {
        let (tls, key) = match self {
            Self::Redis(store) | Self::Nats(store) | Self::NatsAt(store, _) => {
                (store.client_tls.as_ref(), store.password.as_ref())
            }
            Self::Jobs(pipeline) => (None, pipeline.key.as_ref()),
        };
        let names = tls.map(|tls| &tls.value).into_iter().chain(key.map(|key| &key.secret.value));
        names.map(|name| self.secret(deployment, name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_and_pipeline_of_the_overlay_gets_a_client() {
        let contract = crate::systems::load("cordum").unwrap().contract;
        let names = |overlay| -> Vec<String> {
            Client::all(contract.deployment(overlay).unwrap()).iter().map(|c| c.name().to_owned()).collect()
        };
        assert_eq!(names(None), ["redis", "nats", "jobs"]);
        assert_eq!(names(Some("base")), ["jobs"]);
    }
}
