//! Every scenario there is. The command line and the tests take them from here and nowhere else.

use crate::backup::{BackupFaulty, BackupNats, BackupRedis};
use crate::drain::DrainQuorum;
use crate::nats::{Partition, PeerLoss, QuorumLoss};
use crate::network::NetworkMatrix;
use crate::redis::Failover;
use gauntlet_engine::Scenario;

/// All scenarios, in the order in which they run.
pub fn all() -> Vec<&'static dyn Scenario> {
    vec![
        &NetworkMatrix,
        &Failover,
        &DrainQuorum,
        &PeerLoss,
        &QuorumLoss,
        &Partition,
        &BackupRedis,
        &BackupNats,
        &BackupFaulty,
    ]
}
