//! Pods to make where they are missing, and to remove where they are not wanted, have ended, or are too many.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::NODES;
use embedded_apimachinery::{Object, ObjectKey};

use super::placement::{self, Wish};
use super::{Round, roll};
use crate::runtime::{Action, Plan};
use crate::workloads::pods;

/// Pods made in one look.
const BURST: usize = 64;
/// First wait before a pod that failed again on a node is replaced; doubles up to the longest.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(1);
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(15);

/// How long to wait before replacing pods that keep failing on a node.
#[derive(Default)]
pub struct Patience {
    /// By DaemonSet and node: when the last pod was replaced, and how long the next one waits.
    waits: HashMap<(ObjectKey, String), (DateTime<Utc>, TimeDelta)>,
}

impl Patience {
    pub fn forget(&mut self, set: &ObjectKey) {
        self.waits.retain(|(key, _), _| key != set);
    }

    /// Whether a failed pod may be replaced now; otherwise how long to wait. Patience returns after twice the longest
    /// wait without a failure.
    fn replace(&mut self, set: &Object, node: &str, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        let entry = self.waits.entry((ObjectKey::of(set), node.to_owned()));
        let (last, wait) = entry.or_insert((now - LONGEST_WAIT * 3, FIRST_WAIT));
        let since = now - *last;
        if since < *wait {
            return Err(*wait - since);
        }
        *wait = if since > LONGEST_WAIT * 2 { FIRST_WAIT } else { (*wait * 2).min(LONGEST_WAIT) };
        *last = now;
        Ok(())
    }
}

pub fn next(round: &Round<'_>, patience: &mut Patience) -> Plan {
    let mut plan = Plan::default();
    for node in round.nodes() {
        let wish = placement::wish(round.set, node);
        let pods = round.pods_on(object::name(node));
        if wish == Wish::Avoid {
            let present = pods.iter().filter(|pod| !object::is_deleting(pod));
            plan.actions.extend(present.map(|pod| pods::delete(round.set, pod)));
        } else if pods.is_empty() && wish == Wish::Run && plan.actions.len() < BURST {
            plan.push(create(round, object::name(node)));
        } else {
            tidy(round, pods, patience, &mut plan);
        }
    }
    // Pods that were never bound and whose node is gone would wait for ever.
    for (node, pods) in round.by_node {
        let gone = round.view.get(&NODES, &ObjectKey::new("", *node)).is_none();
        let waiting = pods.iter().filter(|pod| str_at(pod, "/spec/nodeName").is_empty() && !object::is_deleting(pod));
        plan.actions.extend(waiting.filter(|_| gone).map(|pod| pods::delete(round.set, pod)));
    }
    plan
}

pub fn create(round: &Round<'_>, node: &str) -> Action {
    pods::create(round.set, placement::pod_for(round.set, round.update, node))
}

/// Removes what has ended, and of several pods on a node all but the oldest (with a surge: the oldest of each kind).
fn tidy(round: &Round<'_>, pods: &[&Object], patience: &mut Patience, plan: &mut Plan) {
    let mut running: Vec<&Object> = Vec::new();
    for pod in pods.iter().filter(|pod| !object::is_deleting(pod)) {
        if object::pod_is_terminal(pod) {
            bury(round, pod, patience, plan);
        } else {
            running.push(pod);
        }
    }
    let surplus: Vec<&Object> = if roll::max_surge(round) > 0 {
        let (new, old): (Vec<&Object>, Vec<&Object>) = running.into_iter().partition(|pod| round.is_updated(pod));
        new.into_iter().skip(1).chain(old.into_iter().skip(1)).collect()
    } else {
        running.into_iter().skip(1).collect()
    };
    plan.actions.extend(surplus.into_iter().map(|pod| pods::delete(round.set, pod)));
}

fn bury(round: &Round<'_>, pod: &Object, patience: &mut Patience, plan: &mut Plan) {
    let node = placement::node_of(pod);
    let name = format!("{}/{}", object::namespace(pod), object::name(pod));
    if str_at(pod, "/status/phase") == "Failed" {
        if let Err(wait) = patience.replace(round.set, node, round.now) {
            return plan.recheck_after(wait.to_std().unwrap_or_default());
        }
        let message = format!("Found failed daemon pod {name} on node {node}, will try to kill it");
        plan.push(Action::warning(round.set, "FailedDaemonPod", message));
    } else {
        let message = format!("Found succeeded daemon pod {name} on node {node}, will try to delete it");
        plan.push(Action::normal(round.set, "SucceededDaemonPod", message));
    }
    plan.push(pods::delete(round.set, pod));
}
