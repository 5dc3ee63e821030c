//! Names of API resources.
//!
//! The store keeps one representation per resource, so a resource is identified by its group and plural name alone;
//! versions are a matter of the API surface.

use std::borrow::Cow;
use std::fmt;

/// A resource: its API group (empty for the core group) and plural name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    pub group: Cow<'static, str>,
    pub resource: Cow<'static, str>,
}

impl GroupResource {
    /// A built-in resource, usable in constants.
    pub const fn builtin(group: &'static str, resource: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), resource: Cow::Borrowed(resource) }
    }

    /// A resource whose names are only known at run time (custom resources, request paths).
    pub fn new(group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: Cow::Owned(group.into()), resource: Cow::Owned(resource.into()) }
    }
}

/// `deployments.apps`, or `pods` in the core group, as Kubernetes writes it in messages.
impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => f.write_str(&self.resource),
            group => write!(f, "{}.{group}", self.resource),
        }
    }
}

macro_rules! builtin {
    ($($name:ident = $group:literal / $resource:literal;)*) => {
        $(pub const $name: GroupResource = GroupResource::builtin($group, $resource);)*
    };
}

builtin! {
    CONFIG_MAPS = "" / "configmaps";
    ENDPOINTS = "" / "endpoints";
    CORE_EVENTS = "" / "events";
    LIMIT_RANGES = "" / "limitranges";
    NAMESPACES = "" / "namespaces";
    NODES = "" / "nodes";
    PERSISTENT_VOLUME_CLAIMS = "" / "persistentvolumeclaims";
    PERSISTENT_VOLUMES = "" / "persistentvolumes";
    PODS = "" / "pods";
    POD_TEMPLATES = "" / "podtemplates";
    REPLICATION_CONTROLLERS = "" / "replicationcontrollers";
    RESOURCE_QUOTAS = "" / "resourcequotas";
    SECRETS = "" / "secrets";
    SERVICE_ACCOUNTS = "" / "serviceaccounts";
    SERVICES = "" / "services";
    CONTROLLER_REVISIONS = "apps" / "controllerrevisions";
    DAEMON_SETS = "apps" / "daemonsets";
    DEPLOYMENTS = "apps" / "deployments";
    REPLICA_SETS = "apps" / "replicasets";
    STATEFUL_SETS = "apps" / "statefulsets";
    HORIZONTAL_POD_AUTOSCALERS = "autoscaling" / "horizontalpodautoscalers";
    CRON_JOBS = "batch" / "cronjobs";
    JOBS = "batch" / "jobs";
    LEASES = "coordination.k8s.io" / "leases";
    ENDPOINT_SLICES = "discovery.k8s.io" / "endpointslices";
    INGRESSES = "networking.k8s.io" / "ingresses";
    INGRESS_CLASSES = "networking.k8s.io" / "ingressclasses";
    NETWORK_POLICIES = "networking.k8s.io" / "networkpolicies";
    POD_DISRUPTION_BUDGETS = "policy" / "poddisruptionbudgets";
    CLUSTER_ROLE_BINDINGS = "rbac.authorization.k8s.io" / "clusterrolebindings";
    CLUSTER_ROLES = "rbac.authorization.k8s.io" / "clusterroles";
    ROLE_BINDINGS = "rbac.authorization.k8s.io" / "rolebindings";
    ROLES = "rbac.authorization.k8s.io" / "roles";
    PRIORITY_CLASSES = "scheduling.k8s.io" / "priorityclasses";
    STORAGE_CLASSES = "storage.k8s.io" / "storageclasses";
    CUSTOM_RESOURCE_DEFINITIONS = "apiextensions.k8s.io" / "customresourcedefinitions";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_resources_are_named_without_a_group() {
        assert_eq!(PODS.to_string(), "pods");
        assert_eq!(DEPLOYMENTS.to_string(), "deployments.apps");
    }

    #[test]
    fn names_compare_equal_however_they_were_made() {
        assert_eq!(GroupResource::new("apps", "deployments"), DEPLOYMENTS);
    }
}
