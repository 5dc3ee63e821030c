//! Counters of a DaemonSet.

use embedded_apimachinery::object;
use serde_json::{Value, json};

use super::Round;
use super::placement::{Wish, wish};
use crate::workloads::status::drop_zeros;

pub fn of(round: &Round<'_>) -> Value {
    let (mut desired, mut current, mut misplaced, mut ready, mut available, mut updated) = (0, 0, 0, 0, 0, 0);
    for node in round.nodes() {
        let oldest = round.pods_on(object::name(node)).first();
        match (wish(round.set, node), oldest) {
            (Wish::Run, pod) => {
                desired += 1;
                let Some(pod) = pod else { continue };
                current += 1;
                ready += i64::from(object::pod_is_ready(pod));
                available += i64::from(round.is_available(pod));
                updated += i64::from(round.is_updated(pod));
            }
            (_, Some(_)) => misplaced += 1,
            (_, None) => {}
        }
    }
    let mut status = json!({
        "observedGeneration": object::generation(round.set),
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
    });
    drop_zeros(&mut status);
    status["currentNumberScheduled"] = current.into();
    status["numberMisscheduled"] = misplaced.into();
    status["desiredNumberScheduled"] = desired.into();
    status["numberReady"] = ready.into();
    if let Some(collisions) = round.set.pointer("/status/collisionCount") {
        status["collisionCount"] = collisions.clone();
    }
    status
}
