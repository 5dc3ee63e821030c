//! What our own containers ask for, where a namespace says how much containers may ask for.

use crate::access::Access;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::core::v1::LimitRange;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::Value;
use std::collections::BTreeSet;

/// The pods with what they ask for left to the LimitRanges of their namespaces, where those speak of containers: what they
/// default to lies within their bounds, which our own numbers need not (Kubernetes, `pkg/apis/core/v1/defaults.go`:
/// defaults come from `max` and `min` where none are given).
///
/// # Errors
/// The LimitRanges cannot be listed.
pub async fn obeyed(access: &Access, mut pods: Vec<Value>) -> Result<Vec<Value>, Trouble> {
    let api: Api<LimitRange> = Api::all(access.client.clone());
    let ranges = api.list(&ListParams::default()).await.or_trouble(|| "cannot list LimitRanges")?;
    let bounded = bounded(&ranges.items);
    pods.iter_mut().filter(|pod| is_in(pod, &bounded)).for_each(leave_out);
    Ok(pods)
}

/// Namespaces whose LimitRanges speak of containers.
fn bounded(ranges: &[LimitRange]) -> BTreeSet<String> {
    let speaks = |range: &&LimitRange| {
        range.spec.as_ref().is_some_and(|spec| spec.limits.iter().any(|item| item.type_ == "Container"))
    };
    ranges.iter().filter(speaks).filter_map(ResourceExt::namespace).collect()
}

fn is_in(pod: &Value, namespaces: &BTreeSet<String>) -> bool {
    pod["metadata"]["namespace"].as_str().is_some_and(|namespace| namespaces.contains(namespace))
}

fn leave_out(pod: &mut Value) {
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        if let Some(container) = container.as_object_mut() {
            container.remove("resources");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_pods_where_containers_are_bounded_leave_out_what_they_ask_for() {
        let range = |namespace: &str, kind: &str| -> LimitRange {
            let limits = json!([{"type": kind, "min": {"cpu": "50m"}}]);
            serde_json::from_value(json!({"metadata": {"namespace": namespace}, "spec": {"limits": limits}})).unwrap()
        };
        let bounded = bounded(&[range("core", "Container"), range("data", "PersistentVolumeClaim")]);
        for (namespace, keeps) in [("core", false), ("data", true), ("other", true)] {
            let containers = json!([{"name": "c", "resources": {"requests": {"cpu": "10m"}}}]);
            let mut pod = json!({"metadata": {"namespace": namespace}, "spec": {"containers": containers}});
            if is_in(&pod, &bounded) {
                leave_out(&mut pod);
            }
            assert_eq!(pod["spec"]["containers"][0].get("resources").is_some(), keeps, "{namespace}");
        }
    }
}
