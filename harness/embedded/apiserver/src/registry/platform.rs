//! What pods, nodes and volumes are given on their way in.

use embedded_apimachinery::object::{self, list_at, str_at};
use embedded_apimachinery::resource::{NODES, PERSISTENT_VOLUMES, PODS};
use embedded_apimachinery::timestamp;
use serde_json::{Value, json};

use crate::catalog::Resource;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub fn complete_create(resource: &Resource, object: &mut Value) {
    if resource.id == PODS && !list_at(object, "/spec/schedulingGates").is_empty() {
        object::map_at_mut(object, &["status"]).insert("conditions".into(), json!([gated()]));
    } else if resource.id == NODES {
        keep_pods_away(object);
    } else if resource.id == PERSISTENT_VOLUMES {
        let status = object::map_at_mut(object, &["status"]);
        status.insert("lastPhaseTransitionTime".into(), timestamp::now().into());
    }
}

fn gated() -> Value {
    json!({"type": "PodScheduled", "status": "False", "lastProbeTime": null, "lastTransitionTime": timestamp::now(),
        "reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates"})
}

/// A new node takes pods once the node controller has seen how it is.
fn keep_pods_away(node: &mut Value) {
    let mut taints = list_at(node, "/spec/taints").to_vec();
    if !taints.iter().any(|taint| str_at(taint, "/key") == NOT_READY && str_at(taint, "/effect") == "NoSchedule") {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
    object::map_at_mut(node, &["spec"]).insert("taints".into(), taints.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use embedded_apimachinery::GroupResource;

    fn completed(id: &GroupResource, mut object: Value) -> Value {
        complete_create(&Catalog::default().stored(id).unwrap(), &mut object);
        object
    }

    #[test]
    fn only_gated_pods_are_marked() {
        let pod = completed(&PODS, json!({"spec": {"schedulingGates": [{"name": "g"}]}, "status": {}}));
        assert_eq!(object::condition(&pod, "PodScheduled").unwrap()["reason"], "SchedulingGated");
        assert!(completed(&PODS, json!({"spec": {}, "status": {}}))["status"].get("conditions").is_none());
    }

    #[test]
    fn new_nodes_are_tainted_once() {
        let node = completed(&NODES, json!({"spec": {}}));
        assert_eq!(node["spec"]["taints"], json!([{"key": NOT_READY, "effect": "NoSchedule"}]));
        assert_eq!(completed(&NODES, node.clone()), node);
    }
}
