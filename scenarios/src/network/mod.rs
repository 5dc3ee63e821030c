//! Who reaches whom: the network matrix of a deployment, live, against the contract's rows.
//!
//! - [`plan`]: every source, every destination, and what the contract expects of each cell
//! - [`judge`]: what the probes of one cell say of the promise
//! - [`policies`]: the NetworkPolicy objects that explain a difference

pub mod judge;
pub mod plan;
pub mod policies;
