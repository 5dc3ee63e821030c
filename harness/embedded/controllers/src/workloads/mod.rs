//! Controllers that keep pods running: each a pure decision over a view.
//!
//! - [`pods`]: what they all need to know about pods (making them, counting them, choosing which to remove)
//! - [`status`]: how statuses are written
//! - [`hash`]: short hashes for names
//! - [`revisions`]: the history of templates of StatefulSets and DaemonSets
//! - [`replica_set`], [`deployment`], [`stateful_set`], [`daemon_set`], [`job`], [`cron_job`]

use crate::runtime::Controller;

pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod hash;
pub mod job;
pub mod pods;
pub mod replica_set;
pub mod revisions;
pub mod stateful_set;
pub mod status;

/// All of them, ready to run.
pub fn controllers() -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(replica_set::ReplicaSets),
        Box::new(deployment::Deployments),
        Box::new(stateful_set::StatefulSets),
        Box::new(daemon_set::DaemonSets::default()),
        Box::new(job::Jobs),
        Box::new(job::ttl::TtlAfterFinished),
        Box::new(cron_job::CronJobs),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_workload_has_its_controller() {
        let components: BTreeSet<&str> = super::controllers().iter().map(|c| c.component()).collect();
        let expected = ["cronjob", "daemonset", "deployment", "job", "replicaset", "statefulset", "ttl-after-finished"];
        assert_eq!(components, expected.map(|name| &*format!("{name}-controller").leak()).into());
    }
}
