//! Delays, loses or limits what a node sends until healed.
//!
//! The proof of a delay is made of connections to the node's pods: what was answered sooner than the delay lets it be is
//! answered later, and afterwards soon again. What loses packets is proven by the node's own count of them, while
//! connections to it are tried; that it is gone, by the node as well.

use crate::dialling;
use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use crate::outage::from_others;
use crate::paths::{Path, paths};
use async_trait::async_trait;
use gauntlet_cluster::traffic::{Counters, Effect};
use gauntlet_core::{Capability, Evidence, Trouble};
use std::time::Duration;
use tokio::time::Instant;

/// How long after the healing traffic may take to flow as it did.
const FLOWS_WITHIN: Duration = Duration::from_secs(30);

/// How many times the paths are tried to make traffic that a fault may show itself on.
const TRIES: usize = 40;

pub struct ShapeNode {
    node: String,
    effect: Effect,
    /// The connections that were answered before, sooner than a delay would let them be.
    paths: Vec<Path>,
}

impl ShapeNode {
    pub const NEEDS: Capability = Capability::NodeNetwork;

    pub fn new(node: impl Into<String>, effect: Effect) -> Self {
        Self { node: node.into(), effect, paths: vec![] }
    }

    /// For a delay: in this time an answer of the node comes without it, and cannot come with it.
    fn soon(&self) -> Option<Duration> {
        match self.effect {
            Effect::Delay { ms, jitter_ms } => Some(Duration::from_millis(ms.saturating_sub(jitter_ms).into()) * 3 / 4),
            Effect::Cut | Effect::Loss { .. } | Effect::Rate { .. } => None,
        }
    }

    /// As the node counts; `None` where nothing shapes what it sends.
    async fn counted(&self, scene: &Scene) -> Result<Option<Counters>, String> {
        let counters = async { scene.cluster.links()?.counters(&self.node).await };
        counters.await.map_err(|trouble| trouble.message)
    }

    async fn counters(&self, scene: &Scene) -> Result<Counters, String> {
        self.counted(scene).await?.ok_or_else(|| format!("nothing shapes what {} sends", self.node))
    }

    async fn is_late(&self, scene: &Scene, soon: Duration) -> Result<String, String> {
        if let Some(path) = dialling::answered_within(scene, self.paths.clone(), soon).await.first() {
            return Err(format!("{path} is still answered within {} ms", soon.as_millis()));
        }
        dialling::answered_again(scene, self.paths.clone(), FLOWS_WITHIN).await?;
        let counters = self.counters(scene).await?;
        match counters.delayed {
            0 => Err(format!("{} has delayed nothing", self.node)),
            delayed => Ok(format!(
                "{} are not answered within {} ms any more, but later; {delayed} packets were delayed",
                dialling::all(&self.paths),
                soon.as_millis()
            )),
        }
    }

    async fn loses(&self, scene: &Scene) -> Result<String, String> {
        let mut seen = 0;
        for _ in 0..TRIES {
            dialling::dial_all(scene, &self.paths, dialling::ANSWERS_WITHIN).await;
            let counters = self.counters(scene).await?;
            if counters.dropped > 0 {
                return Ok(format!("{} of {} packets of {} were lost", counters.dropped, counters.seen, self.node));
            }
            seen = counters.seen;
        }
        Err(format!("of {seen} packets of {} none was lost", self.node))
    }

    async fn flows(&self, scene: &Scene) -> Result<String, String> {
        let until = Instant::now() + FLOWS_WITHIN;
        // Some connections are answered through a loss as well, or slowly.
        if self.counted(scene).await?.is_some() {
            return Err(format!("what {} sends is still shaped", self.node));
        }
        dialling::answered_again(scene, self.paths.clone(), FLOWS_WITHIN).await?;
        let Some(soon) = self.soon() else {
            let paths = dialling::all(&self.paths);
            return Ok(format!("nothing shapes what {} sends any more, and {paths} are answered", self.node));
        };
        while dialling::answered_within(scene, self.paths.clone(), soon).await.len() < self.paths.len() {
            if Instant::now() >= until {
                return Err(format!("not all are answered within {} ms again", soon.as_millis()));
            }
        }
        Ok(format!("{} are answered within {} ms again", dialling::all(&self.paths), soon.as_millis()))
    }
}

#[async_trait]
impl Fault for ShapeNode {
    fn disturbance(&self) -> Disturbance {
        Disturbance::ShapeNode { node: self.node.clone(), effect: self.effect }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        scene.view.complete().await;
        let snapshot = scene.view.snapshot();
        let found = paths(&snapshot, &from_others(&snapshot, &self.node, self.effect));
        let within = self.soon().unwrap_or(dialling::ANSWERS_WITHIN);
        self.paths = dialling::answered_within(scene, found, within).await;
        scene.cluster.links()?.shape(&self.node, self.effect).await
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        if self.paths.is_empty() {
            let why = "no pod of the node answered another node's soon before, so nothing later shows anything";
            return Evidence::Missing(why.to_owned());
        }
        let shown = match self.soon() {
            Some(soon) => self.is_late(scene, soon).await,
            None => self.loses(scene).await,
        };
        shown.map_or_else(Evidence::Missing, Evidence::Shown)
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        if self.paths.is_empty() {
            return Evidence::Missing("no connection was there to be answered again".to_owned());
        }
        self.flows(scene).await.map_or_else(Evidence::Missing, Evidence::Shown)
    }
}
