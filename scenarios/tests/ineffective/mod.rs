//! Clusters on which faults have no effect: containers are not held, nodes not stopped, traffic is not cut, policies are
//! not kept, there is no node to drain, and neither data nor volumes are lost.

mod unenforced;

use async_trait::async_trait;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::provider::machines::Machines;
use gauntlet_cluster::traffic::{Counters, Dialled, OutsideHost, TrafficFault};
use gauntlet_cluster::{Access, Cluster, Provider};
use gauntlet_core::{Capability, Trouble};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Default)]
pub struct Ineffective {
    real: Embedded,
    /// Powers that its clusters do not claim to have.
    without: BTreeSet<Capability>,
}

impl Ineffective {
    pub fn without(capability: Capability) -> Self {
        Self { without: [capability].into(), ..Self::default() }
    }
}

struct Unharmed {
    real: Box<dyn Cluster>,
    access: Access,
    without: BTreeSet<Capability>,
}

#[async_trait]
impl Provider for Ineffective {
    fn name(&self) -> &'static str {
        "ineffective"
    }

    async fn check(&self) -> Result<(), Trouble> {
        self.real.check().await
    }

    async fn launch(&self, wanted: Wanted) -> Result<Box<dyn Cluster>, Trouble> {
        let cluster = self.real.launch(wanted).await?;
        let access = unenforced::access(cluster.access()).await?;
        Ok(Box::new(Unharmed { real: cluster, access, without: self.without.clone() }))
    }

    fn ids(&self) -> Result<Vec<String>, Trouble> {
        self.real.ids()
    }

    async fn find(&self, id: &str) -> Result<Option<Box<dyn Cluster>>, Trouble> {
        self.real.find(id).await
    }

    async fn discard(&self, id: &str) -> Result<(), Trouble> {
        self.real.discard(id).await
    }
}

#[async_trait]
impl Cluster for Unharmed {
    fn id(&self) -> &str {
        self.real.id()
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        self.real.capabilities().difference(&self.without).copied().collect()
    }

    fn workers(&self) -> &[String] {
        &[]
    }

    fn quiet_node(&self) -> Option<&str> {
        self.real.quiet_node()
    }

    async fn hold_container(&self, _: &str, _: &str, _: &str) -> Result<(), Trouble> {
        Ok(())
    }

    async fn release_container(&self, _: &str, _: &str, _: &str) -> Result<(), Trouble> {
        Ok(())
    }

    fn machines(&self) -> Result<&dyn Machines, Trouble> {
        Ok(self)
    }

    fn outside_hosts(&self) -> &[OutsideHost] {
        self.real.outside_hosts()
    }

    async fn disturb_traffic(&self, _: &str, _: &TrafficFault) -> Result<(), Trouble> {
        Ok(())
    }

    async fn restore_traffic(&self, _: &str) -> Result<(), Trouble> {
        Ok(())
    }

    async fn traffic_counters(&self, _: &str) -> Result<Counters, Trouble> {
        Ok(Counters { seen: 0, dropped: 0, delayed: 0 })
    }

    async fn dial(&self, namespace: &str, pod: &str, to: SocketAddr, within: Duration) -> Result<Dialled, Trouble> {
        self.real.dial(namespace, pod, to, within).await
    }

    async fn log(&self) -> Option<String> {
        self.real.log().await
    }

    async fn shutdown(&self) -> Result<(), Trouble> {
        self.real.shutdown().await
    }
}

#[async_trait]
impl Machines for Unharmed {
    async fn stop(&self, _: &str) -> Result<(), Trouble> {
        Ok(())
    }

    async fn freeze(&self, _: &str) -> Result<(), Trouble> {
        Ok(())
    }

    async fn bring_back(&self, _: &str) -> Result<(), Trouble> {
        Ok(())
    }
}
