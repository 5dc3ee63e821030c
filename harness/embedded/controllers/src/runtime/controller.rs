//! What a controller has to say for itself.

use chrono::{DateTime, Utc};
use embedded_apimachinery::{GroupResource, ObjectKey};

use super::plan::{Outcome, Plan};
use super::view::{Change, View};

/// One reconcile loop. Everything it decides follows from the view and the time.
pub trait Controller: Send + 'static {
    /// As in `deployment-controller`: the source of its events and the manager of the fields it writes.
    fn component(&self) -> &'static str;

    /// The resources its [`View`] holds.
    fn watches(&self) -> Vec<GroupResource>;

    /// More resources to watch, known only once the view says so: custom ones.
    fn discovered(&self, _view: &View) -> Vec<GroupResource> {
        Vec::new()
    }

    /// The keys to look at after this change. `view` already has it. At the start every object counts as changed.
    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey>;

    /// What to do about this key. It may be gone: keys outlive their objects.
    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan;

    /// What remains to be written once the plan was carried out, usually the status; `view` shows its effects.
    fn settle(&mut self, _view: &View, _key: &ObjectKey, _now: DateTime<Utc>, _outcome: &Outcome) -> Plan {
        Plan::default()
    }
}
