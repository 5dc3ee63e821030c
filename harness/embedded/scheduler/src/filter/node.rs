//! Rules about the node alone: cordons, taints, node selectors and affinity.

use embedded_apimachinery::object::{list_at, str_at};
use embedded_apimachinery::placement;
use serde_json::{Value, json};

use super::Rejection;
use crate::cluster::NodeInfo;
use crate::pod::PodInfo;

pub fn unschedulable(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    let taint = json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    let tolerated = || list_at(&pod.object, "/spec/tolerations").iter().any(|t| placement::tolerates(t, &taint));
    if placement::is_unschedulable(&node.object) && !tolerated() {
        return Err(Rejection::hopeless("node(s) were unschedulable"));
    }
    Ok(())
}

pub fn taints(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    match placement::untolerated_taint(&pod.object, &node.object, &["NoSchedule", "NoExecute"]) {
        None => Ok(()),
        Some(_) => Err(Rejection::hopeless("node(s) had untolerated taint(s)")),
    }
}

pub fn affinity(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    if placement::node_matches_pod(&pod.object, &node.object) {
        return Ok(());
    }
    Err(Rejection::hopeless("node(s) didn't match Pod's node affinity/selector"))
}

/// The nodes that required affinity names, if every term names some, as the pods of DaemonSets do.
pub fn named_nodes(pod: &PodInfo) -> Result<Option<Vec<String>>, String> {
    let pointer = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = list_at(&pod.object, pointer);
    let Some(named) = terms.iter().map(names_in_term).collect::<Option<Vec<_>>>().filter(|named| !named.is_empty())
    else {
        return Ok(None);
    };
    let names: Vec<String> = named.into_iter().flatten().collect();
    if names.is_empty() {
        return Err("pod affinity terms conflict".into());
    }
    Ok(Some(names))
}

/// The names that meet every `matchFields` of a term; `None` when it names none.
fn names_in_term(term: &Value) -> Option<Vec<String>> {
    let named = list_at(term, "/matchFields")
        .iter()
        .filter(|f| str_at(f, "/key") == "metadata.name" && str_at(f, "/operator") == "In")
        .map(|f| list_at(f, "/values").iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>());
    named.reduce(|a, b| a.into_iter().filter(|name| b.contains(name)).collect())
}
