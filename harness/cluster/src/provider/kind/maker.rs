//! Powers over a cluster of kind that runs: Docker has its nodes in hand.

use super::{Kind, cluster_name, ingress, outage, shaping};
use crate::access::Access;
use crate::provider::Provider;
use crate::provider::machines::{Links, Machines};
use crate::provider::real::Maker;
use crate::traffic::{Counters, Effect};
use async_trait::async_trait;
use gauntlet_core::Trouble;
use std::path::PathBuf;

/// Who made a cluster of kind.
pub(super) struct Made {
    pub by: Kind,
    pub docker: PathBuf,
}

#[async_trait]
impl Maker for Made {
    fn machines(&self) -> Option<&dyn Machines> {
        Some(self)
    }

    fn links(&self) -> Option<&dyn Links> {
        Some(self)
    }

    async fn remarks(&self, id: &str) -> Vec<String> {
        match ingress::remark(&self.docker, &cluster_name(id)).await {
            Ok(remark) => remark.into_iter().collect(),
            Err(trouble) => vec![format!("where an ingress controller is reached is not known: {trouble}")],
        }
    }

    async fn shutdown(&self, _: &Access, id: &str) -> Result<(), Trouble> {
        self.by.discard(id).await
    }
}

#[async_trait]
impl Machines for Made {
    async fn stop(&self, node: &str) -> Result<(), Trouble> {
        outage::stop(&self.docker, node).await
    }

    async fn freeze(&self, node: &str) -> Result<(), Trouble> {
        outage::freeze(&self.docker, node).await
    }

    async fn bring_back(&self, node: &str) -> Result<(), Trouble> {
        outage::bring_back(&self.docker, node).await
    }
}

#[async_trait]
impl Links for Made {
    async fn disconnect(&self, node: &str) -> Result<(), Trouble> {
        outage::disconnect(&self.docker, node).await
    }

    async fn shape(&self, node: &str, effect: Effect) -> Result<(), Trouble> {
        shaping::shape(&self.docker, node, effect).await
    }

    async fn unshape(&self, node: &str) -> Result<(), Trouble> {
        shaping::unshape(&self.docker, node).await
    }

    async fn counters(&self, node: &str) -> Result<Option<Counters>, Trouble> {
        shaping::counters(&self.docker, node).await
    }
}
