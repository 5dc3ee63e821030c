//! What a StatefulSet does next: fill its ordinals from the lowest, remove what is too much from the highest, then
//! update from the highest. With `OrderedReady`, nothing happens past a pod that is not ready.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, str_at};
use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{Object, intstr};
use serde_json::Value;

use super::{claims, identity, is_rolling, is_running_and_ready, min_ready_seconds, replicas, start_ordinal};
use crate::runtime::{Action, Report, View};
use crate::workloads::pods;
use crate::workloads::revisions::{Revision, label_of};

/// Writes of one look at the most, so that a large set does not keep others waiting; they bring the set up again.
const BURST: usize = 64;

pub struct Round<'a> {
    pub view: &'a View,
    pub set: &'a Object,
    pub current: &'a Revision,
    pub update: &'a Revision,
    /// By ordinal.
    pub pods: BTreeMap<i64, &'a Object>,
    pub now: DateTime<Utc>,
}

/// Whether to go on to what comes after.
#[derive(PartialEq)]
enum Then {
    GoOn,
    Stop,
}

pub fn next(round: &Round<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    if round.fill(&mut actions) == Then::GoOn && round.shrink(&mut actions) == Then::GoOn && is_rolling(round.set) {
        round.roll(&mut actions);
    }
    actions
}

impl Round<'_> {
    fn is_ordered(&self) -> bool {
        str_at(self.set, "/spec/podManagementPolicy") != "Parallel"
    }

    fn pod_at(&self, ordinal: i64) -> Option<&Object> {
        self.pods.get(&ordinal).copied()
    }

    fn ordinals(&self) -> std::ops::Range<i64> {
        start_ordinal(self.set)..start_ordinal(self.set) + replicas(self.set)
    }

    /// Pods whose ordinals are not wanted, from the highest.
    fn condemned(&self) -> Vec<(i64, &Object)> {
        let all = self.pods.iter().rev().map(|(ordinal, pod)| (*ordinal, *pod));
        all.filter(|(ordinal, _)| !identity::in_range(self.set, *ordinal)).collect()
    }

    fn is_available(&self, pod: &Value) -> bool {
        is_running_and_ready(pod) && pods::is_available(pod, min_ready_seconds(self.set), self.now)
    }

    fn fill(&self, actions: &mut Vec<Action>) -> Then {
        let mut then = Then::GoOn;
        for ordinal in self.ordinals() {
            if actions.len() >= BURST {
                return Then::Stop;
            }
            if self.tend(ordinal, actions) == Then::Stop {
                then = Then::Stop;
                if self.is_ordered() {
                    break;
                }
            }
        }
        then
    }

    /// Looks after one ordinal that is wanted.
    fn tend(&self, ordinal: i64, actions: &mut Vec<Action>) -> Then {
        let Some(pod) = self.pod_at(ordinal) else {
            let Some(claims) = claims::missing(self.view, self.set, ordinal) else { return Then::Stop };
            actions.extend(claims);
            actions.push(self.create(ordinal));
            return if self.is_ordered() { Then::Stop } else { Then::GoOn };
        };
        if object::pod_is_terminal(pod) {
            if !object::is_deleting(pod) {
                actions.push(self.note_replacement(pod));
                actions.push(self.delete(pod));
            }
            return Then::Stop;
        }
        if str_at(pod, "/status/phase") == "Pending" && !object::is_deleting(pod) {
            actions.extend(claims::missing(self.view, self.set, ordinal).unwrap_or_default());
        }
        if self.is_ordered() && (object::is_deleting(pod) || !self.is_available(pod)) {
            return Then::Stop;
        }
        actions.extend(claims::disowned(self.view, self.set, pod, ordinal));
        if let Some(restored) = identity::restored(self.set, pod, ordinal) {
            actions.push(Action::update(PODS, restored).reported(self.report("Update", object::name(pod))));
        }
        Then::GoOn
    }

    fn shrink(&self, actions: &mut Vec<Action>) -> Then {
        let condemned = self.condemned();
        for (ordinal, pod) in &condemned {
            actions.extend(claims::disowned(self.view, self.set, pod, *ordinal));
        }
        for (_, pod) in &condemned {
            if object::is_deleting(pod) {
                if self.is_ordered() {
                    return Then::Stop;
                }
                continue;
            }
            if self.is_ordered() && !self.is_available(pod) && !self.is_first_unhealthy(pod) {
                return Then::Stop;
            }
            actions.push(self.delete(pod));
            if self.is_ordered() {
                return Then::Stop;
            }
        }
        Then::GoOn
    }

    /// Whether every pod before this one is healthy, so that it alone holds everything up and may go.
    fn is_first_unhealthy(&self, pod: &Object) -> bool {
        let healthy = |pod: &Object| is_running_and_ready(pod) && !object::is_deleting(pod);
        let wanted = self.ordinals().all(|ordinal| self.pod_at(ordinal).is_some_and(healthy));
        let first = self.condemned().into_iter().rev().find(|(_, pod)| !healthy(pod));
        wanted && first.is_some_and(|(_, first)| object::name(first) == object::name(pod))
    }

    /// Removes pods of other revisions from the highest ordinal down to the partition, as many at a time as may be
    /// unavailable.
    fn roll(&self, actions: &mut Vec<Action>) {
        let ordinals = self.ordinals();
        let lowest = ordinals.start + self.partition();
        let most = self.max_unavailable();
        let mut unavailable = 0;
        for ordinal in (lowest..ordinals.end).rev() {
            if unavailable >= most {
                return;
            }
            let Some(pod) = self.pod_at(ordinal) else { continue };
            let outdated = label_of(pod) != self.update.name;
            if outdated && !object::is_deleting(pod) {
                actions.push(self.delete(pod));
                unavailable += 1;
            } else if object::is_deleting(pod) || !self.is_available(pod) {
                unavailable += 1;
            }
        }
    }

    fn partition(&self) -> i64 {
        int_at(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0)
    }

    fn max_unavailable(&self) -> i64 {
        let value = self.set.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable");
        value.and_then(|v| intstr::scaled(v, replicas(self.set), true)).unwrap_or(1).max(1)
    }

    /// Below the partition pods stay at the revision they had.
    fn create(&self, ordinal: i64) -> Action {
        let stays = is_rolling(self.set) && ordinal < start_ordinal(self.set) + self.partition();
        let revision = if stays { self.current } else { self.update };
        let pod = identity::new_pod(self.set, revision, ordinal);
        let report = self.report("Create", object::name(&pod));
        Action::create(PODS, pod).reported(report)
    }

    fn delete(&self, pod: &Object) -> Action {
        Action::delete(PODS, pod).reported(self.report("Delete", object::name(pod)))
    }

    fn note_replacement(&self, pod: &Object) -> Action {
        let set = format!("{}/{}", object::namespace(self.set), object::name(self.set));
        let name = object::name(pod);
        if str_at(pod, "/status/phase") == "Failed" {
            let message = format!("StatefulSet {set} is recreating failed Pod {name}");
            Action::warning(self.set, "RecreatingFailedPod", message)
        } else {
            let message = format!("StatefulSet {set} is recreating terminated Pod {name}");
            Action::normal(self.set, "RecreatingTerminatedPod", message)
        }
    }

    fn report(&self, verb: &'static str, pod: &str) -> Report {
        let (done, failed) = match verb {
            "Create" => ("SuccessfulCreate", "FailedCreate"),
            "Update" => ("SuccessfulUpdate", "FailedUpdate"),
            _ => ("SuccessfulDelete", "FailedDelete"),
        };
        let what = format!("{verb} Pod {pod} in StatefulSet {}", object::name(self.set));
        Report {
            about: self.set.clone(),
            done: (done, format!("{what} successful")),
            failed: (failed, format!("{what} failed error: {{error}}")),
        }
    }
}
