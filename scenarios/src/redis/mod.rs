//! Losing a primary of a Redis Cluster.
//!
//! - [`topology`]: what one node says of its cluster, and what several agree on
//! - [`live`]: asking the nodes
//! - [`failover`]: the scenario

pub mod failover;
pub mod live;
pub mod topology;

pub use failover::Failover;
