//! The order in which objects are applied: what others refer to comes first.

use serde_json::Value;

/// Kinds from first to last; kinds not listed (custom resources and the like) come after all of these.
const ORDER: [&str; 23] = [
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "StorageClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Service",
    "StatefulSet",
    "Deployment",
    "DaemonSet",
    "Job",
    "CronJob",
];

/// Sorts objects by dependency; equal kinds keep their order.
pub fn by_dependency(objects: &mut [Value]) {
    objects.sort_by_key(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_refer_to_comes_first() {
        let mut objects: Vec<Value> = ["ServiceMonitor", "Deployment", "Service", "Namespace", "ConfigMap"]
            .iter()
            .map(|kind| json!({"kind": kind}))
            .collect();
        by_dependency(&mut objects);
        let kinds: Vec<&str> = objects.iter().filter_map(|o| o["kind"].as_str()).collect();
        assert_eq!(kinds, ["Namespace", "ConfigMap", "Service", "Deployment", "ServiceMonitor"]);
    }
}
