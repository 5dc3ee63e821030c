//! The scenarios, and the systems that come with them.
//!
//! - [`registry`]: every scenario there is
//! - [`systems`]: contracts and overlays of the systems under test
//! - [`workload`]: clients inside the cluster, and what their histories say
//! - [`redis`]: losing a primary of a Redis Cluster
//! - [`nats`]: losing peers of a JetStream cluster, and its quorum
//! - [`drain`]: draining nodes without losing a quorum
//! - [`network`]: who reaches whom
//! - [`backup`]: backups that run by themselves, and the way back
//!
//! Nothing here names a system: what a scenario needs to know, the contract says.

pub mod backup;
pub mod drain;
pub mod nats;
pub mod network;
pub mod redis;
pub mod registry;
pub mod systems;
pub mod workload;
