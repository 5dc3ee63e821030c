//! Whether a cluster has volumes for the claims of a system, asked before anything is created.
//!
//! A claim that names no class gets the default one. Where there is none, or not the one that is named, a claim is bound
//! to a free volume that says the same of its class, such as administrators make by hand.

use crate::access::Access;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::Value;
use std::collections::BTreeMap;

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// How many claims or volumes say what of their class. The empty name is that of no class.
type Counts = BTreeMap<String, u64>;

/// Nothing of a system starts without its volumes, so what is missing is no matter of single scenarios.
///
/// # Errors
/// There are fewer volumes than claims.
pub async fn check(access: &Access, objects: &[&Value]) -> Result<(), Trouble> {
    let claims: Vec<Claims> = objects.iter().copied().flat_map(claims).collect();
    if claims.is_empty() {
        return Ok(());
    }
    let classes: Api<StorageClass> = Api::all(access.client.clone());
    let classes = classes.list(&ListParams::default()).await.or_trouble(|| "cannot list storage classes")?;
    let wanted = by_hand(&claims, &classes.items);
    if wanted.is_empty() {
        return Ok(());
    }
    let volumes: Api<PersistentVolume> = Api::all(access.client.clone());
    let free = match volumes.list(&ListParams::default()).await {
        Ok(found) => count(found.items.iter().filter_map(class_if_free).map(|class| (class, 1))),
        // They belong to no namespace, so not everybody may see them.
        Err(kube::Error::Api(status)) if status.code == 403 => Counts::new(),
        Err(error) => return Err(error).or_trouble(|| "cannot list volumes"),
    };
    enough(&wanted, &free)
}

/// Claims that an object makes.
#[derive(Debug, PartialEq, Eq)]
struct Claims {
    /// `None` asks for the default one.
    class: Option<String>,
    number: u64,
}

fn claims(object: &Value) -> Vec<Claims> {
    let spec = &object["spec"];
    let class = |claim: &Value| claim["spec"]["storageClassName"].as_str().map(str::to_owned);
    match object["kind"].as_str() {
        Some("PersistentVolumeClaim") => vec![Claims { class: class(object), number: 1 }],
        Some("StatefulSet") => {
            let number = spec["replicas"].as_u64().unwrap_or(1);
            let templates = spec["volumeClaimTemplates"].as_array().into_iter().flatten();
            templates.map(|claim| Claims { class: class(claim), number }).collect()
        }
        _ => vec![],
    }
}

/// Those for which no class makes volumes.
fn by_hand(claims: &[Claims], classes: &[StorageClass]) -> Counts {
    let is_made = |claim: &&Claims| match &claim.class {
        Some(name) => classes.iter().any(|class| class.name_any() == *name),
        None => classes.iter().any(is_default),
    };
    let others = claims.iter().filter(|claim| !is_made(claim));
    count(others.map(|claim| (claim.class.clone().unwrap_or_default(), claim.number)))
}

fn count(each: impl Iterator<Item = (String, u64)>) -> Counts {
    each.fold(Counts::new(), |mut counts, (class, number)| {
        *counts.entry(class).or_default() += number;
        counts
    })
}

fn enough(wanted: &Counts, free: &Counts) -> Result<(), Trouble> {
    let lacks: Vec<String> = wanted
        .iter()
        .map(|(class, wanted)| (class, wanted, free.get(class).copied().unwrap_or(0)))
        .filter(|(_, wanted, free)| free < wanted)
        .map(|(class, wanted, free)| match class.as_str() {
            "" => format!("{wanted} claims get no class, and {free} free volumes without one can be seen"),
            _ => format!("{wanted} claims name the class `{class}`, and {free} free volumes of it can be seen"),
        })
        .collect();
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks = lacks.join("\n  ");
    Err(Trouble::input(format!("the cluster has no storage class that makes volumes for the system:\n  {lacks}"))
        .hint("make a class the default one, name one of the cluster's in the overlay, or make volumes"))
}

fn is_default(class: &StorageClass) -> bool {
    class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true")
}

fn class_if_free(volume: &PersistentVolume) -> Option<String> {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let class = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.clone());
    (phase == Some("Available")).then(|| class.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter().map(|(class, number)| ((*class).to_owned(), *number)).collect()
    }

    #[test]
    fn every_replica_of_a_set_makes_a_claim_of_each_template() {
        let templates = json!([{"spec": {}}, {"spec": {"storageClassName": "fast"}}]);
        let of = |class: Option<&str>, number| Claims { class: class.map(str::to_owned), number };
        for (object, expected) in [
            (
                json!({"kind": "StatefulSet", "spec": {"replicas": 3, "volumeClaimTemplates": templates}}),
                vec![of(None, 3), of(Some("fast"), 3)],
            ),
            (json!({"kind": "StatefulSet", "spec": {"volumeClaimTemplates": [{"spec": {}}]}}), vec![of(None, 1)]),
            (json!({"kind": "PersistentVolumeClaim", "spec": {"storageClassName": ""}}), vec![of(Some(""), 1)]),
            (json!({"kind": "Deployment", "spec": {"replicas": 2}}), vec![]),
        ] {
            assert_eq!(claims(&object), expected, "{object}");
        }
    }

    #[test]
    fn only_claims_that_no_class_serves_take_volumes_made_by_hand() {
        let class = |name: &str, is_default: &str| -> StorageClass {
            let annotations = json!({DEFAULT_CLASS: is_default});
            serde_json::from_value(json!({"metadata": {"name": name, "annotations": annotations}, "provisioner": "p"}))
                .unwrap()
        };
        let wanted = [(None, 10), (Some("fast"), 3), (Some(""), 1)]
            .map(|(class, number)| Claims { class: class.map(str::to_owned), number });
        for (classes, expected) in [
            (vec![], counts(&[("", 11), ("fast", 3)])),
            (vec![class("standard", "true")], counts(&[("", 1), ("fast", 3)])),
            (vec![class("fast", "false")], counts(&[("", 11)])),
            (vec![class("fast", "true")], counts(&[("", 1)])),
        ] {
            assert_eq!(by_hand(&wanted, &classes), expected, "{classes:?}");
        }
    }

    #[test]
    fn free_volumes_count_for_claims_of_their_class_only() {
        for (free, problem) in [
            (counts(&[("", 11), ("fast", 3)]), None),
            (counts(&[("", 20), ("fast", 2)]), Some("3 claims name the class `fast`, and 2 free volumes")),
            (counts(&[("fast", 3)]), Some("11 claims get no class, and 0 free volumes")),
        ] {
            let trouble = enough(&counts(&[("", 11), ("fast", 3)]), &free).err();
            assert_eq!(trouble.is_some(), problem.is_some(), "{free:?}");
            if let (Some(trouble), Some(problem)) = (trouble, problem) {
                assert!(trouble.message.contains(problem), "{trouble}");
            }
        }
        let volume = |class: Value, phase: &str| -> PersistentVolume {
            serde_json::from_value(json!({"spec": {"storageClassName": class}, "status": {"phase": phase}})).unwrap()
        };
        for (class, phase, expected) in [
            (Value::Null, "Available", Some("")),
            (json!("fast"), "Available", Some("fast")),
            (Value::Null, "Bound", None),
            (json!("fast"), "Released", None),
        ] {
            assert_eq!(class_if_free(&volume(class.clone(), phase)).as_deref(), expected, "{class} {phase}");
        }
    }
}
