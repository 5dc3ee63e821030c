//! Marks a node unschedulable until healed: the first half of a drain.

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use gauntlet_cluster::nodes;
use gauntlet_core::{Evidence, Trouble};

pub struct Cordon {
    node: String,
}

impl Cordon {
    pub fn new(node: impl Into<String>) -> Self {
        Self { node: node.into() }
    }

    async fn shows(&self, scene: &Scene, wanted: bool) -> Evidence {
        let node = &self.node;
        match nodes::is_cordoned(scene.cluster.access(), node).await {
            Ok(cordoned) if cordoned == wanted => Evidence::Shown(format!("{node} has unschedulable={cordoned}")),
            Ok(cordoned) => Evidence::Missing(format!("{node} has unschedulable={cordoned}")),
            Err(trouble) => Evidence::Missing(trouble.message),
        }
    }
}

#[async_trait]
impl Fault for Cordon {
    fn disturbance(&self) -> Disturbance {
        Disturbance::Cordon { node: self.node.clone() }
    }

    async fn check(&self, scene: &Scene) -> Result<(), Trouble> {
        if nodes::is_cordoned(scene.cluster.access(), &self.node).await? {
            return Err(Trouble::harness(format!("{} is cordoned already, and not by us", self.node)));
        }
        Ok(())
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        nodes::cordon(scene.cluster.access(), &self.node).await
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        self.shows(scene, true).await
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        self.shows(scene, false).await
    }
}
