//! Disturbs the traffic between some parties until healed.
//!
//! The proof of a cut is made of connections between its parties: each was answered before, none is answered during the
//! cut and packets were dropped meanwhile, each is answered again afterwards. What merely degrades traffic is proven by
//! its counters.

mod paths;

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use futures::future::join_all;
use gauntlet_cluster::traffic::{Dialled, Effect, Party, TrafficFault};
use gauntlet_core::{Capability, Evidence, Trouble};
use paths::{Path, address, paths};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than the first repetition of a lost packet: what is heard of by then, if anything, got through.
const SILENT_FOR: Duration = Duration::from_millis(1500);

/// How long those who may talk have to do so, on a machine that has much else to do.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How long after the healing traffic may take to flow.
const FLOWS_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// How many times a path is tried to make traffic that a fault may show itself on.
const TRIES: usize = 40;

/// A cut, a loss or a limited rate.
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

    async fn dial(&self, scene: &Scene, path: &Path, within: Duration) -> Result<Dialled, Trouble> {
        let to = address(&scene.view.snapshot(), &path.to);
        let to = to.ok_or_else(|| Trouble::harness(format!("{path} has no address to go to")))?;
        scene.cluster.dial(&path.namespace, &path.pod, SocketAddr::new(to, path.port), within).await
    }

    /// What each path shows, in their order.
    async fn dial_all(&self, scene: &Scene, paths: &[Path], within: Duration) -> Vec<Result<Dialled, Trouble>> {
        join_all(paths.iter().map(|path| self.dial(scene, path, within))).await
    }

    async fn is_cut(&self, scene: &Scene) -> Result<String, String> {
        let seen = self.dial_all(scene, &self.paths, SILENT_FOR).await;
        for (path, seen) in self.paths.iter().zip(seen) {
            match seen.map_err(|trouble| trouble.message)? {
                Dialled::Timeout => {}
                Dialled::Open | Dialled::Refused => return Err(format!("{path} is still answered")),
            }
        }
        let dropped = self.dropped(scene).await?;
        Ok(format!("{} that were answered before are not, and {dropped} packets were dropped", self.all_paths()))
    }

    async fn degrades(&self, scene: &Scene) -> Result<String, String> {
        for _ in 0..TRIES {
            self.dial_all(scene, &self.paths, ANSWERS_WITHIN).await;
            if let Ok(dropped) = self.dropped(scene).await {
                return Ok(format!("{dropped} packets were dropped"));
            }
        }
        self.dropped(scene).await.map(|dropped| format!("{dropped} packets were dropped"))
    }

    async fn dropped(&self, scene: &Scene) -> Result<u64, String> {
        let counters = scene.cluster.traffic_counters(&self.id).await.map_err(|trouble| trouble.message)?;
        match counters.dropped {
            0 => Err(format!("of {} packets none was dropped", counters.seen)),
            dropped => Ok(dropped),
        }
    }

    fn all_paths(&self) -> String {
        match self.paths.as_slice() {
            [path] => format!("connections from {path}"),
            paths => format!("connections on {} paths (such as {})", paths.len(), paths[0]),
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
        let seen = self.dial_all(scene, &paths, ANSWERS_WITHIN).await;
        let answered = |seen: &Result<Dialled, Trouble>| matches!(seen, Ok(Dialled::Open | Dialled::Refused));
        self.paths = paths.into_iter().zip(seen).filter(|(_, seen)| answered(seen)).map(|(path, _)| path).collect();
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
        };
        shown.map_or_else(Evidence::Missing, Evidence::Shown)
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        let until = Instant::now() + FLOWS_WITHIN;
        let mut waiting = self.paths.clone();
        loop {
            let seen = self.dial_all(scene, &waiting, ANSWERS_WITHIN).await;
            let left =
                waiting.into_iter().zip(seen).filter(|(_, seen)| !matches!(seen, Ok(Dialled::Open | Dialled::Refused)));
            let (left, why): (Vec<Path>, Vec<Result<Dialled, Trouble>>) = left.unzip();
            let Some((path, why)) = left.first().zip(why.first()) else {
                return match self.paths.is_empty() {
                    true => Evidence::Missing("no connection was there to be answered again".to_owned()),
                    false => Evidence::Shown(format!("{} are answered again", self.all_paths())),
                };
            };
            if Instant::now() >= until {
                let why =
                    why.as_ref().map_or_else(|trouble| trouble.message.clone(), |_| "nothing was heard".to_owned());
                return Evidence::Missing(format!("{path} is not answered again: {why}"));
            }
            waiting = left;
            tokio::time::sleep(POLL).await;
        }
    }
}
