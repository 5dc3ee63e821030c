//! Sizes of the ReplicaSets during a roll-out: step by step, or all at once after the old ones are gone.

use embedded_apimachinery::ObjectKey;
use embedded_apimachinery::object;
use embedded_apimachinery::resource::{PODS, REPLICA_SETS};

use super::family::{Family, Member, Which};
use super::{counted, is_rolling, max_surge, max_unavailable, replicas};
use crate::runtime::View;

/// One step of a rolling update: first up, then down.
pub fn roll(view: &View, family: &mut Family<'_>) {
    let size = new_size(family);
    if family.new.is_none() {
        create(view, family, size);
    } else if !family.resize(Which::New, size) && !shrink_old(family) {
        family.forget_if_complete();
    }
}

/// The old pods must be gone before the new ones come.
pub fn recreate(view: &View, family: &mut Family<'_>) {
    let mut shrunk = false;
    for index in 0..family.old.len() {
        shrunk |= family.old[index].replicas() > 0 && family.resize(Which::Old(index), 0);
    }
    if shrunk || family.old.iter().any(|member| has_pods(view, member)) {
        return;
    }
    let size = replicas(family.deployment);
    if family.new.is_none() {
        create(view, family, size);
    } else if !family.resize(Which::New, size) {
        family.forget_if_complete();
    }
}

fn create(view: &View, family: &mut Family<'_>, size: i64) {
    let key = ObjectKey::new(object::namespace(family.deployment), family.name_of_new());
    match view.get(&REPLICA_SETS, &key) {
        None => family.create_new(size),
        Some(_) => family.count_collision(),
    }
}

/// How many pods the new set may have now.
fn new_size(family: &Family<'_>) -> i64 {
    let wanted = replicas(family.deployment);
    let present = family.new.as_ref().map_or(0, Member::replicas);
    if !is_rolling(family.deployment) || present > wanted {
        return wanted;
    }
    let total: i64 = family.all().map(Member::replicas).sum();
    let room = (wanted + max_surge(family.deployment) - total).max(0);
    present + room.min(wanted - present)
}

/// Takes pods from the old sets: those that are not available first, since nobody misses them, then as many as the
/// available ones allow. False if nothing can go.
fn shrink_old(family: &mut Family<'_>) -> bool {
    let needed = replicas(family.deployment) - max_unavailable(family.deployment);
    let total: i64 = family.all().map(Member::replicas).sum();
    let new_unavailable = family.new.as_ref().map_or(0, |new| new.replicas() - new.available());
    let spare = total - needed - new_unavailable;
    if spare <= 0 {
        return false;
    }
    let mut left = spare;
    for index in 0..family.old.len() {
        let member = &family.old[index];
        let unhealthy = (member.replicas() - member.available()).clamp(0, left);
        let size = member.replicas() - unhealthy;
        left -= unhealthy;
        family.resize(Which::Old(index), size);
    }
    let available: i64 = family.all().map(Member::available).sum();
    let mut surplus = (available - needed).max(0);
    for index in 0..family.old.len() {
        let present = family.old[index].replicas();
        let taken = present.min(surplus);
        surplus -= taken;
        left -= taken;
        family.resize(Which::Old(index), present - taken);
    }
    left < spare
}

/// Whether pods of this set still occupy a node, even if they are being deleted.
fn has_pods(view: &View, member: &Member) -> bool {
    counted(&member.set, "replicas") > 0
        || view.controlled_by(&PODS, member.uid()).any(|pod| !object::pod_is_terminal(pod))
}
