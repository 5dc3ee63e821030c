//! Counters and revisions of a StatefulSet.

use chrono::{DateTime, Utc};
use embedded_apimachinery::Object;
use embedded_apimachinery::object::{self, int_at, list_at};
use serde_json::{Value, json};

use super::{is_rolling, is_running_and_ready, min_ready_seconds, replicas};
use crate::workloads::pods;
use crate::workloads::revisions::{Revision, label_of};
use crate::workloads::status::drop_zeros;

pub fn of(set: &Value, pods: &[Object], current: &Revision, update: &Revision, now: DateTime<Utc>) -> Value {
    let count = |matches: &dyn Fn(&Value) -> bool| pods.iter().filter(|pod| matches(pod)).count();
    let of_revision = |name: &str| count(&|pod| !object::is_deleting(pod) && label_of(pod) == name);
    let all = pods.len();
    let ready = count(&is_running_and_ready);
    let updated = of_revision(&update.name);
    let wanted = usize::try_from(replicas(set)).unwrap_or(0);
    let complete = is_rolling(set) && [updated, ready, all].into_iter().all(|n| n == wanted);
    let mut status = json!({
        "observedGeneration": object::generation(set),
        "readyReplicas": ready,
        "currentReplicas": if complete { updated } else { of_revision(&current.name) },
        "updatedReplicas": updated,
    });
    drop_zeros(&mut status);
    let min_ready = min_ready_seconds(set);
    let available = count(&|pod| is_running_and_ready(pod) && pods::is_available(pod, min_ready, now));
    status["replicas"] = all.into();
    status["availableReplicas"] = available.into();
    status["currentRevision"] = if complete { &update.name } else { &current.name }.as_str().into();
    status["updateRevision"] = update.name.as_str().into();
    status["collisionCount"] = int_at(set, "/status/collisionCount").unwrap_or(0).into();
    if !list_at(set, "/status/conditions").is_empty() {
        status["conditions"] = set["status"]["conditions"].clone();
    }
    status
}
