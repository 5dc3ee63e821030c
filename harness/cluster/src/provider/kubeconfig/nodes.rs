//! Which nodes of a cluster may be disturbed, and which is left in peace.

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

/// The nodes of a cluster as a run uses them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Those that scenarios may disturb.
    pub workers: Vec<String>,
    /// Where clients live.
    pub quiet: Option<String>,
}

/// Enough nodes that one can be set aside and another drained.
const ENOUGH: usize = 3;

/// The last of the nodes that take pods is set aside, where there are enough of them.
pub fn choose(nodes: &[Node]) -> Nodes {
    let mut workers: Vec<String> = nodes.iter().filter(|node| takes_pods(node)).map(ResourceExt::name_any).collect();
    workers.sort();
    let quiet = if workers.len() >= ENOUGH { workers.pop() } else { None };
    Nodes { workers, quiet }
}

fn takes_pods(node: &Node) -> bool {
    let spec = node.spec.clone().unwrap_or_default();
    let keeps_off =
        |taint: &k8s_openapi::api::core::v1::Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    is_ready && !spec.unschedulable.unwrap_or(false) && !spec.taints.iter().flatten().any(keeps_off)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, ready: &str, cordoned: bool, taint: &str) -> Node {
        let taints = if taint.is_empty() { json!([]) } else { json!([{"key": "k", "effect": taint}]) };
        serde_json::from_value(json!({"metadata": {"name": name},
            "spec": {"unschedulable": cordoned, "taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
        .unwrap()
    }

    #[test]
    fn only_nodes_that_take_pods_are_disturbed_and_one_is_set_aside() {
        let nodes = [
            node("d", "True", false, ""),
            node("a", "True", false, ""),
            node("b", "True", false, "PreferNoSchedule"),
            node("control", "True", false, "NoSchedule"),
            node("lost", "Unknown", false, ""),
            node("cordoned", "True", true, ""),
        ];
        let expected = Nodes { workers: vec!["a".into(), "b".into()], quiet: Some("d".into()) };
        assert_eq!(choose(&nodes), expected);
    }

    #[test]
    fn too_few_nodes_are_all_used() {
        let nodes = [node("a", "True", false, ""), node("b", "True", false, "")];
        assert_eq!(choose(&nodes), Nodes { workers: vec!["a".into(), "b".into()], quiet: None });
    }
}
