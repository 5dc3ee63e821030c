//! Pods that a Job makes and removes while it is not over.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use embedded_apimachinery::Object;
use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use serde_json::{Value, json};

use super::tally::{INDEX_FAILURES, Tally};
use super::{INDEX, TRACKING, index_of, is_indexed, is_suspended, released, replaces_only_failed};
use crate::runtime::{Action, Plan};
use crate::workloads::pods;

/// Pods made or removed in one look.
const BURST: usize = 64;
/// Wait after the first failure; doubles with each, up to the longest.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(10);
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(10);

pub fn next(job: &Object, tally: &Tally, now: DateTime<Utc>) -> Plan {
    if is_suspended(job) {
        return Plan::of(tally.active.iter().flat_map(|pod| remove(job, pod)).collect());
    }
    let wanted = wanted(job, tally);
    let surplus = surplus(job, tally, wanted, now);
    if !surplus.is_empty() {
        return Plan::of(surplus.iter().take(BURST).flat_map(|pod| remove(job, pod)).collect());
    }
    let leaving = if replaces_only_failed(job) { tally.terminating } else { 0 };
    let missing = wanted.saturating_sub(tally.active.len() + leaving);
    if missing == 0 {
        return Plan::default();
    }
    if let Some(wait) = wait_after_failure(job, tally, now) {
        return Plan { recheck: wait.to_std().ok(), ..Plan::default() };
    }
    let missing = missing.min(BURST);
    if is_indexed(job) {
        let indexes = pending_indexes(job, tally, missing).into_iter();
        return Plan::of(indexes.map(|index| pods::create(job, indexed_pod(job, tally, index))).collect());
    }
    Plan::of((0..missing).map(|_| pods::create(job, new_pod(job))).collect())
}

/// How many pods should be active now.
fn wanted(job: &Value, tally: &Tally) -> usize {
    let parallelism = int_at(job, "/spec/parallelism").unwrap_or(1);
    let wanted = match int_at(job, "/spec/completions") {
        Some(completions) => {
            let given_up = i64::try_from(tally.failed_indexes.len()).unwrap_or(0);
            parallelism.min(completions - tally.succeeded - given_up)
        }
        // One success is enough: nobody else starts.
        None if tally.succeeded > 0 => return tally.active.len().min(usize::try_from(parallelism).unwrap_or(0)),
        None => parallelism,
    };
    usize::try_from(wanted).unwrap_or(0)
}

/// Pods to remove: those whose index is no longer wanted or taken twice, then as many as are too many.
fn surplus(job: &Value, tally: &Tally, wanted: usize, now: DateTime<Utc>) -> Vec<Object> {
    let mut sorted = tally.active.clone();
    sorted.sort_by_cached_key(|pod| pods::removal_rank(pod, 0, now));
    let (mut removed, mut kept) = (Vec::new(), sorted);
    if is_indexed(job) {
        let completions = int_at(job, "/spec/completions").unwrap_or(0);
        let mut taken = HashSet::new();
        kept.reverse();
        let fits = |pod: &Object| index_of(pod).is_some_and(|index| index < completions && taken.insert(index));
        (kept, removed) = kept.into_iter().partition(fits);
        kept.reverse();
    }
    let more = kept.len().saturating_sub(wanted);
    removed.extend(kept.into_iter().take(more));
    removed
}

/// Removal of a pod that is not wanted any more; it does not count as failed.
fn remove(job: &Object, pod: &Object) -> impl Iterator<Item = Action> + use<> {
    released(pod).into_iter().chain([pods::delete(job, pod)])
}

/// How much longer to wait before the next try.
fn wait_after_failure(job: &Value, tally: &Tally, now: DateTime<Utc>) -> Option<TimeDelta> {
    if int_at(job, "/spec/backoffLimitPerIndex").is_some() {
        return None;
    }
    let (failures, last) = tally.recent_failures(job, now);
    let doublings = failures.checked_sub(1)?.min(10);
    let wait = (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT) - (now - last?);
    (wait > TimeDelta::zero()).then_some(wait)
}

/// The lowest indexes that neither succeeded nor were given up nor have a pod, as many as are `missing`.
fn pending_indexes(job: &Value, tally: &Tally, missing: usize) -> Vec<i64> {
    let only_failed = replaces_only_failed(job);
    let present = tally.all.iter().filter(|pod| pods::is_active(pod) || (only_failed && pods::is_terminating(pod)));
    let taken: HashSet<i64> = present.filter_map(|pod| index_of(pod)).collect();
    let done = |index: i64| tally.succeeded_indexes.contains(index) || tally.failed_indexes.contains(index);
    let all = 0..int_at(job, "/spec/completions").unwrap_or(0);
    all.filter(|index| !taken.contains(index) && !done(*index)).take(missing).collect()
}

fn new_pod(job: &Value) -> Value {
    let mut pod = pods::from_template(job, job.pointer("/spec/template").unwrap_or(&Value::Null));
    let mut finalizers = list_at(&pod, "/metadata/finalizers").to_vec();
    finalizers.push(TRACKING.into());
    object::metadata_mut(&mut pod).insert("finalizers".into(), finalizers.into());
    pod
}

fn indexed_pod(job: &Value, tally: &Tally, index: i64) -> Value {
    let mut pod = new_pod(job);
    let name = format!("{}-{index}", object::name(job));
    object::metadata_mut(&mut pod).insert("generateName".into(), format!("{name}-").into());
    object::set_annotation(&mut pod, INDEX, &index.to_string());
    object::set_label(&mut pod, INDEX, &index.to_string());
    if int_at(job, "/spec/backoffLimitPerIndex").is_some() {
        let failures = tally.index_failures.get(&index).copied().unwrap_or(0);
        object::set_annotation(&mut pod, INDEX_FAILURES, &failures.to_string());
    }
    pod["spec"]["hostname"] = name.into();
    for containers in ["initContainers", "containers"] {
        if let Some(Value::Array(containers)) = pod["spec"].get_mut(containers) {
            containers.iter_mut().for_each(tell_index);
        }
    }
    pod
}

/// Puts the index into the environment of a container, unless the template did.
fn tell_index(container: &mut Value) {
    const VARIABLE: &str = "JOB_COMPLETION_INDEX";
    let mut env = list_at(container, "/env").to_vec();
    if env.iter().any(|variable| str_at(variable, "/name") == VARIABLE) {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    env.push(json!({"name": VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    container["env"] = env.into();
}
