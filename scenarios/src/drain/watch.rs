//! How many members of each quorum every eviction left ready.
//!
//! A member that is evicted takes others with it at times: a replica that has lost its primary is not ready either. That
//! is no eviction below the floor. What counts is how many were ready when a member began to leave.

use crate::workload::now_us;
use gauntlet_cluster::ready;
use gauntlet_cluster::view::{Snapshot, View};
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::policy::Quorum;
use gauntlet_core::judgement::disruption::{Began, Members};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// The members of each workload that has a quorum, whenever something changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    members: BTreeMap<String, Vec<Members>>,
    /// Members that are known to have begun to leave, by uid.
    leaving: BTreeSet<String>,
}

impl Seen {
    /// Takes one moment into account.
    pub fn see(&mut self, deployment: Deployment<'_>, snapshot: &Snapshot, at_us: u64) {
        for quorum in deployment.quorums() {
            let Some(ready) = ready_members(deployment, quorum, snapshot) else { continue };
            let name = &quorum.workload.value;
            let pods = deployment.workload(name).map(|workload| ready::pods_of(workload, snapshot));
            let leaving = pods.into_iter().flatten().filter(|pod| pod.metadata.deletion_timestamp.is_some());
            let begun = leaving.filter(|pod| pod.uid().is_some_and(|uid| self.leaving.insert(uid)));
            let leaving: Vec<String> = begun.map(|pod| pod.name_any()).collect();
            let moments = self.members.entry(name.clone()).or_default();
            if !leaving.is_empty() || moments.last().is_none_or(|last| last.ready != ready) {
                moments.push(Members { at_us, ready, leaving });
            }
        }
    }

    pub fn of(&self, workload: &str) -> &[Members] {
        self.members.get(workload).map_or(&[], Vec::as_slice)
    }

    /// How few were ready when a member had just begun to leave; `None` when none ever did.
    pub fn after_leaving(&self, workload: &str) -> Option<u32> {
        self.of(workload).iter().filter(|members| !members.leaving.is_empty()).map(|members| members.ready).min()
    }
}

/// Ready members of a quorum's workload.
pub fn ready_members(deployment: Deployment<'_>, quorum: &Quorum, snapshot: &Snapshot) -> Option<u32> {
    let workload = deployment.workload(&quorum.workload.value)?;
    let ready = ready::pods_of(workload, snapshot).iter().filter(|pod| ready::is_ready(pod)).count();
    u32::try_from(ready).ok()
}

/// Watches until it is dropped; `seen` is what it has seen.
pub struct Watcher {
    seen: Mutex<Seen>,
    disturbances: Mutex<Vec<Began>>,
}

impl Watcher {
    pub fn new() -> Self {
        Self { seen: Mutex::default(), disturbances: Mutex::default() }
    }

    /// Takes every change of the view into account; never ends by itself.
    pub async fn run(&self, deployment: Deployment<'_>, view: &View) {
        let mut changes = view.changes();
        view.complete().await;
        loop {
            changes.mark_unchanged();
            self.lock().see(deployment, &view.snapshot(), now_us());
            // The sender lives as long as the view.
            let _ = changes.changed().await;
        }
    }

    /// Something is done to the cluster from now on.
    pub fn began(&self, what: &str) {
        let began = Began { at_us: now_us(), what: what.to_owned() };
        self.disturbances.lock().unwrap_or_else(PoisonError::into_inner).push(began);
    }

    pub fn disturbances(&self) -> Vec<Began> {
        self.disturbances.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::sync::Arc;

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

    /// What was seen of a workload, a second apart: how many were ready, and how many began to leave.
    fn seen(moments: &[&str]) -> Vec<(u64, u32, usize)> {
        let contract = crate::systems::load("cordum").unwrap().contract;
        let mut seen = Seen::default();
        for (second, moment) in (0..).zip(moments) {
            seen.see(contract.deployment(None).unwrap(), &snapshot(moment), second);
        }
        let of = seen.of("cordum-nats").iter();
        of.map(|members| (members.at_us, members.ready, members.leaving.len())).collect()
    }

    #[test]
    fn a_member_begins_to_leave_once_with_what_it_left_ready() {
        assert_eq!(seen(&["rrr", "lrr", "lrr", "rrr"]), [(0, 3, 0), (1, 2, 1), (3, 3, 0)]);
        assert_eq!(seen(&["rrr", "lrr", "llr"]), [(0, 3, 0), (1, 2, 1), (2, 1, 1)]);
    }

    #[test]
    fn members_that_fail_by_themselves_leave_nothing() {
        assert_eq!(seen(&["rrr", "lrr", "lur", "rrr"]), [(0, 3, 0), (1, 2, 1), (2, 1, 0), (3, 3, 0)]);
        assert_eq!(seen(&["rrr", "rur"]), [(0, 3, 0), (1, 2, 0)]);
    }

    #[test]
    fn an_eviction_while_others_were_down_is_seen_with_them() {
        assert_eq!(seen(&["rur", "lur"]), [(0, 2, 0), (1, 1, 1)]);
    }
}
