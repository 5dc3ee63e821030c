//! Who a pod of a StatefulSet is: its name, labels, hostname and volumes follow from its ordinal.

use embedded_apimachinery::object::{self, list_at, str_at};
use serde_json::{Value, json};

use super::claims;
use super::{replicas, start_ordinal};
use crate::workloads::pods;
use crate::workloads::revisions::Revision;

const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

pub fn pod_name(set: &Value, ordinal: i64) -> String {
    format!("{}-{ordinal}", object::name(set))
}

/// The ordinal in the name of a pod, if the rest of the name is the set's.
pub fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    let digits = object::name(pod).strip_prefix(object::name(set))?.strip_prefix('-')?;
    let ordinal: i64 = digits.parse().ok()?;
    (ordinal >= 0 && ordinal.to_string() == digits).then_some(ordinal)
}

/// Whether the set wants a pod of this ordinal.
pub fn in_range(set: &Value, ordinal: i64) -> bool {
    (start_ordinal(set)..start_ordinal(set) + replicas(set)).contains(&ordinal)
}

pub fn new_pod(set: &Value, revision: &Revision, ordinal: i64) -> Value {
    let mut pod = pods::from_template(set, &revision.template);
    object::metadata_mut(&mut pod).insert("name".into(), pod_name(set, ordinal).into());
    pod["spec"]["hostname"] = pod_name(set, ordinal).into();
    let service = str_at(set, "/spec/serviceName");
    if !service.is_empty() {
        pod["spec"]["subdomain"] = service.into();
    }
    object::set_label(&mut pod, "controller-revision-hash", &revision.name);
    restore(set, &mut pod, ordinal);
    pod
}

/// Gives a pod the labels and volumes of its ordinal.
pub fn restore(set: &Value, pod: &mut Value, ordinal: i64) {
    object::set_label(pod, POD_NAME_LABEL, &pod_name(set, ordinal));
    object::set_label(pod, INDEX_LABEL, &ordinal.to_string());
    let templates = list_at(set, "/spec/volumeClaimTemplates");
    if templates.is_empty() {
        return;
    }
    let is_claimed = |volume: &Value| templates.iter().any(|t| object::name(t) == str_at(volume, "/name"));
    let claimed = templates.iter().map(|template| {
        let claim = claims::claim_name(set, template, ordinal);
        json!({"name": object::name(template), "persistentVolumeClaim": {"claimName": claim}})
    });
    let others = list_at(pod, "/spec/volumes").iter().filter(|volume| !is_claimed(volume)).cloned();
    pod["spec"]["volumes"] = claimed.chain(others).collect();
}

/// The pod as it should be, if it lost labels or volumes that belong to its ordinal.
pub fn restored(set: &Value, pod: &Value, ordinal: i64) -> Option<Value> {
    let labelled = object::label(pod, POD_NAME_LABEL) == Some(object::name(pod))
        && object::label(pod, INDEX_LABEL) == Some(&ordinal.to_string());
    let has_claim = |template: &Value| {
        let claim = claims::claim_name(set, template, ordinal);
        list_at(pod, "/spec/volumes").iter().any(|volume| {
            str_at(volume, "/name") == object::name(template)
                && str_at(volume, "/persistentVolumeClaim/claimName") == claim
        })
    };
    if labelled && list_at(set, "/spec/volumeClaimTemplates").iter().all(has_claim) {
        return None;
    }
    let mut pod = pod.clone();
    restore(set, &mut pod, ordinal);
    Some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_from_names_of_this_set_only() {
        let set = json!({"metadata": {"name": "web"}});
        for (name, expected) in [
            ("web-0", Some(0)),
            ("web-12", Some(12)),
            ("web-a-1", None),
            ("web-01", None),
            ("web--1", None),
            ("x-1", None),
        ] {
            assert_eq!(ordinal(&set, &json!({"metadata": {"name": name}})), expected, "{name}");
        }
    }
}
