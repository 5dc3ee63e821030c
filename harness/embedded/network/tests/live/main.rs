//! The network with real namespaces: needs root and `nft`.

mod basics;
mod cluster;
mod faults;
mod policies;
mod probe;
#[path = "../support/mod.rs"]
mod support;
