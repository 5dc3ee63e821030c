//! Clusters: where they come from, and the Kubernetes verbs that the harness needs.
//!
//! - [`provider`]: what gives us a cluster, and the powers over its nodes
//! - [`access`]: a client and what we know of the cluster behind it
//! - [`retry`]: requests that the API server did not serve at once
//! - [`progress`]: who is told what is being waited for
//! - [`render`], [`order`], [`apply`]: from an overlay to objects in the cluster
//! - [`images`]: what runs under the names of a system's images; [`agent_pod`]: pods of ours
//! - [`ownership`]: what is ours on a cluster that has other users
//! - [`prerequisites`], [`tls`]: what must exist before
//! - [`view`], [`ready`]: the live state of the cluster, and whether it is what the contract promises
//! - [`timeline`]: what pods and event objects amount to, for the events of a run
//! - [`exec`]: commands in pods, and their logs; [`forward`]: questions to their ports
//! - [`probe`]: connections tried from inside pods
//! - [`node_agent`]: powers that the Kubernetes API does not give, by an agent on every node
//! - [`nodes`]: cordon, evict, drain
//! - [`traffic`]: faults of the traffic between some parties
//! - [`jobs`], [`volumes`], [`claims`]: jobs by hand; claims and replicas of StatefulSets; what lies on a claim
//! - [`ranges`]: what our own containers may ask for
//! - [`host`]: programs that this machine must have
//! - [`evidence`]: everything a person needs to find a cause, without any secret

pub mod access;
pub mod agent_pod;
pub mod apply;
pub mod claims;
pub mod evidence;
pub mod exec;
pub mod forward;
pub mod host;
pub mod images;
pub mod jobs;
pub mod node_agent;
pub mod nodes;
pub mod order;
pub mod ours;
pub mod ownership;
pub mod prerequisites;
pub mod probe;
pub mod progress;
pub mod provider;
pub mod ranges;
pub mod ready;
pub mod render;
pub mod retry;
pub mod timeline;
pub mod tls;
pub mod traffic;
pub mod view;
pub mod volumes;

pub use access::Access;
pub use progress::Progress;
pub use provider::{Cluster, Provider};
