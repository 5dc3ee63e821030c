//! Which nodes a pod may be on: node selectors, node affinity, taints and tolerations.
//!
//! Shared by the scheduler, the DaemonSet controller, taint-based eviction and volume binding. Rules:
//! kubernetes.io/docs/concepts/scheduling-eviction/{assign-pod-node,taint-and-toleration}.

use serde_json::Value;

use crate::object::{self, bool_at, list_at, str_at};
use crate::selector::LabelSelector;

/// Whether a node meets `nodeSelector` and the required node affinity of a pod (or pod template: `spec` is enough).
pub fn node_matches_pod(pod: &Value, node: &Value) -> bool {
    let selector = LabelSelector::from_map(pod.pointer("/spec/nodeSelector"));
    let terms =
        pod.pointer("/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
    selector.matches_object(node) && terms.and_then(Value::as_array).is_none_or(|terms| node_matches_terms(node, terms))
}

/// Whether a node meets at least one of several node selector terms.
pub fn node_matches_terms(node: &Value, terms: &[Value]) -> bool {
    terms.iter().any(|term| node_matches_term(node, term))
}

/// Whether a node meets all of one node selector term. The empty term matches no node.
pub fn node_matches_term(node: &Value, term: &Value) -> bool {
    let fields = list_at(term, "/matchFields");
    if fields.is_empty() && list_at(term, "/matchExpressions").is_empty() {
        return false;
    }
    let labels_match = LabelSelector::from_object(Some(term)).is_some_and(|s| s.matches_object(node));
    labels_match && fields.iter().all(|field| field_matches(node, field))
}

/// Only `metadata.name` may be selected by field.
fn field_matches(node: &Value, requirement: &Value) -> bool {
    let named = list_at(requirement, "/values").iter().any(|v| v.as_str() == Some(object::name(node)));
    str_at(requirement, "/key") == "metadata.name"
        && match str_at(requirement, "/operator") {
            "In" => named,
            "NotIn" => !named,
            _ => false,
        }
}

/// Whether one toleration tolerates a taint.
pub fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect = str_at(toleration, "/effect");
    let key = str_at(toleration, "/key");
    if !effect.is_empty() && effect != str_at(taint, "/effect") {
        return false;
    }
    if !key.is_empty() && key != str_at(taint, "/key") {
        return false;
    }
    match str_at(toleration, "/operator") {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && str_at(toleration, "/value") == str_at(taint, "/value"),
        _ => false,
    }
}

/// The first taint of a node with one of these effects that the pod does not tolerate.
pub fn untolerated_taint<'a>(pod: &Value, node: &'a Value, effects: &[&str]) -> Option<&'a Value> {
    let tolerations = list_at(pod, "/spec/tolerations");
    list_at(node, "/spec/taints")
        .iter()
        .filter(|taint| effects.contains(&str_at(taint, "/effect")))
        .find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// Whether `kubectl cordon` or its like keeps new pods off a node.
pub fn is_unschedulable(node: &Value) -> bool {
    bool_at(node, "/spec/unschedulable")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node() -> Value {
        json!({"metadata": {"name": "n1", "labels": {"zone": "a", "size": "4"}}})
    }

    #[test]
    fn node_selector_terms_are_alternatives_of_conjunctions() {
        for (terms, expected) in [
            (json!([]), false),
            (json!([{}]), false),
            (json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]), true),
            (json!([{"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}]), false),
            (json!([{"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["3"]}]}]), true),
            (
                json!([{"matchExpressions": [{"key": "none", "operator": "Exists"}]},
                    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]),
                true,
            ),
            (
                json!([{"matchExpressions": [{"key": "none", "operator": "Exists"}],
                     "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]),
                false,
            ),
            (json!([{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}]}]), false),
        ] {
            assert_eq!(node_matches_terms(&node(), terms.as_array().unwrap()), expected, "{terms}");
        }
    }

    #[test]
    fn selector_and_affinity_must_both_match() {
        let pod = |selector: Value, terms: Value| {
            json!({"spec": {"nodeSelector": selector, "affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}})
        };
        let here = json!([{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]);
        assert!(node_matches_pod(&json!({"spec": {}}), &node()));
        assert!(node_matches_pod(&pod(json!({"zone": "a"}), here.clone()), &node()));
        assert!(!node_matches_pod(&pod(json!({"zone": "b"}), here), &node()));
        assert!(!node_matches_pod(&pod(json!({"zone": "a"}), json!([])), &node()));
    }

    #[test]
    fn tolerations_match_taints_as_documented() {
        let taint = json!({"key": "k", "value": "v", "effect": "NoSchedule"});
        for (toleration, expected) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"key": "k", "value": "v"}), true),
            (json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}), true),
            (json!({"key": "k", "operator": "Equal", "value": "w"}), false),
            (json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({"value": "v"}), false),
        ] {
            assert_eq!(tolerates(&toleration, &taint), expected, "{toleration}");
        }
    }

    #[test]
    fn only_the_effects_asked_for_count() {
        let node = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}, {"key": "l", "effect": "NoExecute"}]}});
        let pod = json!({"spec": {}});
        assert!(untolerated_taint(&pod, &node, &["NoSchedule"]).is_none());
        assert_eq!(untolerated_taint(&pod, &node, &["NoSchedule", "NoExecute"]).unwrap()["key"], "l");
    }
}
