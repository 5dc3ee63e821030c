//! Jobs: pods that run to their end, counted exactly once.
//!
//! - [`tally`]: what the pods of a Job amount to
//! - [`indexes`]: sets of completion indexes, as statuses write them
//! - [`verdict`]: whether and why a Job is over
//! - [`failure_policy`]: what the way a pod failed means for its Job
//! - [`manage`]: pods to make and to remove
//! - [`status`]: counters and conditions, and the release of counted pods
//! - [`ttl`]: removal of Jobs some time after their end
//!
//! A finalizer holds every pod until its end is counted. Counting has three steps that can be interrupted anywhere: the
//! pods' uids go into `status.uncountedTerminatedPods`, their finalizers go, the counters take them over.
//! The rules are those of k8s.io/kubernetes/pkg/controller/job.

mod failure_policy;
mod indexes;
mod manage;
mod status;
mod tally;
#[cfg(test)]
mod tests;
pub mod ttl;
mod verdict;

use std::time::Duration;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, bool_at, int_at, str_at};
use embedded_apimachinery::resource::{JOBS, PODS};
use embedded_apimachinery::{GroupResource, Object, ObjectKey, timestamp};
use serde_json::Value;

use super::pods;
use crate::runtime::claim::claim;
use crate::runtime::{Action, Change, Controller, Outcome, Plan, View};
use tally::Tally;

/// Holds a pod until its Job has counted it.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

pub struct Jobs;

impl Controller for Jobs {
    fn component(&self) -> &'static str {
        "job-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![JOBS, PODS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == JOBS {
            return vec![change.key()];
        }
        let mut keys = pods::keys_of_owners(view, change, &JOBS, "Job");
        // Nobody counts a pod whose Job let go of it: its name brings it to `strays`.
        if let Some(pod) = change.after.as_deref().filter(|pod| object::has_finalizer(pod, TRACKING))
            && let Some(job) = object::label(pod, JOB_NAME)
        {
            keys.push(ObjectKey::new(object::namespace(pod), job));
        }
        keys
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let job = view.get(&JOBS, key);
        let strays = strays(view, key, job);
        if !strays.is_empty() {
            return Plan::of(strays);
        }
        let Some(job) = job.filter(|job| is_ours(job) && !is_finished(job) && !object::is_deleting(job)) else {
            return Plan::default();
        };
        let claim = claim(view, job, &PODS, |_| true);
        if !claim.actions.is_empty() {
            return Plan::of(claim.actions);
        }
        let tally = Tally::of(job, &claim.owned);
        match verdict::of(job, &tally, now) {
            Some(_) => Plan::of(tally.active.iter().map(|pod| pods::delete(job, pod)).collect()),
            None => manage::next(job, &tally, now),
        }
    }

    fn settle(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>, _outcome: &Outcome) -> Plan {
        let Some(job) = view.get(&JOBS, key).filter(|job| is_ours(job)) else { return Plan::default() };
        let owned = claim(view, job, &PODS, |_| true).owned;
        if is_finished(job) {
            return Plan::of(owned.iter().filter_map(|pod| released(pod)).collect());
        }
        let tally = Tally::of(job, &owned);
        let verdict = verdict::of(job, &tally, now);
        let deadline = deadline(job).filter(|_| verdict.is_none());
        let mut plan = status::settle(job, &tally, verdict, now);
        if let Some(deadline) = deadline {
            plan.recheck_after((deadline - now).to_std().unwrap_or(Duration::ZERO));
        }
        plan
    }
}

/// Lets go of pods that no Job of this name will ever count.
fn strays(view: &View, key: &ObjectKey, job: Option<&Object>) -> Vec<Action> {
    let counted = |pod: &Value| match object::controller_ref(pod) {
        Some(owner) => job.is_some_and(|job| str_at(owner, "/uid") == object::uid(job)),
        // May still be adopted.
        None => job.is_some_and(|job| pods::selects(job, pod)),
    };
    let named = view.list(&PODS, &key.namespace).filter(|pod| object::label(pod, JOB_NAME) == Some(&key.name));
    named.filter(|pod| !counted(pod)).filter_map(|pod| released(pod)).collect()
}

/// The removal of the tracking finalizer, if the pod has it.
fn released(pod: &Value) -> Option<Action> {
    if !object::has_finalizer(pod, TRACKING) {
        return None;
    }
    let mut pod = pod.clone();
    let metadata = object::metadata_mut(&mut pod);
    if let Some(Value::Array(finalizers)) = metadata.get_mut("finalizers") {
        finalizers.retain(|f| f.as_str() != Some(TRACKING));
        if finalizers.is_empty() {
            metadata.shift_remove("finalizers");
        }
    }
    Some(Action::update(PODS, pod))
}

pub fn is_finished(job: &Value) -> bool {
    finish(job).is_some()
}

/// The condition that ended a Job.
pub fn finish(job: &Value) -> Option<&Value> {
    ["Complete", "Failed"]
        .into_iter()
        .filter_map(|kind| object::condition(job, kind))
        .find(|c| str_at(c, "/status") == "True")
}

/// Whether no other controller claims the Job in `spec.managedBy`.
fn is_ours(job: &Value) -> bool {
    matches!(str_at(job, "/spec/managedBy"), "" | "kubernetes.io/job-controller")
}

fn is_suspended(job: &Value) -> bool {
    bool_at(job, "/spec/suspend")
}

fn is_indexed(job: &Value) -> bool {
    str_at(job, "/spec/completionMode") == "Indexed"
}

/// Whether only pods that have really failed are replaced and counted, not those that are going away.
fn replaces_only_failed(job: &Value) -> bool {
    str_at(job, "/spec/podReplacementPolicy") == "Failed" || job.pointer("/spec/podFailurePolicy").is_some()
}

/// The completion index of a pod.
fn index_of(pod: &Value) -> Option<i64> {
    object::annotation(pod, INDEX)?.parse().ok()
}

/// When `activeDeadlineSeconds` end.
fn deadline(job: &Value) -> Option<DateTime<Utc>> {
    let seconds = int_at(job, "/spec/activeDeadlineSeconds").filter(|_| !is_suspended(job))?;
    Some(timestamp::later(timestamp::parse(str_at(job, "/status/startTime"))?, seconds))
}
