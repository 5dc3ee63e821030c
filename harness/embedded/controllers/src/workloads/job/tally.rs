//! What the pods of a Job amount to.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use embedded_apimachinery::{Object, timestamp};
use serde_json::Value;

use super::failure_policy::{self, Effect};
use super::indexes::Indexes;
use super::{TRACKING, index_of, is_indexed, replaces_only_failed};
use crate::workloads::pods;

/// How often the pods of an index failed before this one.
pub const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

#[derive(Debug, Default)]
pub struct Tally {
    /// Everything the Job owns.
    pub all: Vec<Object>,
    pub active: Vec<Object>,
    pub ready: usize,
    pub terminating: usize,
    /// Ended, and not noted in the status yet.
    pub newly_succeeded: Vec<Object>,
    pub newly_failed: Vec<Object>,
    /// All that ever succeeded: pods, or with completion indexes those.
    pub succeeded: i64,
    pub failed: i64,
    pub succeeded_indexes: Indexes,
    /// Indexes that are given up (`backoffLimitPerIndex`).
    pub failed_indexes: Indexes,
    /// Failures by index.
    pub index_failures: BTreeMap<i64, i64>,
}

impl Tally {
    pub fn of(job: &Value, owned: &[Object]) -> Self {
        let noted: HashSet<&str> = uncounted(job, "succeeded").chain(uncounted(job, "failed")).collect();
        let is_new = |pod: &Value| object::has_finalizer(pod, TRACKING) && !noted.contains(object::uid(pod));
        let mut tally = Self { all: owned.to_vec(), ..Self::default() };
        for pod in owned {
            if pods::is_active(pod) {
                tally.ready += usize::from(object::pod_is_ready(pod));
                tally.active.push(pod.clone());
            } else if pods::is_terminating(pod) {
                tally.terminating += 1;
            }
            if is_new(pod) && str_at(pod, "/status/phase") == "Succeeded" {
                tally.newly_succeeded.push(pod.clone());
            } else if is_new(pod) && has_failed(job, pod) {
                tally.newly_failed.push(pod.clone());
            }
        }
        tally.newly_failed.retain(|pod| failure_policy::effect(job, pod) != Effect::Ignored);
        let total = |counter: &str, new: usize| {
            let before = int_at(job, &format!("/status/{counter}")).unwrap_or(0);
            before + count(uncounted(job, counter).count()) + count(new)
        };
        tally.succeeded = total("succeeded", tally.newly_succeeded.len());
        tally.failed = total("failed", tally.newly_failed.len());
        if is_indexed(job) {
            tally.count_indexes(job);
        }
        tally
    }

    fn count_indexes(&mut self, job: &Value) {
        let completions = int_at(job, "/spec/completions").unwrap_or(0);
        let below = |index: &i64| *index < completions;
        self.succeeded_indexes = Indexes::parse(str_at(job, "/status/completedIndexes"), completions);
        let new = self.newly_succeeded.iter().filter_map(|pod| index_of(pod)).filter(below);
        new.for_each(|index| self.succeeded_indexes.insert(index));
        self.succeeded = count(self.succeeded_indexes.len());
        let Some(limit) = int_at(job, "/spec/backoffLimitPerIndex") else { return };
        self.failed_indexes = Indexes::parse(str_at(job, "/status/failedIndexes"), completions);
        for pod in self.all.iter().filter(|pod| has_failed(job, pod)) {
            let Some(index) = index_of(pod).filter(below) else { continue };
            let effect = failure_policy::effect(job, pod);
            let before = object::annotation(pod, INDEX_FAILURES).and_then(|v| v.parse().ok()).unwrap_or(0);
            let failures = before + i64::from(effect != Effect::Ignored);
            let known = self.index_failures.entry(index).or_default();
            *known = failures.max(*known);
            if !self.succeeded_indexes.contains(index) && (failures > limit || effect == Effect::FailIndex) {
                self.failed_indexes.insert(index);
            }
        }
    }

    /// How many pods failed since the last that succeeded, and when the last one did.
    pub fn recent_failures(&self, job: &Value, now: DateTime<Utc>) -> (u32, Option<DateTime<Utc>>) {
        let ended = |pods: &dyn Fn(&Value) -> bool| -> Vec<DateTime<Utc>> {
            self.all.iter().filter(|pod| pods(pod)).map(|pod| finished_at(pod).unwrap_or(now)).collect()
        };
        let last_success = ended(&|pod| str_at(pod, "/status/phase") == "Succeeded").into_iter().max();
        let failures = ended(&|pod| has_failed(job, pod) && failure_policy::effect(job, pod) != Effect::Ignored);
        let recent: Vec<_> =
            failures.into_iter().filter(|at| last_success.is_none_or(|success| *at > success)).collect();
        (u32::try_from(recent.len()).unwrap_or(u32::MAX), recent.into_iter().max())
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Uids of pods that have ended but that the counters do not have yet.
pub fn uncounted<'a>(job: &'a Value, kind: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    list_at(job, &format!("/status/uncountedTerminatedPods/{kind}")).iter().filter_map(Value::as_str)
}

/// Pods that are going away count as failed, since some never get to a final phase; unless the Job says otherwise.
pub fn has_failed(job: &Value, pod: &Value) -> bool {
    match str_at(pod, "/status/phase") {
        "Failed" => true,
        "Succeeded" => false,
        _ => object::is_deleting(pod) && !replaces_only_failed(job) && object::has_finalizer(pod, TRACKING),
    }
}

/// When the last container of a pod ended.
fn finished_at(pod: &Value) -> Option<DateTime<Utc>> {
    let statuses = list_at(pod, "/status/containerStatuses").iter();
    let ends = statuses.filter_map(|s| timestamp::parse(str_at(s, "/state/terminated/finishedAt")));
    let changed = || object::condition(pod, "Ready").and_then(|c| timestamp::parse(str_at(c, "/lastTransitionTime")));
    ends.max().or_else(changed).or_else(|| timestamp::parse(object::deletion_timestamp(pod)?))
}
