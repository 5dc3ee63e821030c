//! What each kind does on a write beyond its schema: status, generation, and what subresources may touch.

use embedded_apimachinery::resource::{DEPLOYMENTS, NAMESPACES, NODES, PODS};
use embedded_apimachinery::{Result, Status, object, timestamp};
use serde_json::{Value, json};

use super::{platform, workloads};
use crate::catalog::Resource;

/// Before defaulting: drops what writers may not set and puts the initial status in its place.
pub fn prepare_create(resource: &Resource, object: &mut Value) {
    if resource.id == NAMESPACES {
        prepare_namespace(object);
    }
    if resource.has_status()
        && resource.id != NODES
        && let Value::Object(fields) = object
    {
        fields.shift_remove("status");
        if let Some(status) = initial_status(resource) {
            fields.insert("status".into(), status);
        }
    }
}

/// After defaulting and admission: what follows from other fields.
pub fn complete_create(resource: &Resource, object: &mut Value) {
    if resource.id == PODS {
        let class = qos_class(object);
        object::map_at_mut(object, &["status"]).insert("qosClass".into(), class.into());
    }
    platform::complete_create(resource, object);
    workloads::complete_create(resource, object);
}

fn prepare_namespace(object: &mut Value) {
    const FINALIZER: &str = "kubernetes";
    let name = object::name(object).to_owned();
    object::set_label(object, "kubernetes.io/metadata.name", &name);
    let mut finalizers = object::list_at(object, "/spec/finalizers").to_vec();
    if !finalizers.iter().any(|f| f == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
    object::map_at_mut(object, &["spec"]).insert("finalizers".into(), finalizers.into());
}

/// Status fields that Kubernetes always writes, since its types do not omit them when they are zero.
fn initial_status(resource: &Resource) -> Option<Value> {
    if resource.custom.is_some() {
        return None;
    }
    Some(match &*resource.id.resource {
        "namespaces" => json!({"phase": "Active"}),
        "pods" | "persistentvolumeclaims" | "persistentvolumes" => json!({"phase": "Pending"}),
        "services" | "ingresses" => json!({"loadBalancer": {}}),
        "replicasets" | "replicationcontrollers" => json!({"replicas": 0}),
        "statefulsets" => json!({"replicas": 0, "availableReplicas": 0}),
        "daemonsets" => json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0,
            "numberReady": 0}),
        "poddisruptionbudgets" => json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0,
            "expectedPods": 0}),
        "horizontalpodautoscalers" => json!({"desiredReplicas": 0, "currentMetrics": null}),
        _ => json!({}),
    })
}

/// Of what a writer sends, keeps what the (sub)resource lets it change.
pub fn prepare_update(resource: &Resource, subresource: &str, current: &Value, mut changed: Value) -> Result<Value> {
    if resource.id == NAMESPACES && subresource != "finalize" {
        changed["spec"] = current["spec"].clone();
        let name = object::name(current).to_owned();
        object::set_label(&mut changed, "kubernetes.io/metadata.name", &name);
    }
    match subresource {
        "" | "scale" if resource.has_status() => set_or_remove(&mut changed, "status", current.get("status")),
        "status" => {
            changed = with_metadata(current, &changed, |kept, changed| {
                set_or_remove(kept, "status", changed.get("status"));
                if resource.id == DEPLOYMENTS {
                    // Their controller notes the revision along with the status, which counts as no change of wishes.
                    set_or_remove(&mut kept["metadata"], "annotations", changed["metadata"].get("annotations"));
                }
            })
        }
        "finalize" => {
            changed = with_metadata(current, &changed, |kept, changed| {
                kept["spec"] = changed["spec"].clone();
            })
        }
        "ephemeralcontainers" => {
            changed = with_metadata(current, &changed, |kept, changed| {
                kept["spec"]["ephemeralContainers"] = changed["spec"]["ephemeralContainers"].clone();
            })
        }
        "resize" => changed = with_metadata(current, &changed, copy_resources),
        "binding" => changed = bound(resource, current, &changed)?,
        _ => {}
    }
    Ok(changed)
}

/// The current object with what `copy` takes from the changed one.
fn with_metadata(current: &Value, changed: &Value, copy: impl FnOnce(&mut Value, &Value)) -> Value {
    let mut kept = current.clone();
    if let Some(fields) = changed["metadata"].get("managedFields") {
        object::metadata_mut(&mut kept).insert("managedFields".into(), fields.clone());
    }
    copy(&mut kept, changed);
    kept
}

fn copy_resources(kept: &mut Value, changed: &Value) {
    let Some(containers) = kept.pointer_mut("/spec/containers").and_then(Value::as_array_mut) else { return };
    for container in containers {
        let name = container["name"].clone();
        let new = object::list_at(changed, "/spec/containers").iter().find(|c| c["name"] == name);
        if let Some(resources) = new.and_then(|c| c.get("resources")) {
            container["resources"] = resources.clone();
        }
    }
}

/// A pod is assigned to a node once, which is also when it counts as scheduled.
fn bound(resource: &Resource, current: &Value, changed: &Value) -> Result<Value> {
    let (pod, node) = (object::name(current), object::str_at(changed, "/spec/nodeName"));
    let assigned = object::str_at(current, "/spec/nodeName");
    if object::is_deleting(current) {
        let why = format!("pod {pod} is being deleted, cannot be assigned to a host");
        return Err(Status::conflict(&resource.id, pod, &why));
    }
    if !assigned.is_empty() {
        let why = format!("pod {pod} is already assigned to node \"{assigned}\"");
        return Err(Status::conflict(&resource.id, pod, &why));
    }
    let mut kept = current.clone();
    kept["spec"]["nodeName"] = node.into();
    let mut conditions = object::list_at(current, "/status/conditions").to_vec();
    conditions.retain(|c| c["type"] != "PodScheduled");
    conditions.push(json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": timestamp::now(), "observedGeneration": object::generation(current).max(1)}));
    object::map_at_mut(&mut kept, &["status"]).insert("conditions".into(), conditions.into());
    Ok(kept)
}

fn set_or_remove(object: &mut Value, field: &str, value: Option<&Value>) {
    let Value::Object(fields) = object else { return };
    match value {
        Some(value) => {
            fields.insert(field.into(), value.clone());
        }
        None => {
            fields.shift_remove(field);
        }
    }
}

/// After defaulting: counts changes of what is desired.
pub fn complete_update(resource: &Resource, subresource: &str, current: &Value, changed: &mut Value) {
    let counts = !matches!(subresource, "status" | "binding");
    if counts {
        workloads::complete_update(resource, current, changed);
    }
    if resource.has_generation && counts && desires_differ(resource, current, changed) {
        let generation = object::generation(current) + 1;
        object::metadata_mut(changed).insert("generation".into(), generation.into());
    }
}

fn desires_differ(resource: &Resource, current: &Value, changed: &Value) -> bool {
    let annotations = |o: &Value| object::string_map(o.pointer("/metadata/annotations"));
    if resource.id == DEPLOYMENTS && annotations(current) != annotations(changed) {
        return true;
    }
    let desired = |key: &str| !["kind", "apiVersion", "metadata", "status"].contains(&key);
    let all = [current, changed].map(|o| o.as_object().into_iter().flatten().filter(|(k, _)| desired(k)).count());
    let same = |(key, value): (&String, &Value)| changed.get(key) == Some(value);
    all[0] != all[1] || !current.as_object().into_iter().flatten().filter(|(k, _)| desired(k)).all(same)
}

/// Which pods go first when memory is short (k8s.io/kubernetes/pkg/apis/core/helper/qos).
fn qos_class(pod: &Value) -> &'static str {
    let containers = ["/spec/initContainers", "/spec/containers"].map(|p| object::list_at(pod, p));
    let containers: Vec<&Value> = containers.into_iter().flatten().collect();
    let amount = |container: &Value, kind: &str, resource: &str| {
        let text = object::str_at(container, &format!("/resources/{kind}/{resource}")).to_owned();
        embedded_apimachinery::quantity::Quantity::parse(&text).map_or(0, |q| q.milli())
    };
    let any = |kind: &str| containers.iter().any(|c| ["cpu", "memory"].iter().any(|r| amount(c, kind, r) > 0));
    if !any("requests") && !any("limits") {
        return "BestEffort";
    }
    let guaranteed = containers.iter().all(|c| {
        ["cpu", "memory"].iter().all(|r| {
            let (request, limit) = (amount(c, "requests", r), amount(c, "limits", r));
            limit > 0 && (request == limit || request == 0)
        })
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use embedded_apimachinery::GroupResource;

    fn resource(id: &GroupResource) -> std::sync::Arc<Resource> {
        Catalog::default().stored(id).unwrap()
    }

    #[test]
    fn status_and_spec_are_written_apart() {
        let current = json!({"metadata": {"name": "d"}, "spec": {"replicas": 1}, "status": {"replicas": 1}});
        let sent = json!({"metadata": {"name": "d"}, "spec": {"replicas": 2}, "status": {"replicas": 9}});
        let main = prepare_update(&resource(&DEPLOYMENTS), "", &current, sent.clone()).unwrap();
        assert_eq!((&main["spec"]["replicas"], &main["status"]["replicas"]), (&json!(2), &json!(1)));
        let status = prepare_update(&resource(&DEPLOYMENTS), "status", &current, sent).unwrap();
        assert_eq!((&status["spec"]["replicas"], &status["status"]["replicas"]), (&json!(1), &json!(9)));
    }

    #[test]
    fn generation_follows_the_spec_and_a_deployments_annotations() {
        let deployments = resource(&DEPLOYMENTS);
        let current = json!({"metadata": {"name": "d", "generation": 1}, "spec": {"replicas": 1}});
        for (changed, expected) in [
            (json!({"metadata": {"name": "d", "generation": 1, "labels": {"a": "b"}}, "spec": {"replicas": 1}}), 1),
            (
                json!({"metadata": {"name": "d", "generation": 1, "annotations": {"a": "b"}}, "spec": {"replicas": 1}}),
                2,
            ),
            (json!({"metadata": {"name": "d", "generation": 1}, "spec": {"replicas": 2}}), 2),
        ] {
            let mut changed = changed;
            complete_update(&deployments, "", &current, &mut changed);
            assert_eq!(object::generation(&changed), expected, "{changed}");
        }
    }

    #[test]
    fn a_pod_is_bound_once() {
        let pods = resource(&PODS);
        let current = json!({"metadata": {"name": "p"}, "spec": {}});
        let wanted = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}});
        let bound = prepare_update(&pods, "binding", &current, wanted.clone()).unwrap();
        assert!(object::condition_is_true(&bound, "PodScheduled"));
        assert!(prepare_update(&pods, "binding", &bound, wanted).unwrap_err().is_conflict());
    }

    #[test]
    fn qos_follows_requests_and_limits() {
        let pod = |resources: Value| json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        for (resources, class) in [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), "Burstable"),
        ] {
            assert_eq!(qos_class(&pod(resources.clone())), class, "{resources}");
        }
    }
}
