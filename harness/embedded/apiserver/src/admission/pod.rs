//! Tolerations and priority that every pod gets.

use embedded_apimachinery::resource::PRIORITY_CLASSES;
use embedded_apimachinery::{Result, Status, object};
use serde_json::{Value, json};

use super::Request;

/// How long pods stay on a node that is not ready or unreachable.
const TOLERATION_SECONDS: i64 = 300;

/// Adds tolerations for failing nodes, unless the pod already says what to do then.
pub fn add_default_tolerations(pod: &mut Value) {
    let mut tolerations = object::list_at(pod, "/spec/tolerations").to_vec();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covers = |t: &Value| {
            let own_key = object::str_at(t, "/key");
            let effect = object::str_at(t, "/effect");
            (own_key == key || own_key.is_empty()) && (effect.is_empty() || effect == "NoExecute")
        };
        if !tolerations.iter().any(covers) {
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": TOLERATION_SECONDS}));
        }
    }
    object::map_at_mut(pod, &["spec"]).insert("tolerations".into(), tolerations.into());
}

/// Resolves `priorityClassName`, or takes the default class.
pub fn set_priority(request: &Request<'_>, pod: &mut Value) -> Result<()> {
    let stated = object::str_at(pod, "/spec/priorityClassName").to_owned();
    let class = if stated.is_empty() {
        let (classes, _) = request.server.store.list(&PRIORITY_CLASSES, None);
        classes.into_iter().find(|c| object::bool_at(c, "/globalDefault"))
    } else {
        let found = request.server.find(&PRIORITY_CLASSES, "", &stated);
        if found.is_none() && builtin_priority(&stated).is_none() {
            let why = format!("no PriorityClass with name {stated} was found");
            return Err(Status::forbidden(&request.resource.id, object::name(pod), &why));
        }
        found
    };
    let value = class.as_ref().and_then(|c| object::int_at(c, "/value")).or_else(|| builtin_priority(&stated));
    let policy = class.as_ref().map_or("", |c| object::str_at(c, "/preemptionPolicy")).to_owned();
    let spec = object::map_at_mut(pod, &["spec"]);
    if let Some(class) = class.filter(|_| stated.is_empty()) {
        spec.insert("priorityClassName".into(), object::name(&class).into());
    }
    spec.insert("priority".into(), value.unwrap_or(0).into());
    let policy = if policy.is_empty() { "PreemptLowerPriority".to_owned() } else { policy };
    spec.entry("preemptionPolicy").or_insert_with(|| policy.into());
    Ok(())
}

/// Classes that every cluster has.
fn builtin_priority(name: &str) -> Option<i64> {
    match name {
        "system-node-critical" => Some(2_000_001_000),
        "system-cluster-critical" => Some(2_000_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_added_where_the_pod_has_none() {
        let mut plain = json!({"spec": {}});
        add_default_tolerations(&mut plain);
        assert_eq!(object::list_at(&plain, "/spec/tolerations").len(), 2);
        let mut all = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
        add_default_tolerations(&mut all);
        assert_eq!(object::list_at(&all, "/spec/tolerations").len(), 1);
    }
}
