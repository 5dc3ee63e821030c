//! What makes an object invalid, with the texts and causes of Kubernetes.
//!
//! - [`problems`]: the causes found so far, and checks that many fields share
//! - [`names`]: forms of names, keys and numbers
//! - [`metadata`], [`selector`]: what many kinds have
//! - [`pod`], [`containers`], [`environment`], [`probes`], [`resources`], [`scheduling`], [`volumes`]: pods
//! - [`workloads`], [`jobs`], [`schedule`]: controllers of pods
//! - [`network`], [`network_policy`], [`policy`], [`storage`], [`cluster`]: everything else

mod cluster;
mod containers;
mod environment;
mod jobs;
mod metadata;
mod names;
mod network;
mod network_policy;
mod pod;
mod policy;
mod probes;
mod problems;
mod resources;
mod schedule;
mod scheduling;
mod selector;
mod storage;
mod volumes;
mod workloads;

use serde_json::Value;

use crate::constraints;
use crate::model::{Gvk, KindSchema};
use problems::Problems;

type Create = fn(&mut Problems, &Value);
type Update = fn(&mut Problems, &Value, &Value);

/// The causes for which a new object is refused; none for a valid one. Expects a defaulted object.
pub fn validate_create(schema: &KindSchema, object: &Value) -> Vec<Value> {
    let mut found = Problems::default();
    if schema.custom {
        metadata::create(&mut found, object, names::dns_subdomain);
        found.causes.extend(constraints::validate(schema, object));
        return found.causes;
    }
    match rules(&schema.gvk.group, &schema.gvk.kind) {
        Some((create, _)) => create(&mut found, object),
        None if is_question(&schema.gvk) => {}
        None => metadata::create(&mut found, object, name_rule(&schema.gvk.kind)),
    }
    found.causes
}

/// The causes for which a change of an object, through the object itself, is refused. Expects defaulted objects.
pub fn validate_update(schema: &KindSchema, new: &Value, old: &Value) -> Vec<Value> {
    let mut found = Problems::default();
    if schema.custom {
        metadata::update(&mut found, new, old);
        found.causes.extend(constraints::validate(schema, new));
        return found.causes;
    }
    match rules(&schema.gvk.group, &schema.gvk.kind) {
        Some((_, update)) => update(&mut found, new, old),
        None => metadata::update(&mut found, new, old),
    }
    found.causes
}

/// What is asked of the server and not stored needs no name.
fn is_question(gvk: &Gvk) -> bool {
    matches!(gvk.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
        || matches!(gvk.kind.as_str(), "Binding" | "Eviction" | "Scale")
}

fn name_rule(kind: &str) -> fn(&str) -> Vec<String> {
    match kind {
        "Namespace" => names::dns_label,
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => names::path_segment,
        _ => names::dns_subdomain,
    }
}

fn rules(group: &str, kind: &str) -> Option<(Create, Update)> {
    let rules: (Create, Update) = match (group, kind) {
        ("", "Pod") => (pod::create, pod::update),
        ("", "ConfigMap") => (cluster::config_map, cluster::config_map_update),
        ("", "Secret") => (cluster::secret, cluster::secret_update),
        ("", "Service") => (network::service, network::service_update),
        ("", "Node") => (cluster::node, cluster::node_update),
        ("", "Event") => (cluster::event, |found, new, _| cluster::event(found, new)),
        ("", "PersistentVolume") => (storage::volume, storage::volume_update),
        ("", "PersistentVolumeClaim") => (storage::claim, storage::claim_update),
        ("", "ResourceQuota") => (policy::resource_quota, policy::resource_quota_update),
        ("", "LimitRange") => (policy::limit_range, policy::limit_range_update),
        ("apps", "Deployment") => (workloads::deployment, workloads::deployment_update),
        ("apps", "ReplicaSet") => (workloads::replica_set, workloads::replica_set_update),
        ("apps", "StatefulSet") => (workloads::stateful_set, workloads::stateful_set_update),
        ("apps", "DaemonSet") => (workloads::daemon_set, workloads::daemon_set_update),
        ("apps", "ControllerRevision") => {
            (|found, new| metadata::create(found, new, names::dns_subdomain), cluster::controller_revision_update)
        }
        ("batch", "Job") => (jobs::job, jobs::job_update),
        ("batch", "CronJob") => (jobs::cron_job, jobs::cron_job_update),
        ("autoscaling", "HorizontalPodAutoscaler") => (policy::autoscaler, policy::autoscaler_update),
        ("policy", "PodDisruptionBudget") => (policy::disruption_budget, policy::disruption_budget_update),
        ("networking.k8s.io", "Ingress") => (network::ingress, network::ingress_update),
        ("networking.k8s.io", "NetworkPolicy") => (network_policy::create, network_policy::update),
        ("discovery.k8s.io", "EndpointSlice") => (network::endpoint_slice, network::endpoint_slice_update),
        ("storage.k8s.io", "StorageClass") => (storage::class, storage::class_update),
        ("coordination.k8s.io", "Lease") => (cluster::lease, cluster::lease_update),
        ("scheduling.k8s.io", "PriorityClass") => (cluster::priority_class, cluster::priority_class_update),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => (cluster::role, cluster::role_update),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            (cluster::role_binding, cluster::role_binding_update)
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            (cluster::custom_resource_definition, cluster::custom_resource_definition_update)
        }
        _ => return None,
    };
    Some(rules)
}
