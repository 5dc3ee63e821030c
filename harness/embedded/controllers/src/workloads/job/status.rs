//! Counters and conditions of a Job, and the release of pods that are counted.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use embedded_apimachinery::resource::JOBS;
use embedded_apimachinery::{Object, timestamp};
use serde_json::{Map, Value, json};

use super::tally::{Tally, uncounted};
use super::verdict::Verdict;
use super::{TRACKING, is_indexed, is_suspended, released};
use crate::runtime::{Action, Plan};
use crate::workloads::status::{drop_zeros, set_status};

/// Counts what has ended and says how the Job stands.
pub fn settle(job: &Object, tally: &Tally, verdict: Option<Verdict>, now: DateTime<Utc>) -> Plan {
    let mut ledger = Ledger::of(job, tally, verdict.as_ref());
    let mut story = Story::of(job, now);
    let over = tally.active.is_empty() && tally.terminating == 0 && ledger.is_balanced();
    match &verdict {
        Some(verdict) => story.conclude(job, verdict, over),
        None => story.follow_suspension(job),
    }
    let mut actions = Vec::new();
    if !ledger.to_note.is_empty() {
        actions.extend(set_status(JOBS, job, ledger.noted(job)));
    }
    actions.append(&mut ledger.to_release);
    let mut status = ledger.counters(job, tally);
    let conditions = story.conditions;
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    for (field, time) in [("startTime", story.start), ("completionTime", story.completion)] {
        if let Some(time) = time {
            status[field] = time.into();
        }
    }
    // What was noted is in the counters now, so this differs from what the first write left.
    if actions.is_empty() {
        actions.extend(set_status(JOBS, job, status));
    } else {
        actions.push(Action::set_status(JOBS, job, status));
    }
    actions.extend(story.events);
    Plan::of(actions)
}

/// Which pods are to be counted, step by step.
struct Ledger {
    /// Uids by counter that the status does not have yet.
    to_note: Vec<(&'static str, String)>,
    to_release: Vec<Action>,
    /// Uids that the counters take over.
    counted: Vec<(&'static str, String)>,
}

impl Ledger {
    fn of(job: &Value, tally: &Tally, verdict: Option<&Verdict>) -> Self {
        let new = |pods: &[Object], kind: &'static str| -> Vec<(&'static str, String)> {
            pods.iter().map(|pod| (kind, object::uid(pod).to_owned())).collect()
        };
        let mut to_note = new(&tally.newly_succeeded, "succeeded");
        to_note.extend(new(&tally.newly_failed, "failed"));
        if verdict.is_some_and(|verdict| !verdict.succeeds) {
            to_note.extend(new(&cut_short(job, tally), "failed"));
        }
        let mut counted: Vec<_> = uncounted(job, "succeeded").map(|uid| ("succeeded", uid.to_owned())).collect();
        counted.extend(uncounted(job, "failed").map(|uid| ("failed", uid.to_owned())));
        counted.extend(to_note.iter().cloned());
        let known: HashSet<&str> = counted.iter().map(|(_, uid)| uid.as_str()).collect();
        // Failures that a policy ignores are not counted but need not be held either; nor is anything once all is over.
        let over = verdict.is_some() || object::is_deleting(job);
        let done = |pod: &&Object| over || known.contains(object::uid(pod)) || object::pod_is_terminal(pod);
        let held = tally.all.iter().filter(|pod| object::has_finalizer(pod, TRACKING));
        let to_release = held.filter(done).filter_map(|pod| released(pod)).collect();
        Self { to_note, to_release, counted }
    }

    /// Whether there is nothing left to count.
    fn is_balanced(&self) -> bool {
        self.counted.is_empty() && self.to_release.is_empty()
    }

    /// The status with the uids of pods that are about to be let go.
    fn noted(&self, job: &Value) -> Value {
        let mut status = job.get("status").cloned().unwrap_or_else(|| json!({}));
        let mut uids = Map::new();
        for (kind, uid) in &self.counted {
            let list = uids.entry(*kind).or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.push(uid.as_str().into());
            }
        }
        status["uncountedTerminatedPods"] = uids.into();
        status
    }

    fn counters(&self, job: &Value, tally: &Tally) -> Value {
        let of = |kind: &str| {
            let new = self.counted.iter().filter(|(k, _)| *k == kind).count();
            int_at(job, &format!("/status/{kind}")).unwrap_or(0) + i64::try_from(new).unwrap_or(0)
        };
        let succeeded = if is_indexed(job) { tally.succeeded } else { of("succeeded") };
        let mut status = json!({"active": tally.active.len(), "succeeded": succeeded, "failed": of("failed")});
        drop_zeros(&mut status);
        if !tally.succeeded_indexes.text().is_empty() {
            status["completedIndexes"] = tally.succeeded_indexes.text().into();
        }
        if int_at(job, "/spec/backoffLimitPerIndex").is_some() {
            status["failedIndexes"] = tally.failed_indexes.text().into();
        }
        status["ready"] = tally.ready.into();
        status["terminating"] = tally.terminating.into();
        status["uncountedTerminatedPods"] = json!({});
        status
    }
}

/// Pods that the failure of their Job ends before they ended by themselves: they count as failed.
fn cut_short(job: &Value, tally: &Tally) -> Vec<Object> {
    let known = |pod: &Value| {
        let uid = object::uid(pod);
        tally.newly_failed.iter().any(|p| object::uid(p) == uid) || uncounted(job, "failed").any(|u| u == uid)
    };
    let held = tally.all.iter().filter(|pod| object::has_finalizer(pod, TRACKING) && !object::pod_is_terminal(pod));
    held.filter(|pod| !known(pod)).cloned().collect()
}

/// Conditions, times and events.
struct Story {
    conditions: Vec<Value>,
    start: Option<String>,
    completion: Option<String>,
    events: Vec<Action>,
    now: String,
}

impl Story {
    fn of(job: &Value, now: DateTime<Utc>) -> Self {
        let now = timestamp::format(now);
        let time = |field: &str| Some(str_at(job, field).to_owned()).filter(|t| !t.is_empty());
        let start = time("/status/startTime").or_else(|| (!is_suspended(job)).then(|| now.clone()));
        Self {
            conditions: list_at(job, "/status/conditions").to_vec(),
            start,
            completion: time("/status/completionTime"),
            events: Vec::new(),
            now,
        }
    }

    /// Notes the verdict, and the end once the last pod is gone.
    fn conclude(&mut self, job: &Object, verdict: &Verdict, over: bool) {
        let (target, end) = verdict.conditions();
        self.set(target, "True", &verdict.reason, &verdict.message);
        if !over {
            return;
        }
        self.set(end, "True", &verdict.reason, &verdict.message);
        if verdict.succeeds {
            self.completion = Some(self.now.clone());
            self.events.push(Action::normal(job, "Completed", "Job completed"));
        } else {
            let reason = known_reason(&verdict.reason);
            self.events.push(Action::warning(job, reason, verdict.message.clone()));
        }
    }

    fn follow_suspension(&mut self, job: &Object) {
        let suspended = object::condition_is_true(job, "Suspended");
        if is_suspended(job) && !suspended {
            self.set("Suspended", "True", "JobSuspended", "Job suspended");
            self.start = None;
            self.events.push(Action::normal(job, "Suspended", "Job suspended"));
        } else if !is_suspended(job) && suspended {
            self.set("Suspended", "False", "JobResumed", "Job resumed");
            self.start = Some(self.now.clone());
            self.events.push(Action::normal(job, "Resumed", "Job resumed"));
        }
    }

    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let known = self.conditions.iter().position(|c| str_at(c, "/type") == kind);
        if known.is_some_and(|at| str_at(&self.conditions[at], "/status") == status) {
            return;
        }
        let condition = json!({"type": kind, "status": status, "lastProbeTime": self.now,
            "lastTransitionTime": self.now, "reason": reason, "message": message});
        match known {
            Some(at) => self.conditions[at] = condition,
            None => self.conditions.push(condition),
        }
    }
}

/// Events have constant reasons; verdicts that were read back from a status have text.
fn known_reason(reason: &str) -> &'static str {
    let known =
        ["BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy", "FailedIndexes", "MaxFailedIndexesExceeded"];
    known.into_iter().find(|known| *known == reason).unwrap_or("JobFailed")
}
