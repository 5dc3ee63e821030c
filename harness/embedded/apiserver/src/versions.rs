//! Objects in the version that a request asks for, where that differs from the stored one.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::catalog::Resource;

/// A stored object as a version of its resource shows it.
pub fn present<'a>(resource: &Resource, object: &'a Value) -> Cow<'a, Value> {
    let api_version = resource.api_version();
    if object["apiVersion"] == *api_version {
        return Cow::Borrowed(object);
    }
    let mut converted = object.clone();
    converted["apiVersion"] = api_version.into();
    if *resource.id.resource == *"horizontalpodautoscalers" {
        autoscaler_to_v1(&mut converted);
    }
    if resource.id.group == "events.k8s.io" {
        event_to_group(&mut converted);
    }
    Cow::Owned(converted)
}

/// What a request sent, in the stored version.
pub fn to_stored(resource: &Resource, stored: &Resource, object: &mut Value) {
    if resource.version == stored.version && resource.id == stored.id {
        return;
    }
    object["apiVersion"] = stored.api_version().into();
    if *resource.id.resource == *"horizontalpodautoscalers" {
        autoscaler_to_v2(object);
    }
    if resource.id.group == "events.k8s.io" {
        rename(object, |[core, group]| (group, core));
    }
}

/// Names of the same fields in the core group and in `events.k8s.io`.
const EVENT_FIELDS: [[&str; 2]; 7] = [
    ["involvedObject", "regarding"],
    ["message", "note"],
    ["source", "deprecatedSource"],
    ["firstTimestamp", "deprecatedFirstTimestamp"],
    ["lastTimestamp", "deprecatedLastTimestamp"],
    ["count", "deprecatedCount"],
    ["reportingComponent", "reportingController"],
];

fn event_to_group(event: &mut Value) {
    rename(event, |[core, group]| (core, group));
    if let Value::Object(fields) = event {
        fields.retain(|_, value| value.as_str() != Some(""));
    }
}

fn rename(object: &mut Value, direction: impl Fn([&'static str; 2]) -> (&'static str, &'static str)) {
    let Value::Object(fields) = object else { return };
    for pair in EVENT_FIELDS {
        let (from, to) = direction(pair);
        if let Some(value) = fields.shift_remove(from) {
            fields.insert(to.into(), value);
        }
    }
}

/// `autoscaling/v1` knows CPU utilization only.
fn autoscaler_to_v1(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let metrics = spec.shift_remove("metrics");
    let cpu = metrics.as_ref().and_then(Value::as_array).into_iter().flatten().find_map(|metric| {
        let resource = metric.get("resource").filter(|r| r["name"] == "cpu")?;
        resource.pointer("/target/averageUtilization").cloned()
    });
    if let Some(cpu) = cpu {
        spec.insert("targetCPUUtilizationPercentage".into(), cpu);
    }
    spec.shift_remove("behavior");
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.shift_remove("currentMetrics");
        status.shift_remove("conditions");
        status.entry("currentReplicas").or_insert_with(|| 0.into());
    }
}

fn autoscaler_to_v2(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if let Some(cpu) = spec.shift_remove("targetCPUUtilizationPercentage") {
        let target = json!({"type": "Utilization", "averageUtilization": cpu});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".into(), json!([metric]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn events_are_the_same_in_both_groups() {
        let catalog = Catalog::default();
        let group = catalog.find("events.k8s.io", "v1", "events").unwrap();
        let core = catalog.stored(&group.id).unwrap();
        let sent = json!({"apiVersion": "events.k8s.io/v1", "regarding": {"name": "p"}, "note": "text"});
        let mut stored = sent.clone();
        to_stored(&group, &core, &mut stored);
        assert_eq!(stored, json!({"apiVersion": "v1", "involvedObject": {"name": "p"}, "message": "text"}));
        assert_eq!(*present(&group, &stored), sent);
    }

    #[test]
    fn autoscalers_keep_their_cpu_target_across_versions() {
        let catalog = Catalog::default();
        let v1 = catalog.find("autoscaling", "v1", "horizontalpodautoscalers").unwrap();
        let v2 = catalog.find("autoscaling", "v2", "horizontalpodautoscalers").unwrap();
        let sent =
            json!({"apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}});
        let mut stored = sent.clone();
        to_stored(&v1, &v2, &mut stored);
        assert_eq!(stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], json!(50));
        assert_eq!(*present(&v1, &stored), sent);
    }
}
