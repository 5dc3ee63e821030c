//! The network of an embedded cluster, inside a network namespace of its own.
//!
//! One namespace holds the whole cluster: nodes are addresses in it, every pod has a further namespace joined to it by
//! a veth pair. Pods are routed, never bridged, so every packet between two pods passes the cluster namespace's ip
//! hooks, also between pods of one node: that is where Services act, and where network policies and faults belong.
//! The host's interfaces, routes and firewall are neither needed nor changed, and clusters may use equal addresses
//! side by side.
//!
//! - [`address`]: the address plan
//! - [`ipam`]: which pod addresses are taken
//! - [`cluster`]: the cluster's namespace, pods' attachment to it, sockets inside it
//! - [`services`]: Services and EndpointSlices compiled to nftables
//! - [`policies`]: NetworkPolicies compiled to nftables
//! - [`faults`]: cut, lossy and slow connections between some
//! - [`dns`]: the `cluster.local` zone
//! - [`outside`]: hosts that are not the cluster's
//! - [`sweep`]: removes what a dead process left
//! - [`netns`], [`netlink`], [`nft`]: the system calls

pub mod address;
pub mod cluster;
pub mod dns;
mod error;
pub mod faults;
pub mod ipam;
mod netlink;
pub mod netns;
mod nft;
pub mod outside;
pub mod policies;
pub mod services;
pub mod sweep;

pub use address::NodeIndex;
pub use cluster::{ClusterNetwork, PodAttachment};
pub use error::{Error, Result};
