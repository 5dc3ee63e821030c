//! What objects count for in ResourceQuotas, and which quotas count them.
//!
//! Shared by admission, which charges, and the quota controller, which counts afresh. Rules:
//! kubernetes.io/docs/concepts/policy/resource-quotas.

use serde_json::{Value, json};

use crate::object::{self, int_at, list_at, str_at};
use crate::pod_resources::{self, ResourceList};
use crate::quantity::Quantity;
use crate::resource::{GroupResource, PERSISTENT_VOLUME_CLAIMS, PODS, SERVICES};
use crate::volume_match::requested;

/// Core resources counted under their bare names too, as before `count/` was introduced.
const COUNTED: [&str; 7] =
    ["pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims"];

/// What one object uses, by the names that quotas limit.
pub fn usage(id: &GroupResource, object: &Value) -> ResourceList {
    let one = Quantity::whole(1);
    // Every object is counted, pods that have ended too: they are still kept.
    let mut usage = ResourceList::from([(format!("count/{id}"), one)]);
    if *id == PODS && object::pod_is_terminal(object) {
        return usage;
    }
    if id.group.is_empty() && COUNTED.contains(&&*id.resource) {
        usage.insert(id.resource.to_string(), one);
    }
    match id {
        id if *id == PODS => usage.extend(of_pod(object)),
        id if *id == PERSISTENT_VOLUME_CLAIMS => usage.extend(of_claim(object)),
        id if *id == SERVICES => usage.extend(of_service(object)),
        _ => {}
    }
    usage
}

fn of_pod(pod: &Value) -> ResourceList {
    let mut usage = ResourceList::new();
    for (name, amount) in pod_resources::requests(pod) {
        if ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()) {
            usage.insert(name.clone(), amount);
        }
        usage.insert(format!("requests.{name}"), amount);
    }
    usage.extend(pod_resources::limits(pod).into_iter().map(|(name, amount)| (format!("limits.{name}"), amount)));
    usage
}

fn of_claim(claim: &Value) -> ResourceList {
    let mut usage = ResourceList::from([("requests.storage".to_owned(), requested(claim))]);
    let class = str_at(claim, "/spec/storageClassName");
    if !class.is_empty() {
        let prefix = format!("{class}.storageclass.storage.k8s.io");
        usage.insert(format!("{prefix}/requests.storage"), requested(claim));
        usage.insert(format!("{prefix}/persistentvolumeclaims"), Quantity::whole(1));
    }
    usage
}

fn of_service(service: &Value) -> ResourceList {
    let kind = str_at(service, "/spec/type");
    let ports = i64::try_from(list_at(service, "/spec/ports").len()).unwrap_or(0);
    let node_ports = if ["NodePort", "LoadBalancer"].contains(&kind) { ports } else { 0 };
    ResourceList::from([
        ("services.nodeports".to_owned(), Quantity::whole(node_ports)),
        ("services.loadbalancers".to_owned(), Quantity::whole(i64::from(kind == "LoadBalancer"))),
    ])
}

/// Whether a quota counts an object: quotas may be for some pods only.
pub fn in_scope(quota: &Value, id: &GroupResource, object: &Value) -> bool {
    let plain = list_at(quota, "/spec/scopes").iter().map(|s| json!({"scopeName": s, "operator": "Exists"}));
    let selected = list_at(quota, "/spec/scopeSelector/matchExpressions").iter().cloned();
    let scopes: Vec<Value> = plain.chain(selected).collect();
    scopes.is_empty() || (*id == PODS && scopes.iter().all(|scope| pod_in_scope(scope, object)))
}

fn pod_in_scope(scope: &Value, pod: &Value) -> bool {
    let best_effort = pod_resources::requests(pod).is_empty() && pod_resources::limits(pod).is_empty();
    let terminating = int_at(pod, "/spec/activeDeadlineSeconds").is_some();
    match str_at(scope, "/scopeName") {
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "PriorityClass" => {
            let class = str_at(pod, "/spec/priorityClassName");
            let named = list_at(scope, "/values").iter().any(|v| v == class);
            match str_at(scope, "/operator") {
                "In" => named,
                "NotIn" => !named,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{DEPLOYMENTS, SECRETS};

    fn used(id: &GroupResource, object: Value, name: &str) -> Option<String> {
        usage(id, &object).get(name).map(Quantity::to_string)
    }

    #[test]
    fn objects_count_under_all_their_names() {
        let pod =
            || json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "400m"}, "limits": {"cpu": "1"}}}]}});
        let claim = || json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
        let service = || json!({"spec": {"type": "NodePort", "ports": [{}, {}]}});
        for (id, object, name, expected) in [
            (PODS, pod(), "pods", Some("1")),
            (PODS, pod(), "count/pods", Some("1")),
            (PODS, pod(), "cpu", Some("400m")),
            (PODS, pod(), "requests.cpu", Some("400m")),
            (PODS, pod(), "limits.cpu", Some("1")),
            (PODS, pod(), "requests.memory", None),
            (SECRETS, json!({}), "secrets", Some("1")),
            (DEPLOYMENTS, json!({}), "count/deployments.apps", Some("1")),
            (PERSISTENT_VOLUME_CLAIMS, claim(), "requests.storage", Some("1Gi")),
            (PERSISTENT_VOLUME_CLAIMS, claim(), "fast.storageclass.storage.k8s.io/requests.storage", Some("1Gi")),
            (SERVICES, service(), "services.nodeports", Some("2")),
        ] {
            assert_eq!(used(&id, object, name).as_deref(), expected, "{id} {name}");
        }
    }

    #[test]
    fn pods_that_ended_use_nothing_but_are_counted() {
        let ended = json!({"spec": {"containers": []}, "status": {"phase": "Succeeded"}});
        assert_eq!(used(&PODS, ended.clone(), "pods"), None);
        assert_eq!(used(&PODS, ended, "count/pods").as_deref(), Some("1"));
    }

    #[test]
    fn scopes_select_pods() {
        let pod = json!({"spec": {"containers": [{"name": "c"}], "activeDeadlineSeconds": 5}});
        for (scope, expected) in
            [("BestEffort", true), ("NotBestEffort", false), ("Terminating", true), ("NotTerminating", false)]
        {
            let quota = json!({"spec": {"scopes": [scope]}});
            assert_eq!(in_scope(&quota, &PODS, &pod), expected, "{scope}");
            assert!(!in_scope(&quota, &SECRETS, &pod));
        }
    }
}
