//! PersistentVolumes and their claims: binding, provisioning of host directories, release, protection.
//!
//! Binding takes several small steps, each of which follows from what the last one wrote: the volume is reserved for
//! the claim, the claim names the volume, and both say that they are bound. Rules:
//! kubernetes.io/docs/concepts/storage/persistent-volumes.

mod claims;
mod protection;
mod provision;
mod volume;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES};
use embedded_apimachinery::{GroupResource, Object, ObjectKey};
use serde_json::{Value, json};

pub use protection::VolumeProtection;

use crate::runtime::{Change, Controller, Plan, View};

/// The provisioner of classes whose volumes can be used on every node, as network storage can.
pub const PROVISIONER: &str = "gauntlet.dev/host-path";
/// The provisioner of classes whose volumes stay on the node they were made for.
pub const LOCAL_PROVISIONER: &str = "rancher.io/local-path";
/// On volumes: who made them.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// The storage class that claims get when they name none.
pub fn default_storage_class() -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer"})
}

/// Binds claims to volumes, makes volumes, and reclaims them. Keys without a namespace are volumes, others claims.
pub struct VolumeBinder {
    /// Where the data of the volumes it makes lives.
    pub root: PathBuf,
}

impl Controller for VolumeBinder {
    fn component(&self) -> &'static str {
        "persistentvolume-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, PODS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        let both = || [&change.before, &change.after].into_iter().flatten();
        match &change.resource {
            r if *r == PERSISTENT_VOLUME_CLAIMS => {
                let mut keys = vec![change.key()];
                let named = both().map(|claim| str_at(claim, "/spec/volumeName")).filter(|name| !name.is_empty());
                keys.extend(named.map(|name| ObjectKey::new("", name)));
                keys
            }
            r if *r == PERSISTENT_VOLUMES => {
                let mut keys = vec![change.key()];
                keys.extend(both().filter_map(|volume| claim_key(volume)));
                let class = str_at(change.object(), "/spec/storageClassName").to_owned();
                keys.extend(unbound_claims(view, move |claim| str_at(claim, "/spec/storageClassName") == class));
                keys
            }
            r if *r == STORAGE_CLASSES => {
                let name = change.key().name;
                unbound_claims(view, move |claim| str_at(claim, "/spec/storageClassName") == name).collect()
            }
            _ => Vec::new(),
        }
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        let actions = if key.namespace.is_empty() {
            view.get(&PERSISTENT_VOLUMES, key).map(|volume| volume::plan(view, volume, &self.root))
        } else {
            view.get(&PERSISTENT_VOLUME_CLAIMS, key).map(|claim| claims::plan(view, claim, &self.root))
        };
        Plan::of(actions.unwrap_or_default())
    }
}

/// Claims that still look for a volume, the oldest first.
fn unbound_claims(view: &View, wanted: impl Fn(&Object) -> bool) -> impl Iterator<Item = ObjectKey> {
    let waiting = |claim: &&Object| str_at(claim, "/spec/volumeName").is_empty() && !object::is_deleting(claim);
    let mut claims: Vec<&Object> =
        view.all(&PERSISTENT_VOLUME_CLAIMS).filter(waiting).filter(|claim| wanted(claim)).collect();
    claims.sort_by_key(|claim| (str_at(claim, "/metadata/creationTimestamp"), object::resource_version(claim)));
    claims.into_iter().map(|claim| ObjectKey::of(claim)).collect::<Vec<_>>().into_iter()
}

/// The claim that a volume is reserved for.
fn claim_key(volume: &Value) -> Option<ObjectKey> {
    let name = str_at(volume, "/spec/claimRef/name");
    (!name.is_empty()).then(|| ObjectKey::new(str_at(volume, "/spec/claimRef/namespace"), name))
}

#[cfg(test)]
mod tests;
