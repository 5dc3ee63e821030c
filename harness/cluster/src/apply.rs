//! Server-side apply of many objects, with every error reported and none hiding another.

use crate::access::{Access, MANAGER, RUN_LABEL, said};
use crate::order;
use crate::ownership;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How long the controller of ServiceAccounts may take to make that of a new namespace.
const ACCOUNT_COMES_WITHIN: Duration = Duration::from_secs(10);

/// Between two tries; a watch would need a permission that nothing else needs.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Applies objects in dependency order, labelled with the run.
///
/// # Errors
/// Every object that the API refused, with what it said.
pub async fn apply(access: &Access, run: &str, mut objects: Vec<Value>) -> Result<usize, Trouble> {
    order::by_dependency(&mut objects);
    let kinds = access.kinds().await.or_trouble(|| "cannot discover the API's kinds")?;
    let mut refused = Vec::new();
    let count = objects.len();
    for mut object in objects {
        object["metadata"]["labels"][RUN_LABEL] = Value::from(run);
        if let Err(why) = apply_in_time(access, &kinds, &object).await {
            refused.push(format!("{}: {why}", name_of(&object)));
        }
    }
    if refused.is_empty() {
        return Ok(count);
    }
    Err(Trouble::input(format!("the API refused {} of {count} objects:\n  {}", refused.len(), refused.join("\n  "))))
}

/// Pods are refused in a namespace that is so new that its ServiceAccount is not there yet; it comes by itself.
async fn apply_in_time(access: &Access, kinds: &Discovery, object: &Value) -> Result<(), String> {
    let until = Instant::now() + ACCOUNT_COMES_WITHIN;
    loop {
        match apply_one(access, kinds, object).await {
            Err(why) if is_too_early(&why) && Instant::now() < until => tokio::time::sleep(ASK_EVERY).await,
            applied => return applied,
        }
    }
}

/// In the words of the admission plugin `ServiceAccount`, the only sign that it gives. Others than the default one do not
/// come by themselves.
fn is_too_early(why: &str) -> bool {
    why.contains("error looking up service account") && why.contains("serviceaccount \"default\" not found")
}

async fn apply_one(access: &Access, kinds: &Discovery, object: &Value) -> Result<(), String> {
    let api = api_for(access, kinds, object)?;
    let name = object["metadata"]["name"].as_str().ok_or("metadata.name is missing")?;
    if access.is_shared
        && let Some(found) = api.get_opt(name).await.map_err(|error| said(&error))?
        && !ownership::may_change(access, &found).await.map_err(|error| said(&error))?
    {
        // A kind that is there already serves as well as one of ours would.
        return if object["kind"] == "CustomResourceDefinition" {
            Ok(())
        } else {
            Err("it exists already and is not ours".to_owned())
        };
    }
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch(name, &parameters, &Patch::Apply(object)).await.map_err(|error| said(&error))?;
    Ok(())
}

fn api_for(access: &Access, kinds: &Discovery, object: &Value) -> Result<Api<DynamicObject>, String> {
    let (resource, capabilities) = resolve(kinds, object)?;
    let client = access.client.clone();
    Ok(match (capabilities.scope, object["metadata"]["namespace"].as_str()) {
        (Scope::Cluster, _) => Api::all_with(client, &resource),
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client, namespace, &resource),
        (Scope::Namespaced, None) => Api::default_namespaced_with(client, &resource),
    })
}

fn resolve(kinds: &Discovery, object: &Value) -> Result<(ApiResource, ApiCapabilities), String> {
    let types = TypeMeta {
        api_version: object["apiVersion"].as_str().unwrap_or_default().to_owned(),
        kind: object["kind"].as_str().unwrap_or_default().to_owned(),
    };
    let gvk = GroupVersionKind::try_from(&types).map_err(|error| error.to_string())?;
    kinds.resolve_gvk(&gvk).ok_or_else(|| format!("the cluster has no kind {} in {}", types.kind, types.api_version))
}

/// `Kind namespace/name`, as messages call an object.
pub fn name_of(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or("object");
    let name = object["metadata"]["name"].as_str().unwrap_or("without a name");
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lack_of_a_default_service_account_is_a_matter_of_time() {
        for (why, is_early) in [
            ("pods \"a\" is forbidden: error looking up service account n/b: serviceaccount \"b\" not found", false),
            (
                "pods \"a\" is forbidden: error looking up service account n/default: serviceaccount \"default\" not found",
                true,
            ),
            ("pods \"a\" is forbidden: exceeded quota: q", false),
            ("namespaces \"n\" not found", false),
        ] {
            assert_eq!(is_too_early(why), is_early, "{why}");
        }
    }
}
