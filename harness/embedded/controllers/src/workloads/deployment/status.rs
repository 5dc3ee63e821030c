//! Counters and conditions of a Deployment.

use std::time::Duration;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, bool_at, int_at, list_at, str_at};
use embedded_apimachinery::resource::{DEPLOYMENTS, REPLICA_SETS};
use embedded_apimachinery::timestamp;
use serde_json::{Value, json};

use super::family::{Family, Member};
use super::{counted, is_complete, max_unavailable, replicas};
use crate::runtime::plan::Verb;
use crate::runtime::{Failure, Outcome, Plan};
use crate::workloads::status::{drop_zeros, set_status};

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// Writes the status that follows from the sets as they are now.
pub fn settle(family: &Family<'_>, now: DateTime<Utc>, outcome: &Outcome) -> Plan {
    let deployment = family.deployment;
    let mut conditions = Conditions { list: list_at(deployment, "/status/conditions").to_vec(), now };
    let mut status = counters(family);
    judge_availability(family, &mut conditions);
    if !object::is_deleting(deployment) {
        if bool_at(deployment, "/spec/paused") {
            note_pause(family, &mut conditions);
        } else {
            judge_progress(family, &status, outcome, &mut conditions);
            note_failures(family, &mut conditions);
        }
    }
    let recheck = deadline_in(family, &status, &conditions);
    status["conditions"] = conditions.list.into();
    Plan { actions: set_status(DEPLOYMENTS, deployment, status).into_iter().collect(), recheck }
}

fn counters(family: &Family<'_>) -> Value {
    let sum = |counter: &str| family.all().map(|member| counted(&member.set, counter)).sum::<i64>();
    let wanted: i64 = family.all().map(Member::replicas).sum();
    let mut status = json!({
        "observedGeneration": object::generation(family.deployment),
        "replicas": sum("replicas"),
        "updatedReplicas": family.new.as_ref().map_or(0, |new| counted(&new.set, "replicas")),
        "readyReplicas": sum("readyReplicas"),
        "availableReplicas": sum("availableReplicas"),
        "unavailableReplicas": (wanted - sum("availableReplicas")).max(0),
    });
    drop_zeros(&mut status);
    // Known unless a set has been looked at without saying; one that nobody looked at yet has no pods.
    let known = |member: &Member| {
        let status = member.set.get("status");
        status.is_none_or(|s| s.get("observedGeneration").is_none() || s.get("terminatingReplicas").is_some())
    };
    if family.all().all(known) {
        status["terminatingReplicas"] = sum("terminatingReplicas").into();
    }
    if let Some(collisions) = family.deployment.pointer("/status/collisionCount") {
        status["collisionCount"] = collisions.clone();
    }
    status
}

fn judge_availability(family: &Family<'_>, conditions: &mut Conditions) {
    let available: i64 = family.all().map(Member::available).sum();
    if available >= replicas(family.deployment) - max_unavailable(family.deployment) {
        let message = "Deployment has minimum availability.";
        conditions.set(AVAILABLE, "True", "MinimumReplicasAvailable", message);
    } else {
        let message = "Deployment does not have minimum availability.";
        conditions.set(AVAILABLE, "False", "MinimumReplicasUnavailable", message);
    }
}

fn note_pause(family: &Family<'_>, conditions: &mut Conditions) {
    if progress_deadline(family.deployment).is_some() && conditions.reason(PROGRESSING) != TIMED_OUT {
        conditions.set(PROGRESSING, "Unknown", PAUSED, "Deployment is paused");
    }
}

fn judge_progress(family: &Family<'_>, status: &Value, outcome: &Outcome, conditions: &mut Conditions) {
    let deployment = family.deployment;
    if progress_deadline(deployment).is_none() {
        return conditions.remove(PROGRESSING);
    }
    if conditions.reason(PROGRESSING) == PAUSED {
        conditions.set(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed");
    }
    note_new_set(family, outcome, conditions);
    let counter = |status: &Value, name: &str| status.get(name).and_then(Value::as_i64).unwrap_or(0);
    let was_complete = str_at(object::condition(deployment, PROGRESSING).unwrap_or(&Value::Null), "/reason");
    if counter(status, "replicas") == counter(status, "updatedReplicas") && was_complete == NEW_SET_AVAILABLE {
        return;
    }
    let subject = match &family.new {
        Some(new) => format!("ReplicaSet \"{}\"", new.name()),
        None => format!("Deployment \"{}\"", object::name(deployment)),
    };
    if is_complete(deployment, status) {
        conditions.set(PROGRESSING, "True", NEW_SET_AVAILABLE, &format!("{subject} has successfully progressed."));
    } else if progressed(&deployment["status"], status) {
        conditions.refresh(PROGRESSING, "True", "ReplicaSetUpdated", &format!("{subject} is progressing."));
    } else if timed_out(deployment, conditions) {
        conditions.set(PROGRESSING, "False", TIMED_OUT, &format!("{subject} has timed out progressing."));
    }
}

/// A set that was just made, or could not be, or was there already when the Deployment came.
fn note_new_set(family: &Family<'_>, outcome: &Outcome, conditions: &mut Conditions) {
    let failed = |failure: &&Failure| failure.verb == Verb::Create && failure.resource == REPLICA_SETS;
    if let Some(failure) = outcome.failure.as_ref().filter(failed) {
        let message = format!("Failed to create new replica set \"{}\": {}", family.name_of_new(), failure.status);
        conditions.set(PROGRESSING, "False", "ReplicaSetCreateError", &message);
    }
    let Some(new) = &family.new else { return };
    if outcome.created.iter().any(|set| object::uid(set) == new.uid()) {
        let message = format!("Created new replica set \"{}\"", new.name());
        conditions.set(PROGRESSING, "True", "NewReplicaSetCreated", &message);
    } else if conditions.get(PROGRESSING).is_none() {
        let message = format!("Found new replica set \"{}\"", new.name());
        conditions.set(PROGRESSING, "True", "FoundNewReplicaSet", &message);
    }
}

/// Whether there are more new, ready or available pods than before, or fewer old ones.
fn progressed(before: &Value, after: &Value) -> bool {
    let counter = |status: &Value, name: &str| status.get(name).and_then(Value::as_i64).unwrap_or(0);
    let more = |name: &str| counter(after, name) > counter(before, name);
    let old = |status: &Value| counter(status, "replicas") - counter(status, "updatedReplicas");
    more("updatedReplicas") || old(after) < old(before) || more("readyReplicas") || more("availableReplicas")
}

fn timed_out(deployment: &Value, conditions: &Conditions) -> bool {
    match conditions.reason(PROGRESSING) {
        "" | NEW_SET_AVAILABLE => false,
        TIMED_OUT => true,
        _ => deadline(deployment, conditions).is_some_and(|deadline| deadline < conditions.now),
    }
}

/// `progressDeadlineSeconds`; the largest number stands for none.
fn progress_deadline(deployment: &Value) -> Option<i64> {
    int_at(deployment, "/spec/progressDeadlineSeconds").filter(|n| *n != i64::from(i32::MAX))
}

fn deadline(deployment: &Value, conditions: &Conditions) -> Option<DateTime<Utc>> {
    let last = timestamp::parse(str_at(conditions.get(PROGRESSING)?, "/lastUpdateTime"))?;
    Some(timestamp::later(last, progress_deadline(deployment)?))
}

/// How long until a roll-out that does not move is late.
fn deadline_in(family: &Family<'_>, status: &Value, conditions: &Conditions) -> Option<Duration> {
    let deployment = family.deployment;
    let done = is_complete(deployment, status) || conditions.reason(PROGRESSING) == TIMED_OUT;
    if done || bool_at(deployment, "/spec/paused") || object::is_deleting(deployment) {
        return None;
    }
    let late = timestamp::later(deadline(deployment, conditions)?, 1);
    Some((late - conditions.now).to_std().unwrap_or(Duration::from_secs(1)))
}

/// Hands on why a ReplicaSet cannot make or remove pods, the new one's reasons first.
fn note_failures(family: &Family<'_>, conditions: &mut Conditions) {
    let failing = family.new.iter().chain(&family.old).find_map(|m| object::condition(&m.set, REPLICA_FAILURE));
    match failing {
        None => conditions.remove(REPLICA_FAILURE),
        Some(c) => conditions.set(REPLICA_FAILURE, str_at(c, "/status"), str_at(c, "/reason"), str_at(c, "/message")),
    }
}

struct Conditions {
    list: Vec<Value>,
    now: DateTime<Utc>,
}

impl Conditions {
    fn get(&self, kind: &str) -> Option<&Value> {
        self.list.iter().find(|c| str_at(c, "/type") == kind)
    }

    fn reason(&self, kind: &str) -> &str {
        self.get(kind).map_or("", |c| str_at(c, "/reason"))
    }

    fn remove(&mut self, kind: &str) {
        self.list.retain(|c| str_at(c, "/type") != kind);
    }

    /// Sets a condition, unless it has this status and reason already.
    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let same = |c: &Value| str_at(c, "/status") == status && str_at(c, "/reason") == reason;
        if !self.get(kind).is_some_and(same) {
            self.refresh(kind, status, reason, message);
        }
    }

    /// Sets a condition and its `lastUpdateTime`, even if it says nothing new.
    fn refresh(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let now = timestamp::format(self.now);
        let old = self.get(kind).filter(|c| str_at(c, "/status") == status);
        let since = old.map_or(now.clone(), |c| str_at(c, "/lastTransitionTime").to_owned());
        self.remove(kind);
        self.list.push(json!({"type": kind, "status": status, "lastUpdateTime": now, "lastTransitionTime": since,
            "reason": reason, "message": message}));
    }
}
