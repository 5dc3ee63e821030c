//! CronJobs: a Job at every moment of a schedule.
//!
//! - [`schedule`]: the moments
//! - [`status`]: what was started, and how it ended
//!
//! The rules are those of k8s.io/kubernetes/pkg/controller/cronjob.

mod schedule;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use embedded_apimachinery::object::{self, bool_at, int_at, list_at, str_at};
use embedded_apimachinery::resource::{CRON_JOBS, JOBS};
use embedded_apimachinery::{GroupResource, Object, ObjectKey, timestamp};
use serde_json::{Value, json};

use super::job;
use crate::runtime::{Action, Change, Controller, Outcome, Plan, Report, View};
use schedule::{Problem, Schedule};

/// The moment a Job was meant for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// More missed moments than this are worth a warning.
const MANY_MISSED: i64 = 100;
/// Firing this much late makes sure that the moment has come.
const MARGIN: Duration = Duration::from_millis(100);

pub struct CronJobs;

impl Controller for CronJobs {
    fn component(&self) -> &'static str {
        "cronjob-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![CRON_JOBS, JOBS]
    }

    fn keys(&self, _: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == CRON_JOBS { vec![change.key()] } else { change.owners("CronJob") }
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let Some(cron_job) = view.get(&CRON_JOBS, key).filter(|c| !object::is_deleting(c)) else {
            return Plan::default();
        };
        let jobs: Vec<&Object> = view.controlled_by(&JOBS, object::uid(cron_job)).collect();
        let mut plan = Plan::of(forget_history(cron_job, &jobs));
        if bool_at(cron_job, "/spec/suspend") {
            return plan;
        }
        match Schedule::of(cron_job) {
            Ok(schedule) => {
                plan.actions.extend(fire(cron_job, &jobs, &schedule, now));
                let next = schedule.next(now).and_then(|next| (next - now).to_std().ok());
                plan.recheck = next.map(|wait| wait + MARGIN);
            }
            Err(problem) => plan.push(complain(cron_job, problem)),
        }
        plan
    }

    fn settle(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>, outcome: &Outcome) -> Plan {
        let Some(cron_job) = view.get(&CRON_JOBS, key) else { return Plan::default() };
        let jobs: Vec<&Object> = view.controlled_by(&JOBS, object::uid(cron_job)).collect();
        status::settle(cron_job, &jobs, outcome)
    }
}

fn complain(cron_job: &Object, problem: Problem) -> Action {
    match problem {
        Problem::UnknownTimeZone(zone) => Action::warning(
            cron_job,
            "UnknownTimeZone",
            format!("invalid timeZone: \"{zone}\": unknown time zone {zone}"),
        ),
        Problem::Unparseable(why) => {
            let schedule = str_at(cron_job, "/spec/schedule");
            Action::warning(cron_job, "UnparseableSchedule", format!("unparseable schedule: \"{schedule}\" : {why}"))
        }
    }
}

/// What to do about the newest moment that has come since the last one.
fn fire(cron_job: &Object, jobs: &[&Object], schedule: &Schedule, now: DateTime<Utc>) -> Vec<Action> {
    let last = timestamp::parse(str_at(cron_job, "/status/lastScheduleTime"));
    let created = timestamp::parse(str_at(cron_job, "/metadata/creationTimestamp")).unwrap_or(now);
    let deadline = int_at(cron_job, "/spec/startingDeadlineSeconds").and_then(TimeDelta::try_seconds);
    let oldest = deadline.and_then(|deadline| now.checked_sub_signed(deadline));
    let since = oldest.map_or(last.unwrap_or(created), |oldest| oldest.max(last.unwrap_or(created)));
    let Some(due) = schedule.due(since, now) else { return Vec::new() };
    let mut actions = Vec::new();
    if due.missed > MANY_MISSED {
        let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        actions.push(Action::warning(cron_job, "TooManyMissedTimes", message));
    }
    let job = job_for(cron_job, schedule, due.at);
    let running: Vec<&&Object> = jobs.iter().filter(|job| !job::is_finished(job)).collect();
    if last == Some(due.at) || jobs.iter().any(|known| object::name(known) == object::name(&job)) {
        return actions;
    }
    match str_at(cron_job, "/spec/concurrencyPolicy") {
        "Forbid" if !running.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            actions.push(Action::normal(cron_job, "JobAlreadyActive", message));
            return actions;
        }
        "Replace" => {
            let present = running.into_iter().filter(|job| !object::is_deleting(job));
            actions.extend(present.map(|job| delete(cron_job, job)));
        }
        _ => {}
    }
    let report = Report {
        about: cron_job.clone(),
        done: ("SuccessfulCreate", "Created job {name}".into()),
        failed: ("FailedCreate", "Error creating job: {error}".into()),
    };
    actions.push(Action::create(JOBS, job).reported(report));
    actions
}

/// The Job of one moment. Its name tells the moment, so that there cannot be two.
fn job_for(cron_job: &Object, schedule: &Schedule, at: DateTime<Utc>) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": format!("{}-{}", object::name(cron_job), at.timestamp() / 60),
            "namespace": object::namespace(cron_job),
            "ownerReferences": [object::controller_reference_to(cron_job)]},
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({}))});
    for field in ["labels", "annotations"] {
        if let Some(value) = template.pointer(&format!("/metadata/{field}")) {
            job["metadata"][field] = value.clone();
        }
    }
    object::set_annotation(&mut job, SCHEDULED, &schedule.local(at));
    job
}

/// Removes the oldest finished Jobs beyond the limits.
fn forget_history(cron_job: &Object, jobs: &[&Object]) -> Vec<Action> {
    let surplus = |kind: &str, limit: &str| {
        let limit = int_at(cron_job, limit).and_then(|n| usize::try_from(n).ok());
        let finished = jobs.iter().copied().filter(|job| !object::is_deleting(job));
        let mut finished: Vec<&Object> = finished.filter(|job| object::condition_is_true(job, kind)).collect();
        finished.sort_by_key(|job| (str_at(job, "/status/startTime").to_owned(), object::name(job).to_owned()));
        let surplus = limit.map_or(0, |limit| finished.len().saturating_sub(limit));
        finished.truncate(surplus);
        finished
    };
    let mut gone = surplus("Complete", "/spec/successfulJobsHistoryLimit");
    gone.extend(surplus("Failed", "/spec/failedJobsHistoryLimit"));
    gone.into_iter().map(|job| delete(cron_job, job)).collect()
}

/// Background deletion: the garbage collector takes the pods.
fn delete(cron_job: &Object, job: &Object) -> Action {
    Action::delete(JOBS, job).reported(Report {
        about: cron_job.clone(),
        done: ("SuccessfulDelete", "Deleted job {name}".into()),
        failed: ("FailedDelete", "Deleted job: {error}".into()),
    })
}

/// Uids of the Jobs that `status.active` names.
fn active_uids(cron_job: &Value) -> impl Iterator<Item = &str> {
    list_at(cron_job, "/status/active").iter().map(|r| str_at(r, "/uid"))
}
