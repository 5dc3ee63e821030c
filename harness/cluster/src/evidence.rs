//! Everything a person needs to find a cause: objects, events, logs of every container, nodes. Secrets are redacted
//! here, at the source: nothing of their data leaves this module.

use crate::access::{Access, RUN_LABEL, said};
use crate::exec::{self, Place};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Kinds that change with every heartbeat or repeat others.
const UNINTERESTING: [&str; 2] = ["Lease", "ComponentStatus"];

/// Collects evidence about some namespaces into a folder. Goes on whatever fails and returns what could not be had.
pub async fn collect(access: &Access, namespaces: &BTreeSet<String>, folder: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) =
        std::fs::create_dir_all(folder.join("objects")).and_then(|()| std::fs::create_dir_all(folder.join("logs")))
    {
        return vec![format!("cannot make {}: {error}", folder.display())];
    }
    objects(access, namespaces, folder, &mut problems).await;
    for namespace in namespaces {
        logs(access, namespace, folder, &mut problems).await;
    }
    problems
}

/// Namespaces that runs have made, for clients among others.
///
/// # Errors
/// They cannot be listed.
pub async fn namespaces_of_runs(access: &Access) -> Result<Vec<String>, String> {
    let api: Api<Namespace> = Api::all(access.client.clone());
    let list = api.list(&ListParams::default().labels(RUN_LABEL)).await;
    let list = list.map_err(|error| format!("cannot list namespaces: {}", said(&error)))?;
    Ok(list.items.iter().map(ResourceExt::name_any).collect())
}

async fn objects(access: &Access, namespaces: &BTreeSet<String>, folder: &Path, problems: &mut Vec<String>) {
    let kinds = match Discovery::new(access.client.clone()).run().await {
        Ok(kinds) => kinds,
        Err(error) => return problems.push(format!("cannot discover kinds: {}", said(&error))),
    };
    for group in kinds.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if !capabilities.supports_operation(verbs::LIST) || UNINTERESTING.contains(&resource.kind.as_str()) {
                continue;
            }
            let apis: Vec<(String, Api<DynamicObject>)> = match capabilities.scope {
                Scope::Cluster if resource.kind == "Namespace" => continue,
                Scope::Cluster => vec![("cluster".to_owned(), Api::all_with(access.client.clone(), &resource))],
                Scope::Namespaced => namespaces
                    .iter()
                    .map(|ns| (ns.clone(), Api::namespaced_with(access.client.clone(), ns, &resource)))
                    .collect(),
            };
            for (place, api) in apis {
                let file = folder.join("objects").join(format!("{place}.{}.json", resource.plural));
                match api.list(&ListParams::default()).await {
                    Ok(list) if list.items.is_empty() => {}
                    Ok(list) => write_objects(&file, list.items, problems),
                    Err(error) => {
                        problems.push(format!("cannot list {} in {place}: {}", resource.plural, said(&error)))
                    }
                }
            }
        }
    }
}

fn write_objects(file: &Path, items: Vec<DynamicObject>, problems: &mut Vec<String>) {
    let values: Result<Vec<Value>, _> = items.into_iter().map(serde_json::to_value).collect();
    let written = values
        .map(|values| values.into_iter().map(redacted).collect::<Vec<Value>>())
        .and_then(|values| serde_json::to_string_pretty(&values))
        .map_err(|error| error.to_string())
        .and_then(|text| std::fs::write(file, text).map_err(|error| error.to_string()));
    if let Err(error) = written {
        problems.push(format!("cannot write {}: {error}", file.display()));
    }
}

/// The object without what must not be told: data of secrets, and the copies that tools keep of it.
pub fn redacted(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    // Items of a list carry no kind of their own; a Secret is known by having data and a type.
    let is_secret = object["kind"] == "Secret" || (object["type"].is_string() && object["data"].is_object());
    if is_secret {
        for field in ["data", "stringData"] {
            if let Some(data) = object.get_mut(field).and_then(Value::as_object_mut) {
                data.values_mut().for_each(|value| *value = Value::from("REDACTED"));
            }
        }
    }
    object
}

async fn logs(access: &Access, namespace: &str, folder: &Path, problems: &mut Vec<String>) {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), namespace);
    let pods = match pods.list(&ListParams::default()).await {
        Ok(pods) => pods.items,
        Err(error) => return problems.push(format!("cannot list pods in {namespace}: {}", said(&error))),
    };
    for pod in &pods {
        for (container, restarted) in containers(pod) {
            let name = pod.name_any();
            let place = Place { namespace, pod: &name, container: &container };
            for previous in [false, true].into_iter().filter(|previous| !previous || restarted) {
                let suffix = if previous { ".previous.log" } else { ".log" };
                let file = folder.join("logs").join(format!("{namespace}.{name}.{container}{suffix}"));
                match exec::logs(access, place, previous, None).await {
                    Ok(text) => {
                        if let Err(error) = std::fs::write(&file, text) {
                            problems.push(format!("cannot write {}: {error}", file.display()));
                        }
                    }
                    Err(error) => problems.push(format!("no log of {place}: {error}")),
                }
            }
        }
    }
}

/// Names of the containers that ever started, and whether each has a previous instance.
fn containers(pod: &Pod) -> Vec<(String, bool)> {
    let status = pod.status.clone().unwrap_or_default();
    let all = [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten();
    let started = all.filter(|c| c.state.as_ref().is_some_and(|s| s.waiting.is_none()) || c.restart_count > 0);
    started.map(|c| (c.name, c.restart_count > 0)).collect()
}

/// The last lines of every container that is not ready, for a message that cannot wait for a folder to be read.
pub async fn last_words(access: &Access, pods: &[std::sync::Arc<Pod>], lines: i64) -> Vec<String> {
    let mut words = Vec::new();
    for pod in pods {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        for status in pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten()).filter(|c| !c.ready) {
            let place = Place { namespace: &namespace, pod: &name, container: &status.name };
            let mut text = exec::logs(access, place, false, Some(lines)).await.unwrap_or_default();
            if text.trim().is_empty() {
                text = exec::logs(access, place, true, Some(lines)).await.unwrap_or_default();
            }
            if !text.trim().is_empty() {
                words.push(format!("last words of {place}:\n    {}", text.trim_end().replace('\n', "\n    ")));
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_of_a_secret_is_left() {
        let last = json!({"kubectl.kubernetes.io/last-applied-configuration": "s3cret"});
        for kind in [json!("Secret"), Value::Null] {
            let secret = json!({"kind": kind, "type": "Opaque", "metadata": {"name": "s", "annotations": last, "managedFields": []},
                "data": {"API_KEY": "czNjcmV0"}, "stringData": {"OTHER": "s3cret"}});
            let text = redacted(secret).to_string();
            assert!(!text.contains("s3cret") && !text.contains("czNjcmV0"), "{text}");
            assert!(text.contains("API_KEY"), "which keys there are is no secret: {text}");
        }
    }

    #[test]
    fn other_objects_keep_their_data() {
        let map = json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}});
        assert_eq!(redacted(map.clone()), map);
    }
}
