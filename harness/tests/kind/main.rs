//! Clusters of kind without kind and Docker: programs that stand in for them record what they are told and fail on
//! demand. The API behind is the embedded Kubernetes.
//!
//! - [`machine`]: where those programs are
//! - [`refused`], [`steps`], [`whole`], [`ended`]: runs there, by how far they come
//! - [`nodes`]: what is left of faults of nodes; [`lost`]: clusters that nothing is remembered of

#[allow(dead_code)] // not every test uses all of it
#[path = "../support/mod.rs"]
mod support;

mod ended;
mod lost;
mod machine;
mod nodes;
mod refused;
mod steps;
mod whole;
