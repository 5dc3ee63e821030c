//! Whether a cluster has volumes for the claims of a system, asked before anything is created.
//!
//! A claim that names no class gets the default one. Where there is none, it is bound to a free volume without a class,
//! such as administrators make by hand.

use crate::access::Access;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::Value;

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// # Errors
/// There are fewer volumes than claims.
pub async fn check(access: &Access, objects: &[&Value]) -> Result<(), Trouble> {
    let wanted: u64 = objects.iter().copied().map(claims_without_class).sum();
    if wanted == 0 {
        return Ok(());
    }
    let classes: Api<StorageClass> = Api::all(access.client.clone());
    let classes = classes.list(&ListParams::default()).await.or_trouble(|| "cannot list storage classes")?;
    if classes.items.iter().any(is_default) {
        return Ok(());
    }
    let volumes: Api<PersistentVolume> = Api::all(access.client.clone());
    let free = match volumes.list(&ListParams::default()).await {
        Ok(found) => found.items.iter().filter(|volume| is_free_without_class(volume)).count() as u64,
        // They belong to no namespace, so not everybody may see them.
        Err(kube::Error::Api(status)) if status.code == 403 => 0,
        Err(error) => return Err(error).or_trouble(|| "cannot list volumes"),
    };
    enough(wanted, free)
}

fn enough(wanted: u64, free: u64) -> Result<(), Trouble> {
    if free >= wanted {
        return Ok(());
    }
    let lacks = "the cluster has no default storage class";
    Err(Trouble::input(format!(
        "{wanted} claims need volumes; {lacks}, and {free} free volumes without a class can be seen"
    ))
    .hint("make a class the default, name one in the overlay, or make volumes"))
}

/// How many claims an object makes that name no class.
fn claims_without_class(object: &Value) -> u64 {
    let spec = &object["spec"];
    let lacks_class = |claim: &Value| claim["spec"]["storageClassName"].is_null();
    match object["kind"].as_str() {
        Some("PersistentVolumeClaim") => u64::from(lacks_class(object)),
        Some("StatefulSet") => {
            let templates = spec["volumeClaimTemplates"].as_array().into_iter().flatten();
            spec["replicas"].as_u64().unwrap_or(1) * templates.filter(|claim| lacks_class(claim)).count() as u64
        }
        _ => 0,
    }
}

fn is_default(class: &StorageClass) -> bool {
    class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true")
}

fn is_free_without_class(volume: &PersistentVolume) -> bool {
    let class = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    class.unwrap_or_default().is_empty() && phase == Some("Available")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_claims_without_a_class_need_a_default_one() {
        let set = |class: Value| {
            let templates = json!([{"spec": {"storageClassName": class}}, {"spec": {"storageClassName": "fast"}}]);
            json!({"kind": "StatefulSet", "spec": {"replicas": 3, "volumeClaimTemplates": templates}})
        };
        for (object, claims) in [
            (set(Value::Null), 3),
            (set(json!("fast")), 0),
            (json!({"kind": "StatefulSet", "spec": {"volumeClaimTemplates": [{"spec": {}}]}}), 1),
            (json!({"kind": "PersistentVolumeClaim", "spec": {}}), 1),
            (json!({"kind": "PersistentVolumeClaim", "spec": {"storageClassName": ""}}), 0),
            (json!({"kind": "Deployment", "spec": {"replicas": 2}}), 0),
        ] {
            assert_eq!(claims_without_class(&object), claims, "{object}");
        }
    }

    #[test]
    fn free_volumes_without_a_class_do_where_no_class_is_the_default() {
        let volume = |class: Value, phase: &str| -> PersistentVolume {
            serde_json::from_value(json!({"spec": {"storageClassName": class}, "status": {"phase": phase}})).unwrap()
        };
        for (class, phase, free) in [
            (Value::Null, "Available", true),
            (json!(""), "Available", true),
            (json!("fast"), "Available", false),
            (Value::Null, "Bound", false),
            (Value::Null, "Released", false),
        ] {
            assert_eq!(is_free_without_class(&volume(class.clone(), phase)), free, "{class} {phase}");
        }
        assert!(enough(10, 10).is_ok());
        let trouble = enough(10, 9).unwrap_err();
        assert!(trouble.message.contains("10 claims") && trouble.message.contains("9 free"), "{trouble}");
    }
}
