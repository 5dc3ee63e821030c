//! What may be done to a cluster, as data: enough for another process to undo it.

use crate::outage::Outage;
use gauntlet_cluster::access::said;
use gauntlet_cluster::claims::{Claim, MOUNT};
use gauntlet_cluster::traffic::{Effect, TrafficFault};
use gauntlet_cluster::{Cluster, jobs, nodes, volumes};
use gauntlet_core::Trouble;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::DeleteParams;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A reversible disturbance of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "disturbance")]
pub enum Disturbance {
    /// The container's process is killed and kept from starting.
    HoldContainer { namespace: String, pod: String, container: String },
    /// The node is without power, stands still, or is off its network.
    NodeOutage { node: String, outage: Outage },
    /// What the node sends is delayed, lost or limited.
    ShapeNode { node: String, effect: Effect },
    /// The node takes no new pods.
    Cordon { node: String },
    /// Traffic between some parties does not arrive, or not all of it.
    Traffic { id: String, fault: TrafficFault },
    /// The StatefulSet's pods are stopped and their volumes deleted.
    LoseVolumes { namespace: String, stateful_set: String, replicas: i32 },
    /// Everything in a store is deleted through the store itself. There is nothing to undo: what was lost only a restore
    /// brings back.
    Wipe { store: String },
    /// A NetworkPolicy of ours.
    Policy { namespace: String, policy: String },
    /// A Job of ours whose pods have a small volume where their template has a claim.
    SmallVolume { namespace: String, job: String },
    /// Half of a file on a claim is missing.
    CutFile { claim: Box<Claim>, path: String },
}

impl Disturbance {
    /// Undoes it. Undoing what is undone already, or was never done, changes nothing.
    ///
    /// # Errors
    /// It could not be undone.
    pub async fn undo(&self, cluster: &dyn Cluster) -> Result<(), Trouble> {
        match self {
            Self::HoldContainer { namespace, pod, container } => {
                cluster.release_container(namespace, pod, container).await
            }
            Self::NodeOutage { node, .. } => cluster.machines()?.bring_back(node).await,
            Self::ShapeNode { node, .. } => cluster.links()?.unshape(node).await,
            Self::Cordon { node } => nodes::uncordon(cluster.access(), node).await,
            Self::Traffic { id, .. } => cluster.restore_traffic(id).await,
            Self::LoseVolumes { namespace, stateful_set, replicas } => {
                volumes::scale(cluster.access(), namespace, stateful_set, *replicas).await
            }
            Self::Wipe { .. } => Ok(()),
            Self::Policy { namespace, policy } => remove_policy(cluster, namespace, policy).await,
            Self::SmallVolume { namespace, job } => jobs::delete(cluster.access(), namespace, job).await,
            Self::CutFile { claim, path } => claim.keep(cluster.access(), &["mend", MOUNT, path]).await.map(drop),
        }
    }
}

async fn remove_policy(cluster: &dyn Cluster, namespace: &str, policy: &str) -> Result<(), Trouble> {
    let api: Api<NetworkPolicy> = Api::namespaced(cluster.access().client.clone(), namespace);
    match api.delete(policy, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Trouble::harness(format!("cannot remove policy {namespace}/{policy}: {}", said(&error)))),
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HoldContainer { namespace, pod, container } => {
                write!(f, "kill {namespace}/{pod} {container} and keep it down")
            }
            Self::NodeOutage { node, outage: Outage::Stop } => write!(f, "stop {node}"),
            Self::NodeOutage { node, outage: Outage::Freeze } => write!(f, "freeze {node}"),
            Self::NodeOutage { node, outage: Outage::Disconnect } => write!(f, "disconnect {node}"),
            Self::ShapeNode { node, effect } => write!(f, "{effect} what {node} sends"),
            Self::Cordon { node } => write!(f, "cordon {node}"),
            Self::Traffic { fault, .. } => fault.fmt(f),
            Self::LoseVolumes { namespace, stateful_set, .. } => {
                write!(f, "delete the volumes of {namespace}/{stateful_set}")
            }
            Self::Wipe { store } => write!(f, "delete everything in {store}"),
            Self::Policy { namespace, policy } => write!(f, "deny by policy {namespace}/{policy}"),
            Self::SmallVolume { namespace, job } => write!(f, "let {namespace}/{job} write to a volume too small"),
            Self::CutFile { claim, path } => write!(f, "cut {path} on {}/{} in half", claim.namespace, claim.claim),
        }
    }
}
