//! Draining nodes without losing a quorum.
//!
//! - [`watch`]: how many members were ready at every moment, and why they went
//! - [`attempt`]: one eviction that must be refused, one that must be granted
//! - [`quorum`]: the scenario

pub mod attempt;
pub mod quorum;
pub mod watch;

pub use quorum::DrainQuorum;
