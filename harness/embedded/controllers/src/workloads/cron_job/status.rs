//! What a CronJob started, and how it ended.

use embedded_apimachinery::object::{self, list_at, str_at};
use embedded_apimachinery::resource::CRON_JOBS;
use embedded_apimachinery::{Object, timestamp};
use serde_json::{Map, Value, json};

use super::{SCHEDULED, active_uids};
use crate::runtime::{Action, Outcome, Plan};
use crate::workloads::job;
use crate::workloads::status::set_status;

pub fn settle(cron_job: &Object, jobs: &[&Object], outcome: &Outcome) -> Plan {
    let mut events = Vec::new();
    let mut active: Vec<Value> = Vec::new();
    for reference in list_at(cron_job, "/status/active") {
        match jobs.iter().find(|job| object::uid(job) == str_at(reference, "/uid")) {
            None => events.push(missing(cron_job, reference)),
            Some(job) => match job::finish(job) {
                None => active.push(reference.clone()),
                Some(end) => events.push(completed(cron_job, job, end)),
            },
        }
    }
    let mut status = Map::new();
    let mut last = str_at(cron_job, "/status/lastScheduleTime").to_owned();
    for job in &outcome.created {
        active.push(reference_to(job));
        let scheduled = object::annotation(job, SCHEDULED).and_then(timestamp::parse);
        last = scheduled.map_or(last, timestamp::format);
    }
    events.extend(unexpected(cron_job, jobs, outcome));
    if !active.is_empty() {
        status.insert("active".into(), active.into());
    }
    for (field, time) in [("lastScheduleTime", last), ("lastSuccessfulTime", last_success(cron_job, jobs))] {
        if !time.is_empty() {
            status.insert(field.into(), time.into());
        }
    }
    let mut actions: Vec<Action> = set_status(CRON_JOBS, cron_job, status.into()).into_iter().collect();
    actions.extend(events);
    Plan::of(actions)
}

fn missing(cron_job: &Object, reference: &Value) -> Action {
    Action::normal(cron_job, "MissingJob", format!("Active job went missing: {}", str_at(reference, "/name")))
}

fn completed(cron_job: &Object, job: &Value, end: &Value) -> Action {
    let message = format!("Saw completed job: {}, condition: {}", object::name(job), str_at(end, "/type"));
    Action::normal(cron_job, "SawCompletedJob", message)
}

/// Unfinished Jobs that carry the CronJob's name as their owner but that it did not start.
fn unexpected(cron_job: &Object, jobs: &[&Object], outcome: &Outcome) -> Vec<Action> {
    let known = |job: &Value| {
        let uid = object::uid(job);
        active_uids(cron_job).any(|u| u == uid) || outcome.created.iter().any(|c| object::uid(c) == uid)
    };
    let strange = jobs.iter().filter(|job| !job::is_finished(job) && !object::is_deleting(job) && !known(job));
    let message =
        |job: &Value| format!("Saw a job that the controller did not create or forgot: {}", object::name(job));
    strange.map(|job| Action::warning(cron_job, "UnexpectedJob", message(job))).collect()
}

/// The newest completion; times of this format sort as texts.
fn last_success(cron_job: &Value, jobs: &[&Object]) -> String {
    let succeeded = jobs.iter().filter(|job| object::condition_is_true(job, "Complete"));
    let times = succeeded.map(|job| str_at(job, "/status/completionTime"));
    times.chain([str_at(cron_job, "/status/lastSuccessfulTime")]).max().unwrap_or_default().to_owned()
}

fn reference_to(job: &Value) -> Value {
    json!({"kind": "Job", "namespace": object::namespace(job), "name": object::name(job), "uid": object::uid(job),
        "apiVersion": "batch/v1", "resourceVersion": str_at(job, "/metadata/resourceVersion")})
}
