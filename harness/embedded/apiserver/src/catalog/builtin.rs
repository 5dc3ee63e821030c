//! The built-in resources, in the order in which discovery lists their groups.

use embedded_apimachinery::GroupResource;

use crate::schema;

use super::{ALL_VERBS, NAMESPACE_VERBS, Resource, Subresource};

/// Group, version, plural, singular, kind, short names, categories, flags, subresources.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    u8,
    &'static [&'static str],
);

const NAMESPACED: u8 = 1;
/// `metadata.generation` is kept.
const GENERATION: u8 = 2;
/// Nothing is stored: only `create` is served.
const VIRTUAL: u8 = 4;
const NG: u8 = NAMESPACED | GENERATION;

const AUTHN: &str = "authentication.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const NET: &str = "networking.k8s.io";
const STATUS: &[&str] = &["status"];
const SCALE: &[&str] = &["scale", "status"];
const POD_SUBRESOURCES: &[&str] = &[
    "attach",
    "binding",
    "ephemeralcontainers",
    "eviction",
    "exec",
    "log",
    "portforward",
    "proxy",
    "resize",
    "status",
];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("", "v1", "bindings", "binding", "Binding", &[], &[], NAMESPACED | VIRTUAL, &[]),
    ("", "v1", "configmaps", "configmap", "ConfigMap", &["cm"], &[], NAMESPACED, &[]),
    ("", "v1", "endpoints", "endpoints", "Endpoints", &["ep"], &[], NAMESPACED, &[]),
    ("", "v1", "events", "event", "Event", &["ev"], &[], NAMESPACED, &[]),
    ("", "v1", "limitranges", "limitrange", "LimitRange", &["limits"], &[], NAMESPACED, &[]),
    ("", "v1", "namespaces", "namespace", "Namespace", &["ns"], &[], 0, &["finalize", "status"]),
    ("", "v1", "nodes", "node", "Node", &["no"], &[], 0, &["proxy", "status"]),
    ("", "v1", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", &["pvc"], &[], NAMESPACED, STATUS),
    ("", "v1", "persistentvolumes", "persistentvolume", "PersistentVolume", &["pv"], &[], 0, STATUS),
    ("", "v1", "pods", "pod", "Pod", &["po"], &["all"], NG, POD_SUBRESOURCES),
    ("", "v1", "podtemplates", "podtemplate", "PodTemplate", &[], &[], NG, &[]),
    ("", "v1", "replicationcontrollers", "replicationcontroller", "ReplicationController", &["rc"], &["all"], NG, SCALE),
    ("", "v1", "resourcequotas", "resourcequota", "ResourceQuota", &["quota"], &[], NAMESPACED, STATUS),
    ("", "v1", "secrets", "secret", "Secret", &[], &[], NAMESPACED, &[]),
    ("", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", &["sa"], &[], NAMESPACED, &["token"]),
    ("", "v1", "services", "service", "Service", &["svc"], &["all"], NAMESPACED, &["proxy", "status"]),
    ("apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", &[], &[], NAMESPACED, &[]),
    ("apps", "v1", "daemonsets", "daemonset", "DaemonSet", &["ds"], &["all"], NG, STATUS),
    ("apps", "v1", "deployments", "deployment", "Deployment", &["deploy"], &["all"], NG, SCALE),
    ("apps", "v1", "replicasets", "replicaset", "ReplicaSet", &["rs"], &["all"], NG, SCALE),
    ("apps", "v1", "statefulsets", "statefulset", "StatefulSet", &["sts"], &["all"], NG, SCALE),
    ("events.k8s.io", "v1", "events", "event", "Event", &["ev"], &[], NAMESPACED, &[]),
    (AUTHN, "v1", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", &[], &[], VIRTUAL, &[]),
    (AUTHN, "v1", "tokenreviews", "tokenreview", "TokenReview", &[], &[], VIRTUAL, &[]),
    (AUTHZ, "v1", "localsubjectaccessreviews", "localsubjectaccessreview", "LocalSubjectAccessReview", &[], &[], NAMESPACED | VIRTUAL, &[]),
    (AUTHZ, "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", &[], &[], VIRTUAL, &[]),
    (AUTHZ, "v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview", &[], &[], VIRTUAL, &[]),
    (AUTHZ, "v1", "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", &[], &[], VIRTUAL, &[]),
    ("autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler", &["hpa"], &["all"], NAMESPACED, STATUS),
    ("autoscaling", "v1", "horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler", &["hpa"], &["all"], NAMESPACED, STATUS),
    ("batch", "v1", "cronjobs", "cronjob", "CronJob", &["cj"], &["all"], NG, STATUS),
    ("batch", "v1", "jobs", "job", "Job", &[], &["all"], NG, STATUS),
    (NET, "v1", "ingressclasses", "ingressclass", "IngressClass", &[], &[], GENERATION, &[]),
    (NET, "v1", "ingresses", "ingress", "Ingress", &["ing"], &[], NG, STATUS),
    (NET, "v1", "networkpolicies", "networkpolicy", "NetworkPolicy", &["netpol"], &[], NG, &[]),
    ("policy", "v1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", &["pdb"], &[], NG, STATUS),
    (RBAC, "v1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", &[], &[], 0, &[]),
    (RBAC, "v1", "clusterroles", "clusterrole", "ClusterRole", &[], &[], 0, &[]),
    (RBAC, "v1", "rolebindings", "rolebinding", "RoleBinding", &[], &[], NAMESPACED, &[]),
    (RBAC, "v1", "roles", "role", "Role", &[], &[], NAMESPACED, &[]),
    ("storage.k8s.io", "v1", "storageclasses", "storageclass", "StorageClass", &["sc"], &[], 0, &[]),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition", &["crd", "crds"], &["api-extensions"], GENERATION, STATUS),
    ("scheduling.k8s.io", "v1", "priorityclasses", "priorityclass", "PriorityClass", &["pc"], &[], GENERATION, &[]),
    ("coordination.k8s.io", "v1", "leases", "lease", "Lease", &[], &[], NAMESPACED, &[]),
    ("discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", &[], &[], NG, &[]),
];

pub fn resources() -> Vec<Resource> {
    ROWS.iter().map(resource).collect()
}

fn resource(row: &Row) -> Resource {
    let (group, version, plural, singular, kind, short, categories, flags, subresources) = *row;
    let virtual_only = flags & VIRTUAL != 0;
    let verbs = match plural {
        _ if virtual_only => &["create"],
        "namespaces" => NAMESPACE_VERBS,
        _ => ALL_VERBS,
    };
    Resource {
        id: GroupResource::builtin(group, plural),
        version: version.into(),
        kind: kind.into(),
        singular: singular.into(),
        namespaced: flags & NAMESPACED != 0,
        short_names: short.iter().map(|&s| s.into()).collect(),
        categories: categories.iter().map(|&s| s.into()).collect(),
        verbs,
        subresources: subresources.iter().map(|name| subresource(plural, kind, name)).collect(),
        virtual_only,
        has_generation: flags & GENERATION != 0,
        schema: schema::builtin(group, version, kind),
        custom: None,
    }
}

fn subresource(plural: &str, kind: &str, name: &'static str) -> Subresource {
    const READ_WRITE: &[&str] = &["get", "patch", "update"];
    const STREAM: &[&str] = &["create", "get"];
    const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];
    let prefix = match plural {
        "nodes" => "Node",
        "services" => "Service",
        _ => "Pod",
    };
    let (group_version, kind, verbs): (Option<(&str, &str)>, String, &'static [&'static str]) = match name {
        "attach" => (None, "PodAttachOptions".into(), STREAM),
        "exec" => (None, "PodExecOptions".into(), STREAM),
        "portforward" => (None, "PodPortForwardOptions".into(), STREAM),
        "proxy" => (None, format!("{prefix}ProxyOptions"), PROXY),
        "binding" => (None, "Binding".into(), &["create"]),
        "eviction" => (Some(("policy", "v1")), "Eviction".into(), &["create"]),
        "token" => (Some(("authentication.k8s.io", "v1")), "TokenRequest".into(), &["create"]),
        "scale" => (Some(("autoscaling", "v1")), "Scale".into(), READ_WRITE),
        "log" => (None, kind.into(), &["get"]),
        "finalize" => (None, kind.into(), &["update"]),
        _ => (None, kind.into(), READ_WRITE),
    };
    Subresource { name, group_version, kind, verbs }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise namespaces would end with something left in them, and owners without their dependents.
    #[test]
    fn the_controllers_know_every_kind_that_is_stored() {
        for resource in resources().iter().filter(|r| !r.virtual_only && r.id.resource != "events") {
            let known = embedded_controllers::platform::catalog::BUILTIN.iter().find(|(id, ..)| *id == resource.id);
            let expected = Some((&*resource.kind, resource.namespaced));
            assert_eq!(known.map(|(_, kind, namespaced)| (*kind, *namespaced)), expected, "{}", resource.id);
        }
    }
}
