//! Disruption budgets, autoscalers, quotas and limits.

use embedded_apimachinery::quantity::Quantity;
use serde_json::{Value, json};

use super::problems::{Problems, entries, is_set, items, text};
use super::{metadata, names, resources, selector};

pub fn disruption_budget(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    disruption_budget_spec(found, &object["spec"]);
}

pub fn disruption_budget_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    disruption_budget_spec(found, &new["spec"]);
}

fn disruption_budget_spec(found: &mut Problems, spec: &Value) {
    if is_set(&spec["minAvailable"]) && is_set(&spec["maxUnavailable"]) {
        // Kubernetes shows its internal form of the specification.
        let shown = json!({
            "MinAvailable": spec["minAvailable"],
            "Selector": spec["selector"],
            "MaxUnavailable": spec["maxUnavailable"],
            "UnhealthyPodEvictionPolicy": spec["unhealthyPodEvictionPolicy"],
        });
        found.invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for bound in ["minAvailable", "maxUnavailable"] {
        let field = format!("spec.{bound}");
        found.count_or_percent(&field, &spec[bound]);
        found.not_above_hundred_percent(&field, &spec[bound]);
    }
    selector::validate(found, "spec.selector", &spec["selector"]);
    found.one_of_if_set(
        "spec.unhealthyPodEvictionPolicy",
        &spec["unhealthyPodEvictionPolicy"],
        &["AlwaysAllow", "IfHealthyBudget"],
    );
}

pub fn autoscaler(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    autoscaler_spec(found, &object["spec"]);
}

pub fn autoscaler_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    autoscaler_spec(found, &new["spec"]);
}

fn autoscaler_spec(found: &mut Problems, spec: &Value) {
    found.at_least("spec.minReplicas", &spec["minReplicas"], 1);
    let most = spec["maxReplicas"].as_i64().unwrap_or(0);
    if most < 1 {
        found.invalid("spec.maxReplicas", most, "must be greater than 0");
    }
    if spec["minReplicas"].as_i64().is_some_and(|least| least > most) {
        found.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`");
    }
    for part in ["kind", "name"] {
        let field = format!("spec.scaleTargetRef.{part}");
        match text(&spec["scaleTargetRef"][part]) {
            "" => found.required(&field, ""),
            name => found.complaints(&field, name, names::path_segment(name)),
        }
    }
    for (index, metric) in items(&spec["metrics"]).iter().enumerate() {
        metric_source(found, &format!("spec.metrics[{index}]"), metric);
    }
    for direction in ["scaleUp", "scaleDown"] {
        scaling_rules(found, &format!("spec.behavior.{direction}"), &spec["behavior"][direction]);
    }
}

fn metric_source(found: &mut Problems, field: &str, metric: &Value) {
    const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    let kind = text(&metric["type"]);
    if kind.is_empty() {
        return found.required(&format!("{field}.type"), "must specify a metric source type");
    }
    if !TYPES.contains(&kind) {
        return found.not_supported(&format!("{field}.type"), kind, &TYPES);
    }
    let source_name = format!("{}{}", kind[..1].to_lowercase(), &kind[1..]);
    let (source, field) = (&metric[source_name.as_str()], format!("{field}.{source_name}"));
    if source.is_null() {
        let says = "must populate information for the given metric source";
        return found.required(&field, says);
    }
    let target = &source["target"];
    if text(&target["type"]).is_empty() {
        found.required(&format!("{field}.target.type"), "must specify a metric target type");
    }
    for value in ["averageUtilization"] {
        if target[value].as_i64().is_some_and(|percent| percent < 1) {
            found.invalid(&format!("{field}.target.{value}"), target[value].clone(), "must be greater than 0");
        }
    }
}

fn scaling_rules(found: &mut Problems, field: &str, rules: &Value) {
    if !rules.is_object() {
        return;
    }
    if let Some(window) = rules["stabilizationWindowSeconds"].as_i64() {
        let window_field = format!("{field}.stabilizationWindowSeconds");
        found.not_negative(&window_field, &rules["stabilizationWindowSeconds"]);
        if window > 3600 {
            found.invalid(&window_field, window, "must be less than or equal to 3600");
        }
    }
    found.one_of_if_set(&format!("{field}.selectPolicy"), &rules["selectPolicy"], &["Disabled", "Max", "Min"]);
    if items(&rules["policies"]).is_empty() {
        found.required(&format!("{field}.policies"), "must specify at least one Policy");
    }
    for (index, policy) in items(&rules["policies"]).iter().enumerate() {
        let field = format!("{field}.policies[{index}]");
        found.one_of(&format!("{field}.type"), &policy["type"], &["Percent", "Pods"]);
        found.positive(&format!("{field}.value"), &policy["value"]);
        found.positive(&format!("{field}.periodSeconds"), &policy["periodSeconds"]);
        if policy["periodSeconds"].as_i64().is_some_and(|seconds| seconds > 1800) {
            let says = "must be less than or equal to 1800";
            found.invalid(&format!("{field}.periodSeconds"), policy["periodSeconds"].clone(), says);
        }
    }
}

pub fn resource_quota(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    resource_quota_spec(found, &object["spec"]);
}

pub fn resource_quota_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    resource_quota_spec(found, &new["spec"]);
}

fn resource_quota_spec(found: &mut Problems, spec: &Value) {
    for (name, quantity) in entries(&spec["hard"]) {
        let field = format!("spec.hard[{name}]");
        resources::resource_name(found, &field, name);
        found.quantity(&field, quantity);
        let counted = !name.contains("cpu") && !name.contains("memory") && !name.contains("storage");
        let fraction = Quantity::parse(text(quantity)).is_some_and(|quantity| quantity.milli() % 1000 != 0);
        if counted && resources::is_quota_name(name) && fraction {
            found.invalid(&field, quantity.clone(), "must be an integer");
        }
    }
}

pub fn limit_range(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    limits(found, &object["spec"]["limits"]);
}

pub fn limit_range_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    limits(found, &new["spec"]["limits"]);
}

fn limits(found: &mut Problems, limits: &Value) {
    for (index, item) in items(limits).iter().enumerate() {
        let field = format!("spec.limits[{index}]");
        let kind = text(&item["type"]);
        if matches!(kind, "Pod" | "PersistentVolumeClaim") {
            for default in ["default", "defaultRequest"] {
                if is_set(&item[default]) {
                    let says = format!("may not be specified when `type` is '{kind}'");
                    found.forbidden(&format!("{field}.{default}"), &says);
                }
            }
        }
        if kind == "PersistentVolumeClaim" && item["min"]["storage"].is_null() && item["max"]["storage"].is_null() {
            found.required(
                &format!("{field}.limits"),
                "either minimum or maximum storage value is required, but neither was provided",
            );
        }
        let mut names: Vec<&String> = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
            .iter()
            .flat_map(|part| entries(&item[*part]).map(|(name, _)| name))
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            limit_of(found, &field, item, name);
        }
    }
}

/// Minimum ≤ default request ≤ default ≤ maximum, for one resource.
fn limit_of(found: &mut Problems, field: &str, item: &Value, name: &str) {
    let quantity = |part: &str| Quantity::parse(text(&item[part][name]));
    let (min, max) = (quantity("min"), quantity("max"));
    let (request, default) = (quantity("defaultRequest"), quantity("default"));
    let mut ordered =
        |low: Option<Quantity>, high: Option<Quantity>, at: &str, shown: Option<Quantity>, says: [&str; 2]| {
            if let (Some(low), Some(high), Some(shown)) = (low, high, shown)
                && low > high
            {
                let message = format!("{} value {low} is greater than {} value {high}", says[0], says[1]);
                found.invalid(&format!("{field}.{at}[{name}]"), shown.to_string(), &message);
            }
        };
    ordered(min, max, "min", min, ["min", "max"]);
    ordered(min, request, "defaultRequest", request, ["min", "default request"]);
    ordered(request, max, "defaultRequest", request, ["default request", "max"]);
    ordered(request, default, "defaultRequest", request, ["default request", "default limit"]);
    // Here Kubernetes shows the minimum, not the default.
    ordered(min, default, "default", min, ["min", "default"]);
    ordered(default, max, "default", max, ["default", "max"]);
    if quantity("maxLimitRequestRatio").is_some_and(|ratio| ratio.milli() < 1000) {
        let ratio = item["maxLimitRequestRatio"][name].clone();
        let says = format!("ratio {} is less than 1", text(&ratio));
        found.invalid(&format!("{field}.maxLimitRequestRatio[{name}]"), ratio, &says);
    }
}
