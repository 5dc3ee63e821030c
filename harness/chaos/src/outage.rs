//! Takes a node out of service until healed: without power, standing still, or off its network.
//!
//! The proof has two halves, since either alone could be something else: the node's lease is not renewed although it was
//! due, and its pods, which answered before, are silent. Neither can be told from what the node says of itself, for it
//! says nothing.

use crate::dialling;
use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use crate::paths::{Path, Target, paths};
use async_trait::async_trait;
use gauntlet_cluster::nodes::{self, Heartbeat};
use gauntlet_cluster::traffic::{Effect, Party, TrafficFault};
use gauntlet_cluster::view::Snapshot;
use gauntlet_core::{Capability, Evidence, Trouble};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a node that is back may take to say so and to have its pods running.
const BACK_WITHIN: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(250);

/// How a node goes out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outage {
    /// As by a power cut: what ran is dead, what only memory held is lost. Coming back it starts as a machine does.
    Stop,
    /// It stands still and loses nothing. Coming back it goes on where it stood.
    Freeze,
    /// It runs on, and nobody hears of it. Coming back it has lost nothing either.
    Disconnect,
}

pub struct NodeOutage {
    node: String,
    outage: Outage,
    before: Option<Before>,
}

/// The node as it was when all was well.
struct Before {
    heartbeat: Heartbeat,
    /// Connections to its pods that were answered.
    paths: Vec<Path>,
    /// Containers that ran in its pods: by pod, the uid of the pod and the containers' ids.
    containers: Containers,
}

type Containers = BTreeMap<(String, String), (String, Vec<String>)>;

impl NodeOutage {
    pub const NEEDS: Capability = Capability::StopNode;

    /// What [`NodeOutage::disconnect`] needs.
    pub const DISCONNECT_NEEDS: Capability = Capability::NodeNetwork;

    pub fn stop(node: impl Into<String>) -> Self {
        Self { node: node.into(), outage: Outage::Stop, before: None }
    }

    pub fn freeze(node: impl Into<String>) -> Self {
        Self { node: node.into(), outage: Outage::Freeze, before: None }
    }

    pub fn disconnect(node: impl Into<String>) -> Self {
        Self { node: node.into(), outage: Outage::Disconnect, before: None }
    }

    async fn look(&self, scene: &Scene) -> Result<Before, Trouble> {
        scene.view.complete().await;
        let snapshot = scene.view.snapshot();
        let fault = from_others(&snapshot, &self.node, Effect::Cut);
        Ok(Before {
            heartbeat: nodes::heartbeat(scene.cluster.access(), &self.node).await?,
            paths: dialling::answered(scene, paths(&snapshot, &fault)).await,
            containers: containers(&snapshot, &self.node),
        })
    }

    async fn is_out(&self, scene: &Scene, before: &Before) -> Result<String, String> {
        if before.paths.is_empty() {
            return Err("no pod of the node answered another node's before, so silence shows nothing".to_owned());
        }
        let access = scene.cluster.access();
        let read = async || nodes::heartbeat(access, &self.node).await.map_err(|trouble| trouble.message);
        // A renewal that was on its way when the node went out does not count against it.
        let last = read().await?;
        dialling::silent(scene, &before.paths).await?;
        // Twice the time in which a node that is well renews it at the latest.
        let silence = before.heartbeat.due_every * 2;
        tokio::time::sleep(silence).await;
        let now = read().await?;
        if now.renewed != last.renewed {
            return Err(format!("the lease of {} was renewed at {}", self.node, now.renewed));
        }
        let seconds = silence.as_secs_f64();
        Ok(format!(
            "the lease of {} was not renewed for {seconds:.0} s, and {} that were answered before are not",
            self.node,
            dialling::all(&before.paths)
        ))
    }

    async fn is_back(&self, scene: &Scene, before: &Before) -> Result<String, String> {
        let until = Instant::now() + BACK_WITHIN;
        let access = scene.cluster.access();
        loop {
            let seen = match nodes::heartbeat(access, &self.node).await {
                Err(trouble) => Err(trouble.message),
                Ok(now) if now.renewed == before.heartbeat.renewed => Err("its lease is not renewed".to_owned()),
                Ok(now) => self.has_recovered(&scene.view.snapshot(), before).map(|pods| (now, pods)),
            };
            match seen {
                Ok((now, pods)) => {
                    let left = self.left(&scene.view.snapshot(), before);
                    dialling::answered_again(scene, left, until.saturating_duration_since(Instant::now())).await?;
                    return Ok(format!("{} is ready, renewed its lease at {}, {pods}", self.node, now.renewed));
                }
                Err(why) if Instant::now() >= until => return Err(format!("{} is not back: {why}", self.node)),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Whether the node is ready and the pods that stayed there show what the outage did to them.
    fn has_recovered(&self, snapshot: &Snapshot, before: &Before) -> Result<String, String> {
        let node = snapshot.nodes.iter().find(|node| node.name_any() == self.node).ok_or("there is no such node")?;
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        if !conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
            return Err("it is not ready".to_owned());
        }
        judge(self.outage, &before.containers, &containers(snapshot, &self.node))
    }

    /// The connections whose pods are those that were there before.
    fn left(&self, snapshot: &Snapshot, before: &Before) -> Vec<Path> {
        let now = containers(snapshot, &self.node);
        let stayed = |path: &&Path| match &path.to {
            Target::Pod { namespace, name } => {
                let key = (namespace.clone(), name.clone());
                now.get(&key).zip(before.containers.get(&key)).is_some_and(|(now, before)| now.0 == before.0)
            }
            Target::Address(_) => false,
        };
        before.paths.iter().filter(stayed).cloned().collect()
    }
}

#[async_trait]
impl Fault for NodeOutage {
    fn disturbance(&self) -> Disturbance {
        Disturbance::NodeOutage { node: self.node.clone(), outage: self.outage }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        self.before = Some(self.look(scene).await?);
        match self.outage {
            Outage::Stop => scene.cluster.machines()?.stop(&self.node).await,
            Outage::Freeze => scene.cluster.machines()?.freeze(&self.node).await,
            Outage::Disconnect => scene.cluster.links()?.disconnect(&self.node).await,
        }
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        match &self.before {
            Some(before) => self.is_out(scene, before).await.map_or_else(Evidence::Missing, Evidence::Shown),
            None => Evidence::Missing("nobody looked at the node before".to_owned()),
        }
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        match &self.before {
            Some(before) => self.is_back(scene, before).await.map_or_else(Evidence::Missing, Evidence::Shown),
            None => Evidence::Missing("nobody looked at the node before".to_owned()),
        }
    }
}

/// What pods of all other nodes send to a node and its pods.
pub(crate) fn from_others(snapshot: &Snapshot, node: &str, effect: Effect) -> TrafficFault {
    let others = snapshot.nodes.iter().map(|other| other.name_any()).filter(|other| other != node);
    TrafficFault {
        from: others.map(Party::Node).collect(),
        to: vec![Party::Node(node.to_owned())],
        both_ways: false,
        ports: vec![],
        effect,
    }
}

/// The containers that run in the pods of a node.
fn containers(snapshot: &Snapshot, node: &str) -> Containers {
    let mut all = Containers::new();
    for pod in &snapshot.pods {
        if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) != Some(node) {
            continue;
        }
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let running = statuses.filter(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
        let ids = running.filter_map(|status| status.container_id.clone()).collect();
        all.insert((pod.namespace().unwrap_or_default(), pod.name_any()), (pod.uid().unwrap_or_default(), ids));
    }
    all
}

/// What became of the containers of pods that are still there: all ran anew after a stop, none after a freeze.
fn judge(outage: Outage, before: &Containers, now: &Containers) -> Result<String, String> {
    let mut stayed = 0;
    for (pod, (uid, ids)) in before {
        let Some((_, ids_now)) = now.get(pod).filter(|(now, _)| now == uid) else { continue };
        stayed += ids.len();
        let name = &pod.1;
        let same = ids.iter().filter(|id| ids_now.contains(id)).count();
        match outage {
            Outage::Stop if same > 0 => return Err(format!("a container of {name} runs that was to be dead")),
            Outage::Stop if ids_now.len() < ids.len() => return Err(format!("{name} does not run again yet")),
            Outage::Freeze | Outage::Disconnect if same < ids.len() => {
                return Err(format!("a container of {name} does not run on"));
            }
            _ => {}
        }
    }
    let gone = before.iter().filter(|(pod, (uid, _))| now.get(*pod).is_none_or(|(now, _)| now != uid)).count();
    let how = if outage == Outage::Stop { "run anew" } else { "run on" };
    Ok(format!("{stayed} containers {how}, {gone} pods have left it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(all: &[(&str, &str, &[&str])]) -> Containers {
        let pod = |(name, uid, ids): &(&str, &str, &[&str])| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            (("ns".to_owned(), (*name).to_owned()), ((*uid).to_owned(), ids))
        };
        all.iter().map(pod).collect()
    }

    #[test]
    fn a_stop_replaces_every_container_and_a_freeze_none() {
        let before = pods(&[("a", "1", &["x", "y"])]);
        for (outage, now, shown) in [
            (Outage::Stop, pods(&[("a", "1", &["x2", "y2"])]), true),
            (Outage::Stop, pods(&[("a", "1", &["x2"])]), false),
            (Outage::Stop, pods(&[("a", "1", &["x", "y2"])]), false),
            (Outage::Stop, pods(&[]), true),
            (Outage::Freeze, pods(&[("a", "1", &["x", "y"])]), true),
            (Outage::Freeze, pods(&[("a", "1", &["x", "y2"])]), false),
            (Outage::Disconnect, pods(&[("a", "1", &["x", "y"])]), true),
            (Outage::Disconnect, pods(&[("a", "1", &["x2", "y2"])]), false),
            // Another pod of the same name tells nothing.
            (Outage::Freeze, pods(&[("a", "2", &["z"])]), true),
        ] {
            assert_eq!(judge(outage, &before, &now).is_ok(), shown, "{outage:?} {now:?}");
        }
    }
}
