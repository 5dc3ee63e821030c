//! What a cluster starts with: its namespaces, default roles and priority classes.

use embedded_apimachinery::resource::{
    CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, PRIORITY_CLASSES, ROLE_BINDINGS, ROLES,
};
use embedded_apimachinery::{Actor, Api, GroupResource};
use serde_json::{Value, json};

use crate::registry::ApiServer;

const NAMESPACE_NAMES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
const RBAC: &str = "rbac.authorization.k8s.io";
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// Creates what is missing.
pub fn run(server: &ApiServer) {
    let actor = Actor::system("apiserver");
    let create = |id: &GroupResource, namespace: &str, object: Value| {
        if let Err(error) = server.create(&actor, id, namespace, object)
            && !error.is_already_exists()
        {
            tracing::error!(%error, resource = %id, "creating an initial object failed");
        }
    };
    for name in NAMESPACE_NAMES {
        create(&NAMESPACES, "", json!({"metadata": {"name": name}}));
    }
    for (name, rules) in cluster_roles() {
        create(&CLUSTER_ROLES, "", json!({"metadata": metadata(name), "rules": rules}));
    }
    for (name, role, group) in CLUSTER_BINDINGS {
        create(&CLUSTER_ROLE_BINDINGS, "", binding(name, "ClusterRole", role, group));
    }
    create(
        &ROLES,
        "kube-public",
        json!({"metadata": metadata("system:controller:bootstrap-signer"),
        "rules": [rule(&[""], &["configmaps"], &READ)]}),
    );
    create(
        &ROLE_BINDINGS,
        "kube-public",
        binding("system:controller:bootstrap-signer", "Role", "system:controller:bootstrap-signer", "system:masters"),
    );
    for (name, value) in [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)] {
        create(
            &PRIORITY_CLASSES,
            "",
            json!({"metadata": {"name": name}, "value": value,
            "preemptionPolicy": "PreemptLowerPriority", "description": "Used for system critical pods."}),
        );
    }
}

/// Binding, role and group.
const CLUSTER_BINDINGS: [(&str, &str, &str); 6] = [
    ("cluster-admin", "cluster-admin", "system:masters"),
    ("system:basic-user", "system:basic-user", "system:authenticated"),
    ("system:discovery", "system:discovery", "system:authenticated"),
    ("system:public-info-viewer", "system:public-info-viewer", "system:authenticated"),
    ("system:public-info-viewer:anonymous", "system:public-info-viewer", "system:unauthenticated"),
    ("system:service-account-issuer-discovery", "system:service-account-issuer-discovery", "system:serviceaccounts"),
];

fn cluster_roles() -> Vec<(&'static str, Vec<Value>)> {
    let everything = vec![rule(&["*"], &["*"], &["*"]), paths(&["*"], &["*"])];
    let reviews = vec![
        rule(&["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], &["create"]),
        rule(&["authentication.k8s.io"], &["selfsubjectreviews"], &["create"]),
    ];
    let health = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let discovery = [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    let view = rules_of_namespace(&READ, false);
    let mut edit = rules_of_namespace(&READ, true);
    edit.extend(rules_of_namespace(&WRITE, true));
    edit.push(rule(&[""], &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"], &["*"]));
    edit.push(rule(&[""], &["pods/eviction", "serviceaccounts/token"], &["create"]));
    let mut admin = edit.clone();
    admin.push(rule(&[RBAC], &["roles", "rolebindings"], &["*"]));
    admin.push(rule(&["authorization.k8s.io"], &["localsubjectaccessreviews"], &["create"]));
    vec![
        ("cluster-admin", everything),
        ("admin", admin),
        ("edit", edit),
        ("view", view),
        ("system:basic-user", reviews),
        ("system:discovery", vec![paths(&discovery, &["get"])]),
        ("system:public-info-viewer", vec![paths(&health, &["get"])]),
        (
            "system:service-account-issuer-discovery",
            vec![paths(&["/.well-known/openid-configuration", "/openid/v1/jwks"], &["get"])],
        ),
    ]
}

/// What users of a namespace work with. Viewers do not see Secrets.
fn rules_of_namespace(verbs: &[&str], secrets: bool) -> Vec<Value> {
    let mut core = vec![
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
        "pods/log",
        "pods/status",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "replicationcontrollers/status",
        "resourcequotas",
        "resourcequotas/status",
        "serviceaccounts",
        "services",
        "services/status",
    ];
    if secrets {
        core.push("secrets");
    }
    let mut rules = vec![
        rule(&[""], &core, verbs),
        rule(&["apps"], &["*"], verbs),
        rule(&["autoscaling"], &["*"], verbs),
        rule(&["batch"], &["*"], verbs),
        rule(&["policy"], &["*"], verbs),
        rule(&["networking.k8s.io"], &["ingresses", "ingresses/status", "networkpolicies"], verbs),
        rule(&["discovery.k8s.io"], &["endpointslices"], verbs),
    ];
    if verbs == READ {
        rules.push(rule(&[""], &["namespaces", "namespaces/status"], verbs));
    }
    rules
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": groups, "resources": resources})
}

fn paths(urls: &[&str], verbs: &[&str]) -> Value {
    json!({"verbs": verbs, "nonResourceURLs": urls})
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}})
}

fn binding(name: &str, kind: &str, role: &str, group: &str) -> Value {
    json!({"metadata": metadata(name), "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "Group", "apiGroup": RBAC, "name": group}]})
}
