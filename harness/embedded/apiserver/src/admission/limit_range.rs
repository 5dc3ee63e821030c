//! LimitRanges: defaults for containers, and bounds on containers, pods and claims.
//!
//! The rules and texts of k8s.io/kubernetes/plugin/pkg/admission/limitranger.

use embedded_apimachinery::pod_resources::{self, ResourceList, quantities};
use embedded_apimachinery::quantity::Quantity;
use embedded_apimachinery::resource::{LIMIT_RANGES, PERSISTENT_VOLUME_CLAIMS, PODS};
use embedded_apimachinery::{Result, Status, object};
use serde_json::Value;

use super::{Operation, Request};

/// The limits of all LimitRanges of the namespace.
fn limits(request: &Request<'_>) -> Vec<Value> {
    let (ranges, _) = request.server.store.list(&LIMIT_RANGES, Some(request.namespace));
    ranges.iter().flat_map(|range| object::list_at(range, "/spec/limits").to_vec()).collect()
}

/// Gives containers the requests and limits they do not state, and says so in an annotation.
pub fn set_defaults(request: &Request<'_>, pod: &mut Value) {
    let limits = limits(request);
    let mut notes = Vec::new();
    for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let name = object::str_at(container, "/name").to_owned();
            for (kind, field, noun) in [("defaultRequest", "requests", "request"), ("default", "limits", "limit")] {
                let set = fill(container, field, &limits, kind);
                if !set.is_empty() {
                    notes.push(format!("{} {noun} for {word} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        let text = format!("LimitRanger plugin set: {}", notes.join("; "));
        object::set_annotation(pod, "kubernetes.io/limit-ranger", &text);
    }
}

/// Names of the resources that were set, sorted.
fn fill(container: &mut Value, field: &str, limits: &[Value], kind: &str) -> Vec<String> {
    let mut set = Vec::new();
    for limit in limits.iter().filter(|l| object::str_at(l, "/type") == "Container") {
        for (name, amount) in limit.get(kind).and_then(Value::as_object).into_iter().flatten() {
            let stated = object::map_at_mut(container, &["resources", field]);
            if !stated.contains_key(name) {
                stated.insert(name.clone(), amount.clone());
                set.push(name.clone());
            }
        }
        if object::map_at_mut(container, &["resources", field]).is_empty() {
            object::map_at_mut(container, &["resources"]).shift_remove(field);
        }
    }
    set.sort();
    set
}

/// Refuses what is out of bounds, with every violation.
pub fn check(request: &Request<'_>, object: &Value) -> Result<()> {
    let id = &request.resource.id;
    if request.operation != Operation::Create || !(*id == PODS || *id == PERSISTENT_VOLUME_CLAIMS) {
        return Ok(());
    }
    let mut problems = Vec::new();
    for limit in limits(request) {
        match (object::str_at(&limit, "/type"), *id == PODS) {
            ("Container", true) => {
                for container in containers(object) {
                    let (requests, limited) = (amounts(container, "requests"), amounts(container, "limits"));
                    violations(&limit, "Container", &requests, &limited, &mut problems);
                }
            }
            ("Pod", true) => {
                let (requests, limited) = (pod_resources::requests(object), pod_resources::limits(object));
                violations(&limit, "Pod", &requests, &limited, &mut problems);
            }
            ("PersistentVolumeClaim", false) => {
                let requests = amounts(&object["spec"], "requests");
                violations(&limit, "PersistentVolumeClaim", &requests, &requests, &mut problems);
            }
            _ => {}
        }
    }
    let why = match problems.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    Err(Status::forbidden(id, object::name(object), &why))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    object::list_at(pod, "/spec/containers").iter().chain(object::list_at(pod, "/spec/initContainers"))
}

fn amounts(holder: &Value, field: &str) -> ResourceList {
    quantities(holder.pointer(&format!("/resources/{field}")))
}

fn violations(limit: &Value, kind: &str, requests: &ResourceList, limits: &ResourceList, problems: &mut Vec<String>) {
    for (name, bound) in quantities(limit.get("min")) {
        let prefix = format!("minimum {name} usage per {kind} is {bound}");
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => problems.push(format!("{prefix}.  No request is specified")),
            (Some(request), _) if *request < bound => problems.push(format!("{prefix}, but request is {request}")),
            (_, Some(limit)) if *limit < bound => problems.push(format!("{prefix}, but limit is {limit}")),
            _ => {}
        }
    }
    for (name, bound) in quantities(limit.get("max")) {
        let prefix = format!("maximum {name} usage per {kind} is {bound}");
        match (requests.get(&name), limits.get(&name)) {
            (_, None) => problems.push(format!("{prefix}.  No limit is specified")),
            (_, Some(limit)) if *limit > bound => problems.push(format!("{prefix}, but limit is {limit}")),
            (Some(request), _) if *request > bound => problems.push(format!("{prefix}, but request is {request}")),
            _ => {}
        }
    }
    for (name, bound) in quantities(limit.get("maxLimitRequestRatio")) {
        let prefix = format!("{name} max limit to request ratio per {kind} is {bound}");
        let positive = |amounts: &ResourceList| amounts.get(&name).map(Quantity::milli).filter(|m| *m > 0);
        match (positive(requests), positive(limits)) {
            (None, _) => problems.push(format!("{prefix}, but no request is specified or request is 0")),
            (_, None) => problems.push(format!("{prefix}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) if limit * 1000 > bound.milli() * request => {
                problems.push(format!("{prefix}, but provided ratio is {:.6}", limit as f64 / request as f64));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(limit: Value, resources: Value) -> Vec<String> {
        let container = json!({"resources": resources});
        let mut problems = Vec::new();
        let (requests, limits) = (amounts(&container, "requests"), amounts(&container, "limits"));
        violations(&limit, "Container", &requests, &limits, &mut problems);
        problems
    }

    #[test]
    fn every_violation_is_named() {
        let limit = json!({"min": {"cpu": "50m"}, "maxLimitRequestRatio": {"cpu": "4"}});
        assert_eq!(
            problems(limit, json!({"requests": {"cpu": "10m"}, "limits": {"cpu": "200m"}})),
            [
                "minimum cpu usage per Container is 50m, but request is 10m",
                "cpu max limit to request ratio per Container is 4, but provided ratio is 20.000000",
            ]
        );
        assert_eq!(
            problems(json!({"max": {"cpu": "1"}}), json!({"limits": {"cpu": "2"}})),
            ["maximum cpu usage per Container is 1, but limit is 2"]
        );
        assert!(problems(json!({"max": {"cpu": "1"}}), json!({"limits": {"cpu": "1"}})).is_empty());
    }
}
