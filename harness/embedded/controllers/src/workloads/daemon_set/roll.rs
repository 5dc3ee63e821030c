//! The rolling update: node by node, within the bounds on missing (or on extra) pods.

use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::{Object, intstr};

use super::placement::{self, Wish};
use super::{Round, manage};
use crate::runtime::Action;
use crate::workloads::pods;

pub fn next(round: &Round<'_>) -> Vec<Action> {
    if str_at(round.set, "/spec/updateStrategy/type") == "OnDelete" {
        return Vec::new();
    }
    match max_surge(round) {
        0 => in_place(round),
        surge => with_surge(round, surge),
    }
}

pub fn max_surge(round: &Round<'_>) -> usize {
    bound(round, "maxSurge").unwrap_or(0)
}

fn max_unavailable(round: &Round<'_>) -> usize {
    bound(round, "maxUnavailable").unwrap_or(1).max(1)
}

/// A bound, as it is or as a share of the nodes that want a pod, rounded up.
fn bound(round: &Round<'_>, field: &str) -> Option<usize> {
    let value = round.set.pointer("/spec/updateStrategy/rollingUpdate")?.get(field)?;
    let wanted = || round.nodes().filter(|node| placement::wish(round.set, node) == Wish::Run).count();
    let total = if value.is_string() { i64::try_from(wanted()).unwrap_or(i64::MAX) } else { 0 };
    intstr::scaled(value, total, true).and_then(|n| usize::try_from(n).ok())
}

/// The new and the old pod of a node. `None` when there are several of a kind, which is not for the update to solve.
fn pair<'a>(round: &Round<'_>, pods: &[&'a Object]) -> Option<(Option<&'a Object>, Option<&'a Object>)> {
    let present = pods.iter().copied().filter(|pod| !object::is_deleting(pod));
    let (new, old): (Vec<&Object>, Vec<&Object>) = present.partition(|pod| round.is_updated(pod));
    (new.len() <= 1 && old.len() <= 1).then(|| (new.first().copied(), old.first().copied()))
}

/// Removes old pods; new ones come when they are gone. Pods that serve nobody anyway need not wait.
fn in_place(round: &Round<'_>) -> Vec<Action> {
    let (mut unavailable, mut unhealthy, mut candidates) = (0, Vec::new(), Vec::new());
    for pods in round.by_node.values() {
        match pair(round, pods) {
            None => {}
            Some((Some(new), None)) => unavailable += usize::from(!round.is_available(new)),
            Some((None, Some(old))) if round.is_available(old) => candidates.push(old),
            Some((None, Some(old))) => unhealthy.push(old),
            Some(_) => unavailable += 1,
        }
    }
    candidates.truncate(max_unavailable(round).saturating_sub(unavailable));
    unhealthy.into_iter().chain(candidates).map(|pod| pods::delete(round.set, pod)).collect()
}

/// Makes new pods beside old ones, which go when the new ones are available.
fn with_surge(round: &Round<'_>, surge: usize) -> Vec<Action> {
    let (mut waiting, mut done, mut urgent, mut candidates) = (0, Vec::new(), Vec::new(), Vec::new());
    for (node, pods) in round.by_node {
        match pair(round, pods) {
            Some((None, Some(old))) if round.is_available(old) => candidates.push(*node),
            Some((None, Some(_))) => urgent.push(*node),
            Some((Some(new), Some(old))) if round.is_available(new) => done.push(old),
            Some((Some(_), Some(_))) => waiting += 1,
            None | Some((_, None)) => {}
        }
    }
    candidates.truncate(surge.saturating_sub(waiting));
    let wanted = |name: &&str| {
        let node = round.nodes().find(|node| object::name(node) == *name);
        node.is_some_and(|node| placement::wish(round.set, node) == Wish::Run)
    };
    let deletions = done.into_iter().map(|pod| pods::delete(round.set, pod));
    let nodes = urgent.into_iter().chain(candidates).filter(wanted);
    deletions.chain(nodes.map(|node| manage::create(round, node))).collect()
}
