//! Volumes made on demand: directories of the host.

use std::path::Path;

use embedded_apimachinery::Object;
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::PERSISTENT_VOLUMES;
use embedded_apimachinery::volume_match::{claim_reference, requested};
use serde_json::{Value, json};

use super::{LOCAL_PROVISIONER, PROVISIONED_BY, PROVISIONER};
use crate::runtime::Action;

/// Who makes the volume for a claim.
pub enum Provisioning {
    Make(Vec<Action>),
    /// The text of the Event that says who is awaited.
    BySomebodyElse(String),
    /// The text of the Event that says why nobody can.
    Impossible(String),
}

pub fn plan(claim: &Object, class: Option<&Object>, node: Option<&str>, root: &Path) -> Provisioning {
    let Some(class) = class else {
        let name = str_at(claim, "/spec/storageClassName");
        return Provisioning::Impossible(format!("storageclass.storage.k8s.io \"{name}\" not found"));
    };
    match str_at(class, "/provisioner") {
        PROVISIONER => Provisioning::Make(make(claim, class, None, root)),
        LOCAL_PROVISIONER => Provisioning::Make(make(claim, class, node, root)),
        name if name.starts_with("kubernetes.io/") => {
            Provisioning::Impossible(format!("no volume plugin matched name: {name}"))
        }
        name => Provisioning::BySomebodyElse(format!(
            "Waiting for a volume to be created either by the external provisioner '{name}' or manually by the system \
             administrator. If volume creation is delayed, please verify that the provisioner is running and correctly \
             registered."
        )),
    }
}

/// `node` ties the volume to one node.
fn make(claim: &Object, class: &Object, node: Option<&str>, root: &Path) -> Vec<Action> {
    let volume_name = format!("pvc-{}", object::uid(claim));
    let (namespace, name) = (object::namespace(claim), object::name(claim));
    let path = root.join(format!("{volume_name}_{namespace}_{name}"));
    let reclaim = Some(str_at(class, "/reclaimPolicy")).filter(|policy| !policy.is_empty()).unwrap_or("Delete");
    let mode = Some(str_at(claim, "/spec/volumeMode")).filter(|mode| !mode.is_empty()).unwrap_or("Filesystem");
    let mut volume = json!({"apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": volume_name, "annotations": {PROVISIONED_BY: class["provisioner"]}},
        "spec": {"capacity": {"storage": requested(claim).to_string()},
            "hostPath": {"path": path.to_string_lossy(), "type": "DirectoryOrCreate"},
            "accessModes": claim["spec"]["accessModes"], "claimRef": claim_reference(claim),
            "persistentVolumeReclaimPolicy": reclaim, "storageClassName": object::name(class), "volumeMode": mode}});
    if let Some(node) = node {
        volume["spec"]["nodeAffinity"] = only_on(node);
    }
    vec![
        Action::normal(
            claim,
            "Provisioning",
            format!("External provisioner is provisioning volume for claim \"{namespace}/{name}\""),
        ),
        Action::MakeDirectory { path },
        Action::create(PERSISTENT_VOLUMES, volume),
        Action::normal(claim, "ProvisioningSucceeded", format!("Successfully provisioned volume {volume_name}")),
    ]
}

fn only_on(node: &str) -> Value {
    json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}})
}
