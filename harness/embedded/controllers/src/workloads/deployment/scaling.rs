//! Sizes of the ReplicaSets when the Deployment is resized, also in the middle of a roll-out: in proportion.

use std::cmp::Reverse;

use embedded_apimachinery::object::{annotation, str_at};

use super::family::{DESIRED_REPLICAS, Family, MAX_REPLICAS, Member, Which};
use super::{counted, is_rolling, max_surge, replicas};

pub fn scale(family: &mut Family<'_>) {
    let wanted = replicas(family.deployment);
    if let Some(only) = only_one(family) {
        resize(family, only, wanted);
    } else if new_is_saturated(family) {
        for index in 0..family.old.len() {
            if family.old[index].replicas() > 0 {
                resize(family, Which::Old(index), 0);
            }
        }
    } else if is_rolling(family.deployment) {
        in_proportion(family);
    }
}

fn resize(family: &mut Family<'_>, which: Which, size: i64) {
    family.resize(which, size);
    family.note_size(which);
}

fn active(family: &Family<'_>) -> Vec<Which> {
    let old = (0..family.old.len()).map(Which::Old);
    let all = old.chain(family.new.iter().map(|_| Which::New));
    all.filter(|which| family.member(*which).is_some_and(|m| m.replicas() > 0)).collect()
}

/// The one set that has pods; where none has, the newest.
fn only_one(family: &Family<'_>) -> Option<Which> {
    match active(family)[..] {
        [one] => Some(one),
        [] if family.new.is_some() => Some(Which::New),
        [] => family.old.len().checked_sub(1).map(Which::Old),
        _ => None,
    }
}

fn new_is_saturated(family: &Family<'_>) -> bool {
    let wanted = replicas(family.deployment);
    let desired = |new: &Member| annotation(&new.set, DESIRED_REPLICAS)?.parse::<i64>().ok();
    family
        .new
        .as_ref()
        .is_some_and(|new| desired(new) == Some(wanted) && new.replicas() == wanted && new.available() == wanted)
}

/// Spreads the pods to add or remove over the active sets by their sizes; the largest takes what rounding leaves.
fn in_proportion(family: &mut Family<'_>) {
    let wanted = replicas(family.deployment);
    let mut order = active(family);
    let size = |which: &Which| family.member(*which).map_or(0, Member::replicas);
    let total: i64 = order.iter().map(size).sum();
    let allowed = if wanted > 0 { wanted + max_surge(family.deployment) } else { 0 };
    let to_add = allowed - total;
    // Old sets come in the order of their creation and the new one last, so positions are ages.
    let created =
        |which: &Which| family.member(*which).map(|m| str_at(&m.set, "/metadata/creationTimestamp").to_owned());
    if to_add > 0 {
        order.sort_by_key(|which| Reverse((size(which), created(which))));
    } else {
        order.sort_by_key(|which| (Reverse(size(which)), created(which)));
    }
    let mut added = 0;
    let mut sizes: Vec<i64> = Vec::new();
    for which in &order {
        let share = family.member(*which).map_or(0, |m| share(family, m, to_add, added));
        added += share;
        sizes.push(size(which) + share);
    }
    if let Some(largest) = sizes.first_mut() {
        *largest = (*largest + to_add - added).max(0);
    }
    for (which, size) in order.into_iter().zip(sizes) {
        resize(family, which, size);
    }
}

/// How many of the pods still to add (or, below zero, to remove) fall to this set.
fn share(family: &Family<'_>, member: &Member, to_add: i64, added: i64) -> i64 {
    let size = member.replicas();
    if size == 0 || to_add == added {
        return 0;
    }
    let wanted = replicas(family.deployment);
    let fraction = if wanted == 0 {
        -size
    } else {
        let sized_for = annotation(&member.set, MAX_REPLICAS).and_then(|v| v.parse::<i64>().ok());
        let sized_for = sized_for.unwrap_or_else(|| counted(family.deployment, "replicas")).max(1);
        let new_max = wanted + max_surge(family.deployment);
        // Rounded half up.
        (2 * size * new_max + sized_for).div_euclid(2 * sized_for) - size
    };
    if to_add > 0 { fraction.min(to_add - added) } else { fraction.max(to_add - added) }
}
