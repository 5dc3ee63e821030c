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

impl Nodes {
    /// Why nodes cannot be drained, in words.
    pub fn too_few(&self) -> String {
        format!(
            "{} of its nodes take pods, and {ENOUGH} are needed to set one aside and drain another",
            self.workers.len()
        )
    }
}

/// Enough nodes that one can be set aside and another drained.
const ENOUGH: usize = 3;

/// As [`choose`], on a cluster that is ours alone: what must not be disturbed lives on the control plane, which takes
/// no other pods.
pub fn choose_of_own(nodes: &[Node]) -> Nodes {
    let quiet = nodes.iter().filter(|node| node.labels().contains_key(CONTROL_PLANE) && !takes_pods(node));
    match quiet.map(ResourceExt::name_any).min() {
        None => choose(nodes),
        Some(quiet) => {
            let mut workers: Vec<String> =
                nodes.iter().filter(|node| takes_pods(node)).map(ResourceExt::name_any).collect();
            workers.sort();
            Nodes { workers, quiet: Some(quiet) }
        }
    }
}

/// The label of nodes that run the control plane.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// Whether that many nodes have joined, all of them ready.
///
/// # Errors
/// Which ones lack.
pub fn all_ready(nodes: &[std::sync::Arc<Node>], expected: usize) -> Result<(), String> {
    let mut unready: Vec<String> = nodes.iter().filter(|node| !is_ready(node)).map(|node| node.name_any()).collect();
    unready.sort();
    match (nodes.len(), unready.is_empty()) {
        (joined, true) if joined >= expected => Ok(()),
        (joined, true) => Err(format!("{joined} of {expected} nodes have joined")),
        (joined, false) => Err(format!("{joined} of {expected} nodes have joined; not ready: {}", unready.join(", "))),
    }
}

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
    is_ready(node) && !spec.unschedulable.unwrap_or(false) && !spec.taints.iter().flatten().any(keeps_off)
}

fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
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

    #[test]
    fn on_a_cluster_of_our_own_clients_live_on_the_control_plane() {
        let mut control = node("z", "True", false, "NoSchedule");
        control.metadata.labels = Some([(CONTROL_PLANE.to_owned(), String::new())].into());
        let workers = vec!["a".to_owned(), "b".to_owned()];
        let nodes = [node("b", "True", false, ""), node("a", "True", false, ""), control];
        assert_eq!(choose_of_own(&nodes), Nodes { workers: workers.clone(), quiet: Some("z".into()) });
        assert_eq!(choose_of_own(&nodes[..2]), Nodes { workers, quiet: None });
    }

    #[test]
    fn all_nodes_must_have_joined_and_be_ready() {
        let nodes = |ready: &[&str]| -> Vec<std::sync::Arc<Node>> {
            ready.iter().enumerate().map(|(n, ready)| node(&format!("n{n}"), ready, false, "").into()).collect()
        };
        for (ready, expected) in [
            (&["True", "True"][..], Ok(())),
            (&["True"], Err("1 of 2 nodes have joined")),
            (&["True", "False"], Err("2 of 2 nodes have joined; not ready: n1")),
            (&["True", "Unknown"], Err("2 of 2 nodes have joined; not ready: n1")),
            (&[], Err("0 of 2 nodes have joined")),
        ] {
            assert_eq!(all_ready(&nodes(ready), 2), expected.map_err(str::to_owned), "{ready:?}");
        }
    }
}
