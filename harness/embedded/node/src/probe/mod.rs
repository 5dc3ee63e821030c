//! Probes: whether a container has started, is ready, is alive.
//!
//! - [`tracker`]: from single outcomes to verdicts, a pure state machine
//! - [`schedule`]: when a container's probes run and what they report
//! - [`check`](fn@check): one attempt, of a probe or of a lifecycle hook, over the node's side of the network
//! - `http`, `grpc`, `exec`: the ways to ask; errors are worded as Kubernetes words them, since people search for them

mod check;
mod exec;
mod grpc;
mod http;
pub mod schedule;
#[cfg(test)]
mod testing;
mod tls;
pub mod tracker;

pub use check::{Dialer, Outcome, ProbeTarget, check};
pub use schedule::{Report, run};
pub use tracker::{Changed, Kind, Tracker};
