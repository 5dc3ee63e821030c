//! What may be done to a cluster, as data: enough for another process to undo it.

use gauntlet_cluster::traffic::TrafficFault;
use gauntlet_cluster::{Cluster, nodes, volumes};
use gauntlet_core::Trouble;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A reversible disturbance of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "disturbance")]
pub enum Disturbance {
    /// The container's process is killed and kept from starting.
    HoldContainer { namespace: String, pod: String, container: String },
    /// The node takes no new pods.
    Cordon { node: String },
    /// Traffic between some parties does not arrive, or not all of it.
    Traffic { id: String, fault: TrafficFault },
    /// The StatefulSet's pods are stopped and their volumes deleted.
    LoseVolumes { namespace: String, stateful_set: String, replicas: i32 },
    /// Everything in a store is deleted through the store itself. There is nothing to undo: what was lost only a restore
    /// brings back.
    Wipe { store: String },
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
            Self::Cordon { node } => nodes::uncordon(cluster.access(), node).await,
            Self::Traffic { id, .. } => cluster.restore_traffic(id).await,
            Self::LoseVolumes { namespace, stateful_set, replicas } => {
                volumes::scale(cluster.access(), namespace, stateful_set, *replicas).await
            }
            Self::Wipe { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HoldContainer { namespace, pod, container } => {
                write!(f, "kill {namespace}/{pod} {container} and keep it down")
            }
            Self::Cordon { node } => write!(f, "cordon {node}"),
            Self::Traffic { fault, .. } => fault.fmt(f),
            Self::LoseVolumes { namespace, stateful_set, .. } => {
                write!(f, "delete the volumes of {namespace}/{stateful_set}")
            }
            Self::Wipe { store } => write!(f, "delete everything in {store}"),
        }
    }
}
