//! PodDisruptionBudgets: how many of the selected pods may be evicted now.
//!
//! Rules: kubernetes.io/docs/concepts/workloads/pods/disruptions. A budget promises nothing until its status is
//! observed, so every doubt ends in "none".

use chrono::{DateTime, TimeDelta, Utc};
use embedded_apimachinery::intstr;
use embedded_apimachinery::object::{self, int_at, str_at};
use embedded_apimachinery::resource::{
    DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS,
};
use embedded_apimachinery::selector::LabelSelector;
use embedded_apimachinery::{GroupResource, Object, ObjectKey, timestamp};
use serde_json::{Map, Value, json};

use crate::runtime::view::owner_key;
use crate::runtime::{Action, Change, Controller, Plan, View};

/// How long an eviction that was granted may take before the pod counts again.
const DELETION_TIMEOUT: TimeDelta = TimeDelta::seconds(120);

/// The figures of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub expected: i64,
    pub desired_healthy: i64,
    pub allowed: i64,
}

/// The arithmetic of a budget. `selected` pods match it, `healthy` of them are ready and not about to go; `scale` is
/// the sum of the replicas that their controllers want. Percentages are of `scale`, rounded up.
pub fn allowance(spec: &Value, selected: i64, healthy: i64, scale: i64) -> Allowance {
    let scaled = |value: &Value| intstr::scaled(value, scale, true).unwrap_or(0);
    let (expected, desired_healthy) = match (set(spec, "maxUnavailable"), set(spec, "minAvailable")) {
        (Some(max), _) => (scale, (scale - scaled(max)).max(0)),
        (None, Some(min)) if min.is_i64() => (selected, min.as_i64().unwrap_or(0)),
        (None, Some(min)) => (scale, scaled(min)),
        (None, None) => (0, 0),
    };
    // Without expected pods nothing is allowed: the first pods may have appeared since.
    let allowed = if expected <= 0 { 0 } else { (healthy - desired_healthy).max(0) };
    Allowance { expected, desired_healthy, allowed }
}

fn set<'a>(spec: &'a Value, field: &str) -> Option<&'a Value> {
    spec.get(field).filter(|value| !value.is_null())
}

/// Whether the figures depend on what the controllers of the pods want.
fn needs_scale(spec: &Value) -> bool {
    set(spec, "maxUnavailable").is_some() || set(spec, "minAvailable").is_some_and(Value::is_string)
}

pub struct DisruptionBudgets;

impl Controller for DisruptionBudgets {
    fn component(&self) -> &'static str {
        "controllermanager"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![POD_DISRUPTION_BUDGETS, PODS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == POD_DISRUPTION_BUDGETS {
            return vec![change.key()];
        }
        let namespace = object::namespace(change.object()).to_owned();
        let budgets = view.list(&POD_DISRUPTION_BUDGETS, &namespace);
        let concerned = |budget: &&Object| {
            if change.resource != PODS {
                return needs_scale(&budget["spec"]);
            }
            let selector = LabelSelector::from_object(budget.pointer("/spec/selector"));
            let selects = |pod: &Option<Object>| {
                selector.as_ref().zip(pod.as_ref()).is_some_and(|(selector, pod)| selector.matches_object(pod))
            };
            selects(&change.before) || selects(&change.after)
        };
        budgets.filter(concerned).map(|budget| ObjectKey::of(budget)).collect()
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, now: DateTime<Utc>) -> Plan {
        match view.get(&POD_DISRUPTION_BUDGETS, key) {
            Some(budget) => look_at(view, budget, now),
            None => Plan::default(),
        }
    }
}

fn look_at(view: &View, budget: &Object, now: DateTime<Utc>) -> Plan {
    let selector = LabelSelector::from_object(budget.pointer("/spec/selector"));
    let namespace = object::namespace(budget);
    let pods: Vec<&Object> =
        view.list(&PODS, namespace).filter(|pod| selector.as_ref().is_some_and(|s| s.matches_object(pod))).collect();
    let mut plan = Plan::default();
    if pods.is_empty() {
        plan.push(Action::normal(budget, "NoPods", "No matching pods found"));
    }
    let scale = match needs_scale(&budget["spec"]) {
        true => scale_of(view, &pods),
        false => Ok(Scale::default()),
    };
    let status = match scale {
        Ok(scale) => {
            if scale.unmanaged > 0 {
                plan.push(Action::warning(budget, "UnmanagedPods", unmanaged_pods(&budget["spec"]["selector"])));
            }
            let disrupted = disrupted(budget, &pods, now, &mut plan);
            status(budget, &pods, scale.replicas, disrupted)
        }
        Err(why) => {
            let message = format!("Failed to calculate the number of expected pods: {why}");
            plan.push(Action::warning(budget, "CalculateExpectedPodCountFailed", message));
            failed_status(budget, &why)
        }
    };
    if status == budget["status"] {
        // Nothing new to say either, unless it was never said.
        plan.actions.clear();
    } else {
        let mut changed = Value::clone(budget);
        changed["status"] = status;
        plan.push(Action::write_status(POD_DISRUPTION_BUDGETS, changed));
    }
    plan
}

#[derive(Default)]
struct Scale {
    replicas: i64,
    unmanaged: usize,
}

/// What the controllers of these pods want together, each counted once.
fn scale_of(view: &View, pods: &[&Object]) -> Result<Scale, String> {
    let mut seen: Vec<String> = Vec::new();
    let mut scale = Scale::default();
    for pod in pods {
        let Some(reference) = object::controller_ref(pod) else {
            scale.unmanaged += 1;
            continue;
        };
        let controller = top_controller(view, pod, reference)?;
        let uid = object::uid(controller).to_owned();
        if !seen.contains(&uid) {
            scale.replicas += int_at(controller, "/spec/replicas").unwrap_or(1);
            seen.push(uid);
        }
    }
    Ok(scale)
}

/// The controller of a pod, or the Deployment above it.
fn top_controller<'a>(view: &'a View, pod: &Value, reference: &Value) -> Result<&'a Object, String> {
    let kind = str_at(reference, "/kind");
    let resource = match kind {
        "ReplicaSet" => REPLICA_SETS,
        "StatefulSet" => STATEFUL_SETS,
        "ReplicationController" => REPLICATION_CONTROLLERS,
        _ => {
            let group = str_at(reference, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
            let resource = GroupResource::new(group, format!("{}s", kind.to_lowercase()));
            return Err(format!("{resource} does not implement the scale subresource"));
        }
    };
    let key = ObjectKey::new(object::namespace(pod), str_at(reference, "/name"));
    let controller = view
        .get(&resource, &key)
        .filter(|owner| object::uid(owner) == str_at(reference, "/uid"))
        .ok_or_else(|| format!("found no controllers for pod \"{}\"", object::name(pod)))?;
    let above = owner_key(controller, "Deployment").and_then(|key| view.get(&DEPLOYMENTS, &key));
    Ok(above.filter(|above| object::is_controlled_by(controller, above)).unwrap_or(controller))
}

/// Evictions that were granted and whose pods are not seen to go yet. Those that take too long are given up.
///
/// The eviction marks the pod before it spends the allowance, so a pod without the mark is another one: a member of a
/// StatefulSet that has come back under its name.
fn disrupted(budget: &Object, pods: &[&Object], now: DateTime<Utc>, plan: &mut Plan) -> Map<String, Value> {
    let granted = budget.pointer("/status/disruptedPods").and_then(Value::as_object);
    let mut kept = Map::new();
    for (name, time) in granted.into_iter().flatten() {
        let granted = time.as_str().and_then(timestamp::parse);
        let is_same = |pod: &&&Object| {
            object::name(pod) == name && !object::is_deleting(pod) && object::condition_is_true(pod, "DisruptionTarget")
        };
        let Some(pod) = pods.iter().find(is_same) else {
            continue;
        };
        let until = granted.map(|granted| granted + DELETION_TIMEOUT);
        match until {
            Some(until) if until > now => {
                kept.insert(name.clone(), time.clone());
                plan.recheck_after((until - now).to_std().unwrap_or_default());
            }
            _ => {
                let (namespace, name) = (object::namespace(budget), object::name(budget));
                let message = format!("Pod was expected by PDB {namespace}/{name} to be deleted but it wasn't");
                plan.push(Action::warning(pod, "NotDeleted", message));
            }
        }
    }
    kept
}

fn status(budget: &Value, pods: &[&Object], scale: i64, disrupted: Map<String, Value>) -> Value {
    let counts = |pod: &&&Object| {
        !object::is_deleting(pod) && !disrupted.contains_key(object::name(pod)) && object::pod_is_ready(pod)
    };
    let healthy = count(pods.iter().filter(counts));
    let figures = allowance(&budget["spec"], count(pods.iter()), healthy, scale);
    let mut status = json!({
        "observedGeneration": object::generation(budget), "disruptionsAllowed": figures.allowed,
        "currentHealthy": healthy, "desiredHealthy": figures.desired_healthy, "expectedPods": figures.expected,
    });
    if !disrupted.is_empty() {
        status["disruptedPods"] = disrupted.into();
    }
    let (truth, reason) = if figures.allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    status["conditions"] = json!([condition(budget, truth, reason, "", object::generation(budget))]);
    status
}

fn failed_status(budget: &Value, why: &str) -> Value {
    let mut status = budget["status"].clone();
    status["disruptionsAllowed"] = 0.into();
    let observed = int_at(&status, "/observedGeneration").unwrap_or(0);
    status["conditions"] = json!([condition(budget, "False", "SyncFailed", why, observed)]);
    status
}

fn condition(budget: &Value, status: &str, reason: &str, message: &str, generation: i64) -> Value {
    let old = object::condition(budget, "DisruptionAllowed").filter(|old| old["status"] == status);
    let since = old.map_or_else(|| timestamp::now().into(), |old| old["lastTransitionTime"].clone());
    json!({"type": "DisruptionAllowed", "status": status, "observedGeneration": generation,
        "lastTransitionTime": since, "reason": reason, "message": message})
}

fn count(items: impl Iterator) -> i64 {
    i64::try_from(items.count()).unwrap_or(i64::MAX)
}

fn unmanaged_pods(selector: &Value) -> String {
    format!(
        "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status \
         of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods \
         please set \".spec.minAvailable\" field of the PDB to an integer value.",
        go_selector(selector)
    )
}

/// A selector as Go prints it.
fn go_selector(selector: &Value) -> String {
    let labels = object::string_map(selector.get("matchLabels"));
    let labels: String = labels.iter().map(|(key, value)| format!("{key}: {value},")).collect();
    let expression = |e: &Value| {
        let values: Vec<&str> = object::list_at(e, "/values").iter().filter_map(Value::as_str).collect();
        let (key, operator) = (str_at(e, "/key"), str_at(e, "/operator"));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "))
    };
    let expressions: String = object::list_at(selector, "/matchExpressions").iter().map(expression).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests;
