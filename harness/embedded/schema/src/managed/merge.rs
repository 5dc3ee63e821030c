//! Lays an applied configuration over the live object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Step;
use super::spot::{Spot, View, element, step_to};
use crate::model::List;

/// The live value with everything that the configuration has. Nothing is removed here.
pub fn merge(live: &Value, config: &Value, spot: Spot<'_>) -> Value {
    match (spot.view(), live, config) {
        (View::Map, Value::Object(live), Value::Object(config)) => {
            let mut merged: Map<String, Value> = live.clone();
            for (key, theirs) in config {
                let value = match live.get(key) {
                    Some(ours) => merge(ours, theirs, spot.field(key).0),
                    None => theirs.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (View::List(list), Value::Array(live), Value::Array(config)) => Value::Array(merge_lists(live, config, list)),
        _ => config.clone(),
    }
}

/// Merges element by element. Elements of the configuration keep its order, live ones keep theirs, and where both lists
/// have the same elements in the same order they interleave around those.
fn merge_lists(live: &[Value], config: &[Value], list: &List) -> Vec<Value> {
    let keyed = |items: &[Value]| -> Vec<(Step, Value)> {
        items.iter().filter_map(|item| Some((step_to(list, item)?, item.clone()))).collect()
    };
    let (live, config) = (keyed(live), keyed(config));
    let by_step: BTreeMap<&Step, &Value> = live.iter().map(|(step, item)| (step, item)).collect();
    let wanted: BTreeSet<&Step> = config.iter().map(|(step, _)| step).collect();
    let combined = |step: &Step, theirs: &Value| match by_step.get(step) {
        Some(ours) => merge(ours, theirs, element(list)),
        None => theirs.clone(),
    };
    let mut merged = Vec::with_capacity(live.len() + config.len());
    let mut placed: BTreeSet<&Step> = BTreeSet::new();
    let (mut at_live, mut at_config) = (0, 0);
    while at_live < live.len() || at_config < config.len() {
        if let Some((step, ours)) = live.get(at_live) {
            if !wanted.contains(step) {
                merged.push(ours.clone());
                at_live += 1;
                continue;
            }
            let is_next = config.get(at_config).is_some_and(|(next, _)| next == step);
            let next_shared = config[at_config..].iter().map(|(next, _)| next).find(|next| by_step.contains_key(next));
            if placed.contains(step) || (!is_next && next_shared.is_some_and(|shared| shared != step)) {
                at_live += 1;
                continue;
            }
            if is_next {
                at_live += 1;
            }
        }
        if let Some((step, theirs)) = config.get(at_config) {
            placed.insert(step);
            merged.push(combined(step, theirs));
            at_config += 1;
        }
    }
    merged
}
