//! When the system is in order, what its clients do, and how much of a disturbance they may notice.

use super::model::{Only, Ref};
use super::store::SecretKey;
use crate::span::Span;
use crate::yaml::Located;
use serde::Deserialize;

/// When the system is in order. All serving workloads of the overlay ready is understood.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SteadyState {
    /// How long to wait for it after applying the overlay.
    pub within: Span,
    /// Jobs that must have completed.
    #[serde(default)]
    pub completed_jobs: Vec<Ref>,
}

/// Work that clients hand in and expect to be done exactly once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pipeline {
    pub name: Located<String>,
    /// The workload that accepts the work.
    pub workload: Ref,
    /// `POST` here hands in a job.
    pub submit_url: String,
    /// `GET` here, with `{id}` replaced, tells the state of a job.
    pub status_url: String,
    /// The header that carries the key, and the secret it comes from.
    #[serde(default)]
    pub key_header: Option<String>,
    #[serde(default)]
    pub key: Option<SecretKey>,
    /// States from which a job does not move on, as `status_url` names them.
    pub final_states: Vec<String>,
    pub done_state: String,
    /// An accepted job is done this long after its acceptance, when nothing is wrong.
    pub done_within: Span,
    #[serde(default)]
    pub promise: Option<Ref>,
    #[serde(default)]
    pub overlays: Only,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Objectives {
    #[serde(default)]
    pub failover: Vec<Failover>,
    #[serde(default)]
    pub consensus: Vec<Consensus>,
    #[serde(default)]
    pub drain: Option<Drain>,
    #[serde(default)]
    pub jobs: Option<Jobs>,
}

/// How a store survives the loss of a primary.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Failover {
    pub store: Ref,
    pub budget: FailoverBudget,
    /// Share of plainly acknowledged writes that may be lost, in percent.
    pub plain_loss_percent: f64,
    /// Writes acknowledged by a replica too that may be lost.
    pub replicated_loss: u64,
    /// The lost member is back, in sync, this long after it was allowed to come back.
    pub rejoin_within: Span,
    pub promise: Ref,
    /// These figures were proposed by a program and not yet confirmed by a person: their promise counts for nothing.
    #[serde(default)]
    pub guessed: bool,
}

/// `node_timeout_factor` times the live node timeout, plus `plus`, at most `at_most`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FailoverBudget {
    pub node_timeout_factor: f64,
    pub plus: Span,
    pub at_most: Span,
}

impl FailoverBudget {
    /// The time in which clients are served again.
    pub fn for_node_timeout(&self, node_timeout: std::time::Duration) -> std::time::Duration {
        (node_timeout.mul_f64(self.node_timeout_factor) + self.plus.0).min(self.at_most.0)
    }
}

/// How a store whose members vote survives the loss of some of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Consensus {
    pub store: Ref,
    /// The time in which clients are served again after a member was lost.
    pub resume: ElectionBudget,
    /// The same after a quorum came back: elections that begin before enough members are up come to nothing.
    pub restore: ElectionBudget,
    /// Every replica is current again this long after the lost members were allowed to come back.
    pub whole_within: Span,
    /// What cannot be acknowledged ends in an error for the client within this time.
    pub refuse_within: Span,
    /// How long before a member was lost it may have confirmed acknowledgements of a consumer that are forgotten with it.
    pub forgotten_acks_within: Span,
    /// Longest time in which others that rely on the store get nothing done while one member is lost.
    #[serde(default)]
    pub unavailable_at_most: Vec<Unavailability>,
    pub promise: Ref,
    /// These figures were proposed by a program and not yet confirmed by a person: their promise counts for nothing.
    #[serde(default)]
    pub guessed: bool,
}

/// As long as `elections` elections at their slowest take, plus `plus`, at most `at_most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ElectionBudget {
    pub elections: u32,
    pub plus: Span,
    pub at_most: Span,
}

impl ElectionBudget {
    /// The time in which clients are served again, where one election takes `slowest` at the most.
    pub fn for_election(&self, slowest: std::time::Duration) -> std::time::Duration {
        (slowest * self.elections + self.plus.0).min(self.at_most.0)
    }
}

/// What clients may notice while nodes are drained one after the other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Drain {
    /// One node is empty after this long.
    pub within: Span,
    /// Longest time in which no operation of a kind succeeds.
    pub unavailable_at_most: Vec<Unavailability>,
    /// Share of plainly acknowledged writes that may be lost, in percent.
    pub plain_loss_percent: f64,
    pub promise: Ref,
    /// These figures were proposed by a program and not yet confirmed by a person: their promise counts for nothing.
    #[serde(default)]
    pub guessed: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Unavailability {
    /// A store or a pipeline.
    pub of: Ref,
    pub window: Span,
}

/// What happens to jobs under any single disturbance.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Jobs {
    pub lost: u64,
    pub duplicated: u64,
    /// Every accepted job has ended this long after the disturbance is over.
    pub settled_within: Span,
    pub promise: Ref,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_failover_budget_follows_the_live_timeout_up_to_its_bound() {
        let budget =
            FailoverBudget { node_timeout_factor: 2.0, plus: Span::from_secs(2), at_most: Span::from_secs(15) };
        assert_eq!(budget.for_node_timeout(Duration::from_secs(5)), Duration::from_secs(12));
        assert_eq!(budget.for_node_timeout(Duration::from_secs(15)), Duration::from_secs(15));
    }

    #[test]
    fn the_budget_of_elections_follows_their_slowest_up_to_its_bound() {
        let budget = ElectionBudget { elections: 2, plus: Span::from_secs(2), at_most: Span::from_secs(30) };
        assert_eq!(budget.for_election(Duration::from_secs(9)), Duration::from_secs(20));
        assert_eq!(budget.for_election(Duration::from_secs(20)), Duration::from_secs(30));
    }
}
