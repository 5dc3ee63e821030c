//! Replays recordings of a real API server against a cluster.
//!
//! - [`rules`]: what the format means, as pure functions
//! - [`client`], [`socket`]: requests, watches and WebSockets to the cluster
//! - [`replay`]: one file from its first step to its clean-up
//! - [`known`]: files that are not expected to match yet

pub mod client;
pub mod known;
pub mod replay;
pub mod rules;
mod socket;
