//! Claims that pods use, and volumes that claims use, stay until they are not used any more.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS};
use embedded_apimachinery::volume_match::claim_names;
use embedded_apimachinery::{GroupResource, Object, ObjectKey};

use crate::runtime::{Action, Change, Controller, Plan, View};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// Takes the finalizers off that the API server puts on. Keys without a namespace are volumes, others claims.
pub struct VolumeProtection;

impl Controller for VolumeProtection {
    fn component(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS]
    }

    fn keys(&self, _view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource != PODS {
            return vec![change.key()];
        }
        if change.before.is_some() && change.after.is_some() {
            return Vec::new();
        }
        let pod = change.object();
        claim_names(pod).into_iter().map(|name| ObjectKey::new(object::namespace(pod), name)).collect()
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        let (resource, finalizer) = match key.namespace.is_empty() {
            true => (PERSISTENT_VOLUMES, VOLUME_FINALIZER),
            false => (PERSISTENT_VOLUME_CLAIMS, CLAIM_FINALIZER),
        };
        let held = |object: &&Object| object::is_deleting(object) && object::has_finalizer(object, finalizer);
        let Some(object) = view.get(&resource, key).filter(held) else { return Plan::default() };
        let used = match key.namespace.is_empty() {
            true => str_at(object, "/status/phase") == "Bound",
            false => is_used(view, key),
        };
        Plan::of(if used {
            Vec::new()
        } else {
            vec![Action::update(resource, object::without_finalizer(object, finalizer))]
        })
    }
}

/// Pods count once they have a node: before that they could not start with a claim that is going away.
fn is_used(view: &View, claim: &ObjectKey) -> bool {
    view.list(&PODS, &claim.namespace)
        .filter(|pod| !str_at(pod, "/spec/nodeName").is_empty())
        .any(|pod| claim_names(pod).contains(&claim.name))
}
