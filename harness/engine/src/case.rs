//! The evidence of one scenario: what is collected while a fault is in place, what afterwards, and what pods wrote that
//! are gone by then. All of it shares one bound.

use crate::evidence::{Collector, Target};
use crate::folder::Folder;
use gauntlet_cluster::evidence::{Bounds, keep_logs};
use gauntlet_cluster::{Access, Cluster};
use k8s_openapi::api::core::v1::Pod;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A fault lasts this much longer at the most, so that it can be looked at.
const DURING_A_FAULT: Duration = Duration::from_secs(20);

/// Where logs of pods are that went while the scenario ran.
const GONE: &str = "logs/gone";

pub(crate) struct Case {
    scenario: String,
    folder: PathBuf,
    collector: Collector,
    /// Of a scenario that passes, too.
    all: bool,
    state: Mutex<State>,
}

struct State {
    reasons: Reasons,
    room: Room,
}

/// Bytes that are left for all collections together.
struct Room(usize);

impl Room {
    /// The bounds of a collection that may take a part of what is left.
    fn bounds(&self, of_all: Bounds, part: usize) -> Bounds {
        let all = self.0 / part;
        Bounds { all, file: of_all.file.min(all), ..of_all }
    }

    fn take(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }
}

/// Why evidence is wanted before a fault is healed: afterwards the cause is gone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Reasons {
    /// Something looks broken, and nothing was collected since.
    suspicion: bool,
    /// A fault is in place of which nothing was collected.
    fault: bool,
    collected: usize,
}

impl Reasons {
    /// Where to collect to, if that is wanted: each time somewhere else.
    fn take(&mut self, all: bool) -> Option<String> {
        (self.suspicion || (all && self.fault)).then(|| self.next())
    }

    fn next(&mut self) -> String {
        let collected = self.collected + 1;
        *self = Self { collected, ..Self::default() };
        if collected == 1 { "during-the-fault".to_owned() } else { format!("during-the-fault-{collected}") }
    }
}

impl Case {
    pub fn new(scenario: &str, collector: Collector, all: bool) -> Self {
        let state = State { reasons: Reasons::default(), room: Room(collector.bounds().all) };
        let folder = Folder::evidence(scenario);
        Self { scenario: scenario.to_owned(), folder, collector, all, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something looks broken: it is looked at before the next fault is healed.
    pub fn suspect(&self) {
        self.state().reasons.suspicion = true;
    }

    pub fn injected(&self) {
        self.state().reasons.fault = true;
    }

    /// Collects, where that is wanted, what will be gone when the fault is healed.
    pub async fn before_healing(&self, cluster: &dyn Cluster) {
        let part = self.state().reasons.take(self.all);
        if let Some(part) = part {
            self.during(cluster, &part).await;
        }
    }

    /// The scenario broke off with a fault in place.
    pub async fn broken_off(&self, cluster: &dyn Cluster) {
        let part = self.state().reasons.next();
        self.during(cluster, &part).await;
    }

    async fn during(&self, cluster: &dyn Cluster, part: &str) {
        // What comes afterwards needs room too.
        let bounds = Bounds { within: DURING_A_FAULT, ..self.bounds(2) };
        self.collect(cluster, &self.folder.join(part), bounds).await;
    }

    /// Collects when all is over. The folder of everything that was collected.
    pub async fn afterwards(&self, cluster: &dyn Cluster) -> String {
        self.collect(cluster, &self.folder, self.bounds(1)).await;
        self.folder.display().to_string()
    }

    async fn collect(&self, cluster: &dyn Cluster, folder: &Path, bounds: Bounds) {
        let target = Target { folder, scenario: Some(&self.scenario), bounds };
        let taken = self.collector.collect(cluster, target).await;
        self.took(taken);
    }

    /// What is left, or a part of it.
    fn bounds(&self, part: usize) -> Bounds {
        self.state().room.bounds(self.collector.bounds(), part)
    }

    fn took(&self, bytes: usize) {
        self.state().room.take(bytes);
    }

    /// Keeps what a pod wrote that is about to be gone.
    pub async fn pod_goes(&self, access: &Access, pod: &Pod) {
        let folder = self.collector.path(&self.folder.join(GONE));
        let room = self.bounds(8).file;
        let taken = keep_logs(access, pod, &folder, self.collector.redactor(), room).await;
        self.took(taken);
    }

    /// All went well: what was kept in case it did not is removed. The folder, where something was collected that has been
    /// told already.
    pub fn forget(&self) -> Option<String> {
        let folder = self.collector.path(&self.folder);
        // What is not there was never kept; folders stay in which there is something else.
        let _ = std::fs::remove_dir_all(folder.join(GONE));
        let _ = std::fs::remove_dir(folder.join("logs"));
        let _ = std::fs::remove_dir(&folder);
        (self.state().reasons.collected > 0).then(|| self.folder.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was collected before each heal. `s`: something looks broken, `f`: a fault, `h`: it is healed.
    fn collected(all: bool, story: &str) -> Vec<String> {
        let mut reasons = Reasons::default();
        let mut collected = Vec::new();
        for step in story.chars() {
            match step {
                's' => reasons.suspicion = true,
                'f' => reasons.fault = true,
                _ => collected.extend(reasons.take(all)),
            }
        }
        collected
    }

    #[test]
    fn all_collections_together_stay_within_the_bound_of_one() {
        let bounds = Bounds::of_bytes(1_000_000);
        let mut room = Room(bounds.all);
        let mut taken = 0;
        for part in [2, 2, 8, 1] {
            let some = room.bounds(bounds, part).all;
            assert!(some > 0);
            room.take(some);
            taken += some;
        }
        assert_eq!(taken, bounds.all);
        assert_eq!(room.bounds(bounds, 1).file, 0);
    }

    #[test]
    fn what_looks_broken_is_looked_at_once_before_the_fault_is_healed() {
        let (first, second) = ("during-the-fault", "during-the-fault-2");
        for (all, story, expected) in [
            (false, "fh", &[][..]),
            (false, "fsh", &[first]),
            // It was seen to be broken before the fault.
            (false, "sfhfh", &[first]),
            (false, "fshfsh", &[first, second]),
            // Two faults at once, healed one after the other.
            (false, "ffshh", &[first]),
            (true, "fhfh", &[first, second]),
            (true, "ffhh", &[first]),
            (true, "fsh", &[first]),
        ] {
            assert_eq!(collected(all, story), expected, "{all} {story}");
        }
    }
}
