//! Which nodes want a pod of a DaemonSet, and the pod that a node gets.

use embedded_apimachinery::object::{self, list_at, str_at};
use embedded_apimachinery::placement::{node_matches_pod, untolerated_taint};
use serde_json::{Value, json};

use super::{GENERATION_LABEL, HASH_LABEL, template_generation};
use crate::runtime::Change;
use crate::workloads::pods;
use crate::workloads::revisions::Revision;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// What a node means for a DaemonSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It should have a pod.
    Run,
    /// It gets none, but one that is there may stay.
    Keep,
    /// It must have none.
    Avoid,
}

pub fn wish(set: &Value, node: &Value) -> Wish {
    let pod = json!({"spec": spec_with_tolerations(&set["spec"]["template"])});
    let pinned = str_at(&pod, "/spec/nodeName");
    let fits = (pinned.is_empty() || pinned == object::name(node)) && node_matches_pod(&pod, node);
    if !fits || untolerated_taint(&pod, node, &["NoExecute"]).is_some() {
        Wish::Avoid
    } else if untolerated_taint(&pod, node, &["NoSchedule"]).is_some() {
        Wish::Keep
    } else {
        Wish::Run
    }
}

/// Whether a change of a node can change its wishes. Heartbeats cannot.
pub fn matters(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return true };
    let matters = |node: &Value| (node.pointer("/metadata/labels").cloned(), node.get("spec").cloned());
    matters(before) != matters(after)
}

/// The node a pod is on, or the one its affinity names.
pub fn node_of(pod: &Value) -> &str {
    let bound = str_at(pod, "/spec/nodeName");
    if !bound.is_empty() {
        return bound;
    }
    let terms = list_at(pod, &format!("/spec/affinity/nodeAffinity/{REQUIRED}/nodeSelectorTerms"));
    let fields = terms.iter().flat_map(|term| list_at(term, "/matchFields"));
    let mut names = fields.filter(|f| str_at(f, "/key") == "metadata.name").map(|f| str_at(f, "/values/0"));
    names.next().unwrap_or_default()
}

/// The pod of this node. It goes through the scheduler, which may place it nowhere else.
pub fn pod_for(set: &Value, revision: &Revision, node: &str) -> Value {
    let mut pod = pods::from_template(set, &set["spec"]["template"]);
    pod["spec"] = spec_with_tolerations(&set["spec"]["template"]);
    object::set_label(&mut pod, HASH_LABEL, &revision.hash);
    if let Some(generation) = template_generation(set) {
        object::set_label(&mut pod, GENERATION_LABEL, generation);
    }
    let field = json!([{"key": "metadata.name", "operator": "In", "values": [node]}]);
    let required = object::map_at_mut(&mut pod["spec"], &["affinity", "nodeAffinity", REQUIRED]);
    let terms = required.entry("nodeSelectorTerms").or_insert_with(|| json!([]));
    match terms {
        Value::Array(terms) if !terms.is_empty() => {
            terms.iter_mut().for_each(|term| term["matchFields"] = field.clone());
        }
        terms => *terms = json!([{"matchFields": field}]),
    }
    pod
}

/// Daemons stay on nodes in trouble and come to nodes that take no other pods.
fn spec_with_tolerations(template: &Value) -> Value {
    let mut spec = template.get("spec").cloned().unwrap_or_else(|| json!({}));
    let mut tolerated = vec![
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ];
    if object::bool_at(&spec, "/hostNetwork") {
        tolerated.push(("network-unavailable", "NoSchedule"));
    }
    let mut tolerations = list_at(&spec, "/tolerations").to_vec();
    for (taint, effect) in tolerated {
        let toleration = json!({"key": format!("node.kubernetes.io/{taint}"), "operator": "Exists", "effect": effect});
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    spec["tolerations"] = tolerations.into();
    spec
}
