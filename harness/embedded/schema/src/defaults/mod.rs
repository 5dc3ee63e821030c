//! Defaults of the built-in kinds as Kubernetes applies them, which is more than its OpenAPI document says.
//!
//! What needs other objects (service accounts, priorities, cluster addresses, limit ranges) is admission, not here.
//!
//! - [`pod`], [`volumes`]: pods and pod templates
//! - [`workloads`]: the controllers of pods
//! - [`network`]: Services, endpoints, policies
//! - [`storage`]: volumes, claims, classes
//! - [`cluster`]: everything else

mod cluster;
mod network;
mod pod;
mod storage;
mod volumes;
mod workloads;

use serde_json::{Map, Value};

use crate::builtin::Schemas;
use crate::canonical::canonicalize;
use crate::model::Gvk;

type Object = Map<String, Value>;

/// Fills in what the author of a built-in object left to Kubernetes. Expects a canonical object and leaves one.
pub fn default_object(gvk: &Gvk, object: &mut Value) {
    let Value::Object(root) = object else { return };
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => pod::pod(root),
        ("", "PodTemplate") => with(root, "template", pod::template),
        ("", "ReplicationController") => workloads::replication_controller(root),
        ("apps", "Deployment") => workloads::deployment(root),
        ("apps", "ReplicaSet") => workloads::replica_set(root),
        ("apps", "StatefulSet") => workloads::stateful_set(root),
        ("apps", "DaemonSet") => workloads::daemon_set(root),
        ("batch", "Job") => workloads::job(root),
        ("batch", "CronJob") => workloads::cron_job(root),
        ("autoscaling", "HorizontalPodAutoscaler") => workloads::autoscaler(root),
        ("", "Service") => network::service(root),
        ("", "Endpoints") => network::endpoints(root),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(root),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(root),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(root),
        ("", "PersistentVolume") => storage::volume(root),
        ("", "PersistentVolumeClaim") => storage::claim(root),
        ("storage.k8s.io", "StorageClass") => storage::class(root),
        ("storage.k8s.io", "CSIDriver") => storage::csi_driver(root),
        ("", "Secret") => cluster::secret(root),
        ("", "Namespace") => cluster::namespace(root),
        ("", "Node") => cluster::node(root),
        ("", "LimitRange") => cluster::limit_range(root),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => cluster::role_binding(root),
        ("scheduling.k8s.io", "PriorityClass") => cluster::priority_class(root),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => cluster::custom_resource_definition(root),
        _ => return,
    }
    if let Some(schema) = Schemas::builtin().kind(gvk) {
        canonicalize(&schema, object);
    }
}

/// Sets a field that is absent or null.
fn set(object: &mut Object, key: &str, value: impl Into<Value>) {
    if object.get(key).is_none_or(Value::is_null) {
        object.insert(key.to_owned(), value.into());
    }
}

/// Sets a text that is absent or empty.
fn set_text(object: &mut Object, key: &str, value: &str) {
    if text(object, key).is_empty() {
        object.insert(key.to_owned(), value.into());
    }
}

/// Sets a number that is absent or zero.
fn set_number(object: &mut Object, key: &str, value: i64) {
    if object.get(key).and_then(Value::as_i64).unwrap_or(0) == 0 {
        object.insert(key.to_owned(), value.into());
    }
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Defaults inside a nested object, if it is there.
fn with(object: &mut Object, key: &str, inner: impl FnOnce(&mut Object)) {
    if let Some(Value::Object(nested)) = object.get_mut(key) {
        inner(nested);
    }
}

/// Defaults inside a nested object, which is made if it is not there.
fn within(object: &mut Object, key: &str, inner: impl FnOnce(&mut Object)) {
    set(object, key, Map::new());
    with(object, key, inner);
}

/// Defaults inside each element of a list of objects.
fn each(object: &mut Object, key: &str, inner: impl Fn(&mut Object)) {
    if let Some(Value::Array(items)) = object.get_mut(key) {
        items.iter_mut().filter_map(Value::as_object_mut).for_each(inner);
    }
}

#[cfg(test)]
mod tests;
