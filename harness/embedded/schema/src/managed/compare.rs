//! What changed between two objects, field by field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Step;
use super::set::FieldSet;
use super::spot::{Spot, View, element, step_to};
use crate::model::List;

#[derive(Debug, Default)]
pub struct Changes {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

pub fn changes(old: &Value, new: &Value, spot: Spot<'_>) -> Changes {
    let mut walk = Walk { path: Vec::new(), changes: Changes::default() };
    walk.compare(Some(old), Some(new), spot);
    walk.changes
}

struct Walk {
    path: Vec<Step>,
    changes: Changes,
}

impl Walk {
    fn compare(&mut self, old: Option<&Value>, new: Option<&Value>, spot: Spot<'_>) {
        if old == new {
            return;
        }
        let descended = match spot.view() {
            View::Leaf => false,
            View::Map => self.maps(old, new, spot),
            View::List(list) => self.lists(old, new, list),
        };
        match (old, new) {
            (None, _) => self.changes.added.insert(&self.path),
            (_, None) => self.changes.removed.insert(&self.path),
            _ if descended => {}
            _ => self.changes.modified.insert(&self.path),
        }
    }

    /// Compares key by key, unless there is nothing on either side.
    fn maps(&mut self, old: Option<&Value>, new: Option<&Value>, spot: Spot<'_>) -> bool {
        let none = Map::new();
        let (old, new) =
            (old.and_then(Value::as_object).unwrap_or(&none), new.and_then(Value::as_object).unwrap_or(&none));
        for (key, before) in old {
            self.step(Step::field(key), Some(before), new.get(key), spot.field(key).0);
        }
        for (key, after) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
            self.step(Step::field(key), None, Some(after), spot.field(key).0);
        }
        !(old.is_empty() && new.is_empty())
    }

    /// Compares element by element, unless there is nothing on either side. An order of its own is no field.
    fn lists(&mut self, old: Option<&Value>, new: Option<&Value>, list: &List) -> bool {
        let (old, new) = (elements(old, list), elements(new, list));
        for (step, before) in &old {
            self.step(step.clone(), Some(before), new.get(step).copied(), element(list));
        }
        for (step, after) in new.iter().filter(|(step, _)| !old.contains_key(*step)) {
            self.step(step.clone(), None, Some(after), element(list));
        }
        !(old.is_empty() && new.is_empty())
    }

    fn step(&mut self, step: Step, old: Option<&Value>, new: Option<&Value>, spot: Spot<'_>) {
        self.path.push(step);
        self.compare(old, new, spot);
        self.path.pop();
    }
}

fn elements<'a>(value: Option<&'a Value>, list: &List) -> BTreeMap<Step, &'a Value> {
    let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(|item| Some((step_to(list, item)?, item))).collect()
}
