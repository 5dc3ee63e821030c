//! Powers over a cluster of kind that runs: Docker has its nodes in hand.

use super::{Kind, cluster_name, ingress, outage, shaping};
use crate::access::Access;
use crate::provider::Provider;
use crate::provider::real::Maker;
use crate::traffic::{Counters, Effect};
use async_trait::async_trait;
use gauntlet_core::Trouble;

#[async_trait]
impl Maker for Kind {
    fn has_nodes_in_hand(&self) -> bool {
        true
    }

    async fn stop_node(&self, node: &str) -> Result<(), Trouble> {
        outage::stop(&self.docker().await?, node).await
    }

    async fn freeze_node(&self, node: &str) -> Result<(), Trouble> {
        outage::freeze(&self.docker().await?, node).await
    }

    async fn disconnect_node(&self, node: &str) -> Result<(), Trouble> {
        outage::disconnect(&self.docker().await?, node).await
    }

    async fn return_node(&self, node: &str) -> Result<(), Trouble> {
        outage::bring_back(&self.docker().await?, node).await
    }

    async fn shape_node(&self, node: &str, effect: Effect) -> Result<(), Trouble> {
        shaping::shape(&self.docker().await?, node, effect).await
    }

    async fn unshape_node(&self, node: &str) -> Result<(), Trouble> {
        shaping::unshape(&self.docker().await?, node).await
    }

    async fn node_counters(&self, node: &str) -> Result<Counters, Trouble> {
        shaping::counters(&self.docker().await?, node).await
    }

    async fn remarks(&self, id: &str) -> Vec<String> {
        let remark = async { ingress::remark(&self.docker().await?, &cluster_name(id)).await };
        match remark.await {
            Ok(remark) => remark.into_iter().collect(),
            Err(trouble) => vec![format!("where an ingress controller is reached is not known: {trouble}")],
        }
    }

    async fn shutdown(&self, _: &Access, id: &str) -> Result<(), Trouble> {
        self.discard(id).await
    }
}
