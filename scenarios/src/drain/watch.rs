//! How many members of each quorum every eviction left ready.
//!
//! A member that is evicted takes others with it at times: a replica that has lost its primary is not ready either. That
//! is no eviction below the floor. What counts is how many were ready when a member began to leave.

use gauntlet_cluster::ready;
use gauntlet_cluster::view::{Snapshot, View};
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::policy::Quorum;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The fewest ready members of each workload: whenever, and when a member had just begun to leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lowest {
    whenever: BTreeMap<String, u32>,
    after_leaving: BTreeMap<String, u32>,
    /// Members that are known to have begun to leave, by uid.
    leaving: BTreeSet<String>,
}

impl Lowest {
    /// Takes one moment into account.
    pub fn see(&mut self, deployment: Deployment<'_>, snapshot: &Snapshot) {
        for quorum in deployment.quorums() {
            let Some(ready) = ready_members(deployment, quorum, snapshot) else { continue };
            let name = &quorum.workload.value;
            lower(&mut self.whenever, name, ready);
            let members = deployment.workload(name).map(|workload| ready::pods_of(workload, snapshot));
            let leaving = members.into_iter().flatten().filter(|pod| pod.metadata.deletion_timestamp.is_some());
            let begun = leaving.filter_map(|pod| pod.uid()).filter(|uid| self.leaving.insert(uid.clone())).count();
            if begun > 0 {
                lower(&mut self.after_leaving, name, ready);
            }
        }
    }

    /// Whenever it was.
    pub fn of(&self, workload: &str) -> Option<u32> {
        self.whenever.get(workload).copied()
    }

    /// When a member had just begun to leave; `None` when none ever did.
    pub fn after_leaving(&self, workload: &str) -> Option<u32> {
        self.after_leaving.get(workload).copied()
    }
}

fn lower(lowest: &mut BTreeMap<String, u32>, workload: &str, ready: u32) {
    let lowest = lowest.entry(workload.to_owned()).or_insert(ready);
    *lowest = ready.min(*lowest);
}

/// Ready members of a quorum's workload.
pub fn ready_members(deployment: Deployment<'_>, quorum: &Quorum, snapshot: &Snapshot) -> Option<u32> {
    let workload = deployment.workload(&quorum.workload.value)?;
    let ready = ready::pods_of(workload, snapshot).iter().filter(|pod| ready::is_ready(pod)).count();
    u32::try_from(ready).ok()
}

/// Watches until it is dropped; `lowest` is what it has seen.
pub struct Watcher {
    pub lowest: Arc<Mutex<Lowest>>,
}

impl Watcher {
    pub fn new() -> Self {
        Self { lowest: Arc::default() }
    }

    /// Takes every change of the view into account; never ends by itself.
    pub async fn run(&self, deployment: Deployment<'_>, view: &View) {
        let mut changes = view.changes();
        view.complete().await;
        loop {
            changes.mark_unchanged();
            self.lock().see(deployment, &view.snapshot());
            // The sender lives as long as the view.
            let _ = changes.changed().await;
        }
    }

    pub fn seen(&self) -> Lowest {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lowest> {
        self.lowest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// One pod a letter: `r`eady, `u`nready, `l`eaving.
    fn snapshot(pods: &str) -> Snapshot {
        let pod = |(n, state): (usize, char)| {
            let deleted = (state == 'l').then_some("2026-01-01T00:00:00Z");
            let ready = if state == 'u' { "False" } else { "True" };
            let pod = json!({
                "metadata": {"name": format!("n-{n}"), "uid": format!("uid-{n}"), "namespace": "cordum",
                    "labels": {"app": "nats"}, "deletionTimestamp": deleted},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            });
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        Snapshot { pods: pods.chars().enumerate().map(pod).collect(), ..Snapshot::default() }
    }

    fn lowest(moments: &[&str]) -> (Option<u32>, Option<u32>) {
        let contract = crate::systems::load("cordum").unwrap().contract;
        let mut lowest = Lowest::default();
        for moment in moments {
            lowest.see(contract.deployment(None).unwrap(), &snapshot(moment));
        }
        (lowest.of("cordum-nats"), lowest.after_leaving("cordum-nats"))
    }

    #[test]
    fn an_eviction_counts_with_what_it_left_ready() {
        assert_eq!(lowest(&["rrr", "lrr", "lrr", "rrr"]), (Some(2), Some(2)));
        assert_eq!(lowest(&["rrr", "lrr", "llr"]), (Some(1), Some(1)));
    }

    #[test]
    fn members_that_fail_by_themselves_later_are_no_fault_of_the_eviction() {
        assert_eq!(lowest(&["rrr", "lrr", "lur", "rrr"]), (Some(1), Some(2)));
    }

    #[test]
    fn an_eviction_while_others_were_down_counts_against_it() {
        assert_eq!(lowest(&["rur", "lur"]), (Some(1), Some(1)));
    }

    #[test]
    fn without_an_eviction_nothing_is_known_of_evictions() {
        assert_eq!(lowest(&["rrr", "rur"]), (Some(2), None));
    }
}
