//! Claims of StatefulSets, and their replicas.

use crate::access::{Access, said};
use gauntlet_core::Trouble;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

/// How many replicas a StatefulSet is to have.
///
/// # Errors
/// What the API said.
pub async fn replicas(access: &Access, namespace: &str, stateful_set: &str) -> Result<i32, Trouble> {
    let api: Api<StatefulSet> = Api::namespaced(access.client.clone(), namespace);
    let found = api.get(stateful_set).await;
    let found = found.map_err(|e| Trouble::harness(format!("cannot get StatefulSet {stateful_set}: {}", said(&e))))?;
    Ok(found.spec.and_then(|spec| spec.replicas).unwrap_or(1))
}

/// # Errors
/// What the API said.
pub async fn scale(access: &Access, namespace: &str, stateful_set: &str, replicas: i32) -> Result<(), Trouble> {
    let api: Api<StatefulSet> = Api::namespaced(access.client.clone(), namespace);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch_scale(stateful_set, &PatchParams::default(), &patch)
        .await
        .map(drop)
        .map_err(|e| Trouble::harness(format!("cannot scale {stateful_set} to {replicas}: {}", said(&e))))
}

/// Names of the claims that a pod mounts.
pub fn claims_of(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone())).collect()
}

/// The uid and phase of a claim; `None` when it is not there.
///
/// # Errors
/// What the API said.
pub async fn claim(access: &Access, namespace: &str, name: &str) -> Result<Option<(String, String)>, Trouble> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(access.client.clone(), namespace);
    let found = api.get_opt(name).await;
    let found = found.map_err(|e| Trouble::harness(format!("cannot get claim {name}: {}", said(&e))))?;
    Ok(found.map(|claim| {
        let phase = claim.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
        (claim.uid().unwrap_or_default(), phase)
    }))
}

/// # Errors
/// What the API said; a claim that is not there is deleted.
pub async fn delete_claim(access: &Access, namespace: &str, name: &str) -> Result<(), Trouble> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(access.client.clone(), namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Trouble::harness(format!("cannot delete claim {name}: {}", said(&error)))),
    }
}
