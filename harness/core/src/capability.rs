//! Powers that a provider of clusters may have. A scenario names the ones it needs and is skipped where one is missing.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One power over a cluster beyond what its Kubernetes API gives to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Kill the process of a container and keep it from starting again until released.
    HoldContainer,
    /// Freeze or stop a node and bring it back.
    StopNode,
    /// Take a node off its network; delay, lose or limit what it sends.
    NodeNetwork,
    /// Cut, lose or limit the traffic between pods and nodes, and delay that between pods.
    ShapeNetwork,
    /// Enforce NetworkPolicies. Of other clusters than those that have it, only a try tells.
    EnforcePolicies,
    /// Cordon and drain nodes without hurting anybody but the system under test.
    DrainNodes,
    /// Add containers to pods that run, and put pods beside them that stand in for them.
    EnterPods,
    /// Run backups by hand, scale what holds data, delete its claims, and restore it.
    RestoreData,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HoldContainer => "hold-container",
            Self::StopNode => "stop-node",
            Self::NodeNetwork => "node-network",
            Self::ShapeNetwork => "shape-network",
            Self::EnforcePolicies => "enforce-policies",
            Self::DrainNodes => "drain-nodes",
            Self::EnterPods => "enter-pods",
            Self::RestoreData => "restore-data",
        })
    }
}
