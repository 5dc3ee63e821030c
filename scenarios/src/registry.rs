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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems;
    use gauntlet_core::{Capability, Selection};
    use gauntlet_engine::plan;
    use std::collections::BTreeSet;

    #[test]
    fn a_run_needs_what_its_scenarios_need_that_apply() {
        use Capability::{DrainNodes, EnterPods, HoldContainer, RestoreData};
        for (system, filter, needs) in [
            ("cordum", "backup", &[HoldContainer, RestoreData][..]),
            ("cordum", "drain", &[DrainNodes]),
            ("nexus", "", &[DrainNodes, EnterPods]),
        ] {
            let contract = systems::load(system).unwrap().contract;
            let selection = Selection { filters: vec![filter.to_owned()], ..Selection::default() };
            let planned = plan::plan(&all(), &selection, 1).unwrap();
            let found = plan::needs(&planned, contract.deployment(None).unwrap());
            assert_eq!(found, needs.iter().copied().collect(), "{system} {filter}");
        }
    }

    #[test]
    fn a_scenario_is_skipped_with_everything_that_is_missing() {
        let contract = systems::load("cordum").unwrap().contract;
        let deployment = contract.deployment(None).unwrap();
        let lack = |of| (of == Capability::RestoreData).then(|| "not allowed".to_owned());
        let reason = |has: BTreeSet<Capability>| plan::skip_reason(&BackupFaulty, deployment, &has, lack, "there");
        let why = "the provider `there` cannot do what this needs: hold-container; restore-data (not allowed)";
        assert_eq!(reason([].into()).as_deref(), Some(why));
        assert_eq!(reason(BackupFaulty.info().needs.iter().copied().collect()), None);
    }
}
