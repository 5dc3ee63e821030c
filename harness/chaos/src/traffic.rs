//! Disturbs the traffic between some parties until healed.
//!
//! The proof of a cut is made of connections between its parties: each was answered before, none is answered during the
//! cut and packets were dropped meanwhile, each is answered again afterwards. What merely degrades traffic is proven by
//! its counters.

use crate::dialling;
use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use crate::paths::{Path, paths};
use async_trait::async_trait;
use gauntlet_cluster::traffic::{Effect, Party, TrafficFault};
use gauntlet_core::{Capability, Evidence, Trouble};
use std::time::{Duration, Instant};

/// How long after the healing traffic may take to flow.
const FLOWS_WITHIN: Duration = Duration::from_secs(30);

/// How many times a path is tried to make traffic that a fault may show itself on.
const TRIES: usize = 40;

/// A cut, a loss, a limited rate or a delay.
pub struct DisturbTraffic {
    id: String,
    fault: TrafficFault,
    /// The connections that were answered before.
    paths: Vec<Path>,
}

/// A cut between `from` and `to`; see [`TrafficFault`] for what its parts mean.
pub struct CutTraffic;

impl CutTraffic {
    pub const NEEDS: Capability = Capability::ShapeNetwork;

    /// All traffic, both ways.
    pub fn between(from: Vec<Party>, to: Vec<Party>) -> DisturbTraffic {
        DisturbTraffic::new(TrafficFault { from, to, both_ways: true, ports: vec![], effect: Effect::Cut })
    }

    /// All that `from` sends to `to`.
    pub fn one_way(from: Vec<Party>, to: Vec<Party>) -> DisturbTraffic {
        DisturbTraffic::new(TrafficFault { from, to, both_ways: false, ports: vec![], effect: Effect::Cut })
    }
}

impl DisturbTraffic {
    pub const NEEDS: Capability = Capability::ShapeNetwork;

    pub fn new(fault: TrafficFault) -> Self {
        Self { id: format!("traffic-{:016x}", rand::random::<u64>()), fault, paths: vec![] }
    }

    /// Only traffic of conversations with these ports.
    #[must_use]
    pub fn on_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.fault.ports.extend(ports);
        self
    }

    async fn is_cut(&self, scene: &Scene) -> Result<String, String> {
        dialling::silent(scene, &self.paths).await?;
        let dropped = self.dropped(scene).await?;
        Ok(format!(
            "{} that were answered before are not, and {dropped} packets were dropped",
            dialling::all(&self.paths)
        ))
    }

    async fn degrades(&self, scene: &Scene) -> Result<String, String> {
        for _ in 0..TRIES {
            dialling::dial_all(scene, &self.paths, dialling::ANSWERS_WITHIN).await;
            if let Ok(dropped) = self.dropped(scene).await {
                return Ok(format!("{dropped} packets were dropped"));
            }
        }
        self.dropped(scene).await.map(|dropped| format!("{dropped} packets were dropped"))
    }

    /// Each connection takes at least as long as its first packet, or the answer to that, is held.
    async fn delays(&self, scene: &Scene, shortest_ms: u32) -> Result<String, String> {
        let shortest = Duration::from_millis(shortest_ms.into());
        for path in &self.paths {
            let start = Instant::now();
            dialling::dial_all(scene, std::slice::from_ref(path), dialling::ANSWERS_WITHIN).await;
            if start.elapsed() < shortest {
                return Err(format!("{path} is answered in less than {shortest_ms} ms"));
            }
        }
        let counters = scene.cluster.traffic_counters(&self.id).await.map_err(|trouble| trouble.message)?;
        match counters.delayed {
            0 => Err(format!("of {} packets none was delayed", counters.seen)),
            delayed => Ok(format!(
                "{} took {shortest_ms} ms and more, {delayed} packets were delayed",
                dialling::all(&self.paths)
            )),
        }
    }

    async fn dropped(&self, scene: &Scene) -> Result<u64, String> {
        let counters = scene.cluster.traffic_counters(&self.id).await.map_err(|trouble| trouble.message)?;
        match counters.dropped {
            0 => Err(format!("of {} packets none was dropped", counters.seen)),
            dropped => Ok(dropped),
        }
    }
}

#[async_trait]
impl Fault for DisturbTraffic {
    fn disturbance(&self) -> Disturbance {
        Disturbance::Traffic { id: self.id.clone(), fault: self.fault.clone() }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        scene.view.complete().await;
        let paths = paths(&scene.view.snapshot(), &self.fault);
        self.paths = dialling::answered(scene, paths).await;
        scene.cluster.disturb_traffic(&self.id, &self.fault).await
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        if self.paths.is_empty() {
            let why = "no connection between the parties was answered before, so none that is not shows anything";
            return Evidence::Missing(why.to_owned());
        }
        let shown = match self.fault.effect {
            Effect::Cut => self.is_cut(scene).await,
            Effect::Loss { .. } | Effect::Rate { .. } => self.degrades(scene).await,
            Effect::Delay { ms, jitter_ms } => self.delays(scene, ms.saturating_sub(jitter_ms)).await,
        };
        shown.map_or_else(Evidence::Missing, Evidence::Shown)
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        if self.paths.is_empty() {
            return Evidence::Missing("no connection was there to be answered again".to_owned());
        }
        match dialling::answered_again(scene, self.paths.clone(), FLOWS_WITHIN).await {
            Ok(()) => Evidence::Shown(format!("{} are answered again", dialling::all(&self.paths))),
            Err(why) => Evidence::Missing(why),
        }
    }
}
