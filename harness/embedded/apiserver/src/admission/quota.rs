//! ResourceQuotas: a write is refused when it would exceed one, and charged when it does not.
//!
//! Charging happens with the write, under the same lock; usage that ends is given back by the quota controller. The
//! rules and texts of k8s.io/apiserver/pkg/admission/plugin/resourcequota.

use embedded_apimachinery::pod_resources::{ResourceList, quantities};
use embedded_apimachinery::quantity::Quantity;
use embedded_apimachinery::quota_usage::{in_scope, usage};
use embedded_apimachinery::resource::{PODS, RESOURCE_QUOTAS};
use embedded_apimachinery::{Object, Result, Status, object};
use serde_json::Value;

use super::{Operation, Request};
use crate::registry::ApiServer;

/// New usage of quotas, by namespace and name.
#[derive(Debug, Default)]
pub struct Charges(Vec<(String, String, ResourceList)>);

const COMPUTE: [&str; 6] = [
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
];

pub fn check(request: &Request<'_>, object: &Value) -> Result<Charges> {
    let mut charges = Charges::default();
    if request.operation != Operation::Create || !request.resource.namespaced {
        return Ok(charges);
    }
    let (quotas, _) = request.server.store.list(&RESOURCE_QUOTAS, Some(request.namespace));
    if quotas.is_empty() {
        return Ok(charges);
    }
    let costs = usage(&request.resource.id, object);
    let matching: Vec<&Object> = quotas.iter().filter(|quota| in_scope(quota, &request.resource.id, object)).collect();
    let refused = |why: String| Err(Status::forbidden(&request.resource.id, object::name(object), &why));
    if request.resource.id == PODS {
        for quota in &matching {
            if let Some(missing) = unstated(quota, object) {
                return refused(format!("failed quota: {}: must specify {missing}", object::name(quota)));
            }
        }
    }
    for quota in matching {
        let hard = quantities(quota.pointer("/spec/hard"));
        let limited: ResourceList = hard.into_iter().filter(|(name, _)| costs.contains_key(name)).collect();
        if limited.is_empty() {
            continue;
        }
        let used = quantities(quota.pointer("/status/used"));
        let unknown: Vec<&str> = limited.keys().filter(|n| !used.contains_key(*n)).map(String::as_str).collect();
        if !unknown.is_empty() {
            let name = object::name(quota);
            return refused(format!("status unknown for quota: {name}, resources: {}", unknown.join(",")));
        }
        match charge(&limited, &used, &costs) {
            Ok(after) => charges.0.push((request.namespace.into(), object::name(quota).into(), after)),
            Err(why) => return refused(format!("exceeded quota: {}, {why}", object::name(quota))),
        }
    }
    Ok(charges)
}

/// Writes the new usage into the quotas' status. Called under the write lock.
pub fn commit(server: &ApiServer, charges: Charges) {
    for (namespace, name, used) in charges.0 {
        // A quota that vanished meanwhile has nothing to be charged.
        let _ = server.store.update(&RESOURCE_QUOTAS, &namespace, &name, |quota| {
            let mut quota = Value::clone(quota);
            let map = object::map_at_mut(&mut quota, &["status", "used"]);
            for (resource, amount) in &used {
                map.insert(resource.clone(), amount.to_string().into());
            }
            Ok(quota)
        });
    }
}

/// Usage after the write, or what is exceeded.
fn charge(hard: &ResourceList, used: &ResourceList, costs: &ResourceList) -> Result<ResourceList, String> {
    let mut after = ResourceList::new();
    let mut exceeded = Vec::new();
    for (name, limit) in hard {
        let (cost, before) = (costs[name], used[name]);
        let sum = before.plus(cost);
        if cost.milli() > 0 && sum > *limit {
            exceeded.push((name, cost, before, limit));
        }
        after.insert(name.clone(), sum);
    }
    if exceeded.is_empty() {
        return Ok(after);
    }
    let text = |pick: fn(&(&String, Quantity, Quantity, &Quantity)) -> Quantity| {
        exceeded.iter().map(|e| format!("{}={}", e.0, pick(e))).collect::<Vec<_>>().join(",")
    };
    Err(format!("requested: {}, used: {}, limited: {}", text(|e| e.1), text(|e| e.2), text(|e| *e.3)))
}

/// Compute resources that the quota limits and some containers do not state.
fn unstated(quota: &Value, pod: &Value) -> Option<String> {
    let hard = quantities(quota.pointer("/spec/hard"));
    let mut missing = Vec::new();
    for name in hard.keys() {
        let full = if ["cpu", "memory"].contains(&name.as_str()) { format!("requests.{name}") } else { name.clone() };
        let Some((field, resource)) = full.split_once('.').filter(|_| COMPUTE.contains(&full.as_str())) else {
            continue;
        };
        let lists = ["/spec/containers", "/spec/initContainers"].map(|list| object::list_at(pod, list));
        let silent: Vec<&str> = lists
            .into_iter()
            .flatten()
            .filter(|c| c.pointer(&format!("/resources/{field}/{resource}")).is_none())
            .map(|c| object::str_at(c, "/name"))
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn amounts(value: Value) -> ResourceList {
        quantities(Some(&value))
    }

    #[test]
    fn all_exceeded_limits_are_named() {
        let hard = amounts(json!({"pods": "1", "requests.cpu": "500m"}));
        let used = amounts(json!({"pods": "1", "requests.cpu": "400m"}));
        let costs = amounts(json!({"pods": "1", "requests.cpu": "200m"}));
        assert_eq!(
            charge(&hard, &used, &costs).unwrap_err(),
            "requested: pods=1,requests.cpu=200m, used: pods=1,requests.cpu=400m, limited: pods=1,requests.cpu=500m"
        );
    }

    #[test]
    fn what_fits_is_added() {
        let hard = amounts(json!({"requests.cpu": "500m"}));
        let after = charge(&hard, &amounts(json!({"requests.cpu": "0"})), &amounts(json!({"requests.cpu": "400m"})));
        assert_eq!(after.unwrap()["requests.cpu"].to_string(), "400m");
    }

    #[test]
    fn limited_resources_must_be_stated() {
        let quota = json!({"spec": {"hard": {"requests.cpu": "1", "pods": "3"}}});
        let pod = json!({"spec": {"containers": [{"name": "c"}]}});
        assert_eq!(unstated(&quota, &pod).as_deref(), Some("requests.cpu for: c"));
    }
}
