//! The scheduler of the embedded Kubernetes: a pure decision, and a thin loop that carries it out.
//!
//! - [`cluster`]: the cluster as the scheduler sees it; [`pod`]: a pod, read once
//! - [`decide`]: [`decide::schedule`], from a pod and a cluster to a [`decide::Decision`]
//! - [`filter`]: the rules that a node must meet, one file each
//! - [`score`]: which of several nodes is best
//! - [`preempt`]: which pods of lower priority would have to go
//! - [`message`]: why a pod does not fit, in the words of Kubernetes
//! - [`queue`]: whose turn it is
//! - [`worker`]: the loop
//!
//! Rules: kubernetes.io/docs/concepts/scheduling-eviction and kubernetes.io/docs/reference/scheduling/config.

pub mod cluster;
pub mod decide;
pub mod filter;
pub mod message;
pub mod pod;
pub mod preempt;
pub mod queue;
pub mod score;
pub mod worker;

pub use cluster::Cluster;
pub use decide::{Decision, schedule};
pub use pod::PodInfo;
pub use worker::run;

/// The name that pods ask for in `spec.schedulerName`, and the source of this scheduler's Events.
pub const NAME: &str = "default-scheduler";
