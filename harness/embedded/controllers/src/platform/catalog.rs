//! The kinds of objects there are: what the garbage collector follows owner references through, and what a namespace
//! may contain.

use embedded_apimachinery::object::{list_at, str_at};
use embedded_apimachinery::resource::*;
use embedded_apimachinery::{GroupResource, Object};
use serde_json::Value;

use crate::runtime::View;

/// Resource, kind, and whether its objects live in namespaces.
pub const BUILTIN: &[(GroupResource, &str, bool)] = &[
    (PODS, "Pod", true),
    (CONFIG_MAPS, "ConfigMap", true),
    (ENDPOINTS, "Endpoints", true),
    (LIMIT_RANGES, "LimitRange", true),
    (PERSISTENT_VOLUME_CLAIMS, "PersistentVolumeClaim", true),
    (POD_TEMPLATES, "PodTemplate", true),
    (REPLICATION_CONTROLLERS, "ReplicationController", true),
    (RESOURCE_QUOTAS, "ResourceQuota", true),
    (SECRETS, "Secret", true),
    (SERVICE_ACCOUNTS, "ServiceAccount", true),
    (SERVICES, "Service", true),
    (CONTROLLER_REVISIONS, "ControllerRevision", true),
    (DAEMON_SETS, "DaemonSet", true),
    (DEPLOYMENTS, "Deployment", true),
    (REPLICA_SETS, "ReplicaSet", true),
    (STATEFUL_SETS, "StatefulSet", true),
    (HORIZONTAL_POD_AUTOSCALERS, "HorizontalPodAutoscaler", true),
    (CRON_JOBS, "CronJob", true),
    (JOBS, "Job", true),
    (LEASES, "Lease", true),
    (ENDPOINT_SLICES, "EndpointSlice", true),
    (INGRESSES, "Ingress", true),
    (NETWORK_POLICIES, "NetworkPolicy", true),
    (POD_DISRUPTION_BUDGETS, "PodDisruptionBudget", true),
    (ROLE_BINDINGS, "RoleBinding", true),
    (ROLES, "Role", true),
    (CLUSTER_ROLE_BINDINGS, "ClusterRoleBinding", false),
    (CLUSTER_ROLES, "ClusterRole", false),
    (CUSTOM_RESOURCE_DEFINITIONS, "CustomResourceDefinition", false),
    (INGRESS_CLASSES, "IngressClass", false),
    (NAMESPACES, "Namespace", false),
    (NODES, "Node", false),
    (PERSISTENT_VOLUMES, "PersistentVolume", false),
    (PRIORITY_CLASSES, "PriorityClass", false),
    (STORAGE_CLASSES, "StorageClass", false),
];

/// What a kind is called among resources, and whether it lives in namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    pub resource: GroupResource,
    pub namespaced: bool,
}

/// The resource of a kind in an `apiVersion`, built in or custom. `None` when there is no such kind.
pub fn kind(view: &View, api_version: &str, kind: &str) -> Option<Kind> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let builtin = BUILTIN.iter().find(|(resource, name, _)| *name == kind && resource.group == group);
    if let Some((resource, _, namespaced)) = builtin {
        return Some(Kind { resource: resource.clone(), namespaced: *namespaced });
    }
    let definitions = view.all(&CUSTOM_RESOURCE_DEFINITIONS);
    definitions
        .filter(|d| str_at(d, "/spec/group") == group && str_at(d, "/spec/names/kind") == kind)
        .map(custom)
        .next()
}

/// Custom resources that are defined.
pub fn customs(view: &View) -> impl Iterator<Item = Kind> {
    let served = |definition: &&Object| list_at(definition, "/spec/versions").iter().any(|v| v["served"] == true);
    view.all(&CUSTOM_RESOURCE_DEFINITIONS).filter(served).map(custom)
}

fn custom(definition: &Object) -> Kind {
    let definition: &Value = definition;
    Kind {
        resource: GroupResource::new(str_at(definition, "/spec/group"), str_at(definition, "/spec/names/plural")),
        namespaced: str_at(definition, "/spec/scope") == "Namespaced",
    }
}
