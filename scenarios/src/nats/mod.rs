//! Losing peers of a JetStream cluster.
//!
//! - [`peers`]: what the leaders of streams say of their replicas
//! - [`members`]: the pods that the peers are, and how long their probes are patient
//! - [`running`]: what runs in the pods, and what was started again
//! - [`checks`]: what is judged alike after every loss
//! - [`peer_loss`], [`quorum_loss`], [`partition`]: the scenarios

pub mod checks;
pub mod members;
pub mod partition;
pub mod peer_loss;
pub mod peers;
pub mod quorum_loss;
pub mod running;

pub use partition::Partition;
pub use peer_loss::PeerLoss;
pub use quorum_loss::QuorumLoss;

use crate::workload::Load;
use gauntlet_core::checkers::nats::Span;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::objective::Consensus;
use gauntlet_core::contract::store::{Store, StoreKind};
use std::time::Duration;

/// The slowest election: followers stand for it 4 to 9 s after the last heartbeat (nats-server, `raft.go`).
const SLOWEST_ELECTION: Duration = Duration::from_secs(9);

/// A leader looks every 10 s whether it heard from a majority in the last 10 s, and steps down if not (nats-server,
/// `raft.go`, `lostQuorumCheck` and `lostQuorumInterval`). Until then it goes on confirming, and its health says nothing.
const LOST_QUORUM: Duration = Duration::from_secs(20);

const LOAD: Load = Load { pause_ms: 50, consume: true, pinned: false };

/// Successes of every client that show that it is at work.
const AT_WORK: u64 = 20;

const AT_WORK_WITHIN: Duration = Duration::from_secs(60);

/// What a scenario is about: a store of peers that vote, and what it promises.
#[derive(Clone, Copy)]
struct Subject<'a> {
    store: &'a Store,
    objective: &'a Consensus,
    streams: &'a [String],
    replicas: u32,
    servers: u32,
}

impl<'a> Subject<'a> {
    fn of(deployment: Deployment<'a>) -> Option<Self> {
        deployment.stores().find_map(|store| match &store.kind {
            StoreKind::NatsJetstream { servers, stream_replicas, streams, .. } => {
                let objective = deployment.consensus(&store.name.value)?;
                Some(Self { store, objective, streams, replicas: *stream_replicas, servers: *servers })
            }
            _ => None,
        })
    }

    /// Whether there is something to lose and something to survive it.
    fn applies(deployment: Deployment<'a>) -> Result<(), String> {
        match Self::of(deployment) {
            None => Err("this overlay has no JetStream cluster that promises to survive the loss of a peer".to_owned()),
            Some(subject) if subject.replicas < 3 => {
                Err(format!("streams with {} copies survive no loss", subject.replicas))
            }
            Some(_) => Ok(()),
        }
    }

    fn name(&self) -> &'a str {
        &self.store.name.value
    }

    fn promise(&self) -> &'a str {
        self.objective.promise.as_str()
    }

    /// What acknowledged messages are promised under.
    fn durability(&self) -> &'a str {
        self.store.promise.as_ref().map_or(self.promise(), |promise| promise.as_str())
    }

    /// The time in which clients are served again after a loss.
    fn budget(&self) -> Duration {
        self.objective.resume.for_election(SLOWEST_ELECTION)
    }

    /// The time in which clients are served again after a quorum came back.
    fn restore_budget(&self) -> Duration {
        self.objective.restore.for_election(SLOWEST_ELECTION)
    }

    /// When a leader that was lost between these times, or was left alone until then, may have confirmed what its peers
    /// never learned of. Times in microseconds since 1970.
    fn unsure(&self, from_us: u64, to_us: u64) -> Span {
        let before = self.objective.forgotten_acks_within.0.as_micros() as u64;
        Span { from_us: from_us.saturating_sub(before), to_us }
    }

    /// How long to wait for everybody to be served: long enough to see who exceeds the longest budget.
    fn patience(&self) -> Duration {
        let others = self.objective.unavailable_at_most.iter().map(|other| other.window.0);
        let longest = others.chain([self.budget(), self.restore_budget()]).max().unwrap_or_default();
        longest + SLOWEST_ELECTION
    }
}
