//! Who reaches whom: the network matrix of a deployment, live, against the contract's rows.
//!
//! - [`plan`]: every source, every destination, and what the contract expects of each cell
//! - [`parties`], [`enter`], [`members`]: pods of our own, containers in others', and putting probers in place
//! - [`targets`], [`rounds`]: addresses, and asking from everywhere at once
//! - [`questions`]: what is asked by whom, and who answers for whom
//! - [`policies`]: the NetworkPolicy objects that explain a difference
//! - [`matrix`]: the scenario

pub mod enter;
pub mod matrix;
pub mod members;
pub mod parties;
pub mod plan;
pub mod policies;
pub mod questions;
pub mod rounds;
pub mod targets;

pub use matrix::NetworkMatrix;
