//! Removal of Jobs some time after their end: `ttlSecondsAfterFinished`.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, str_at};
use embedded_apimachinery::resource::JOBS;
use embedded_apimachinery::{DeleteOptions, GroupResource, ObjectKey, Propagation, timestamp};

use super::finish;
use crate::runtime::{Action, Change, Controller, Plan, View};

pub struct TtlAfterFinished;

impl Controller for TtlAfterFinished {
    fn component(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![JOBS]
    }

    fn keys(&self, _: &View, change: &Change) -> Vec<ObjectKey> {
        vec![change.key()]
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        let Some(job) = view.get(&JOBS, key).filter(|job| !object::is_deleting(job)) else { return Plan::default() };
        let ended = finish(job).and_then(|c| timestamp::parse(str_at(c, "/lastTransitionTime")));
        let (Some(ttl), Some(ended)) = (int_at(job, "/spec/ttlSecondsAfterFinished"), ended) else {
            return Plan::default();
        };
        match (timestamp::later(ended, ttl) - now).to_std() {
            Ok(wait) if !wait.is_zero() => Plan { recheck: Some(wait), ..Plan::default() },
            _ => {
                let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::of(job) };
                Plan::of(vec![Action::Delete { resource: JOBS, object: job.clone(), options, report: None }])
            }
        }
    }
}
