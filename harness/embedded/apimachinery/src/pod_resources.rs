//! What a pod asks for in total: the sums that the scheduler, quotas and node agents reckon with.
//!
//! Ordinary init containers run one after the other before the rest, so the largest counts; restartable ones
//! (sidecars) run along with everything after them. Rule:
//! kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::{list_at, str_at};
use crate::quantity::Quantity;

pub type ResourceList = BTreeMap<String, Quantity>;

/// The pod's effective requests, its overhead included.
pub fn requests(pod: &Value) -> ResourceList {
    total(pod, "requests")
}

/// The pod's effective limits, its overhead included. A resource that some container does not limit may still be here.
pub fn limits(pod: &Value) -> ResourceList {
    total(pod, "limits")
}

fn total(pod: &Value, side: &str) -> ResourceList {
    let mut sidecars = ResourceList::new();
    let mut starting = ResourceList::new();
    for container in list_at(pod, "/spec/initContainers") {
        let own = quantities(container.pointer(&format!("/resources/{side}")));
        if str_at(container, "/restartPolicy") == "Always" {
            add(&mut sidecars, &own);
            raise(&mut starting, &sidecars);
        } else {
            let mut peak = sidecars.clone();
            add(&mut peak, &own);
            raise(&mut starting, &peak);
        }
    }
    let mut sum = sidecars;
    for container in list_at(pod, "/spec/containers") {
        add(&mut sum, &quantities(container.pointer(&format!("/resources/{side}"))));
    }
    raise(&mut sum, &starting);
    sum.extend(quantities(pod.pointer(&format!("/spec/resources/{side}"))));
    let overhead = quantities(pod.pointer("/spec/overhead"));
    if side == "requests" {
        add(&mut sum, &overhead);
    } else {
        for (name, amount) in overhead {
            sum.entry(name).and_modify(|limit| *limit = limit.plus(amount));
        }
    }
    sum
}

/// A `{"cpu": "1", ...}` object as amounts; what is no quantity is left out.
pub fn quantities(map: Option<&Value>) -> ResourceList {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), quantity(value)?))).collect()
}

/// A quantity as text or as a bare number.
pub fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}

/// Adds amounts, resource by resource.
pub fn add(sum: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        sum.entry(name.clone()).and_modify(|q| *q = q.plus(*amount)).or_insert(*amount);
    }
}

/// Takes the larger of each.
fn raise(sum: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        sum.entry(name.clone())
            .and_modify(|q| {
                if *q < *amount {
                    *q = *amount;
                }
            })
            .or_insert(*amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cpu(amount: &str) -> Value {
        json!({"resources": {"requests": {"cpu": amount}}})
    }

    fn sidecar(amount: &str) -> Value {
        json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": amount}}})
    }

    #[test]
    fn requests_are_what_is_needed_at_the_worst_moment() {
        for (init, containers, overhead, expected) in [
            (vec![], vec![cpu("100m"), cpu("200m")], json!({}), "300m"),
            (vec![cpu("1")], vec![cpu("100m")], json!({}), "1"),
            (vec![cpu("50m")], vec![cpu("100m")], json!({}), "100m"),
            (vec![sidecar("50m"), cpu("300m")], vec![cpu("100m")], json!({}), "350m"),
            (vec![cpu("120m"), sidecar("50m")], vec![cpu("100m")], json!({}), "150m"),
            (vec![], vec![cpu("100m")], json!({"cpu": "10m"}), "110m"),
        ] {
            let pod = json!({"spec": {"initContainers": init, "containers": containers, "overhead": overhead}});
            assert_eq!(requests(&pod)["cpu"].to_string(), expected, "{pod}");
        }
    }

    #[test]
    fn pod_level_requests_override_the_sum() {
        let pod = json!({"spec": {"containers": [cpu("100m")], "resources": {"requests": {"cpu": "2"}}}});
        assert_eq!(requests(&pod)["cpu"].to_string(), "2");
    }
}
