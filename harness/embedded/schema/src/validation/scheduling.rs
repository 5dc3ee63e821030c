//! Where a pod may run: affinity, tolerations, spreading.

use std::collections::BTreeSet;

use serde_json::Value;

use super::problems::{Problems, is_set, items, text};
use super::{names, selector};

pub fn affinity(found: &mut Problems, field: &str, affinity: &Value) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let node = &affinity["nodeAffinity"];
    if node[REQUIRED].is_object() {
        node_selector(found, &format!("{field}.nodeAffinity.{REQUIRED}"), &node[REQUIRED]);
    }
    for (index, term) in items(&node[PREFERRED]).iter().enumerate() {
        let field = format!("{field}.nodeAffinity.{PREFERRED}[{index}]");
        weight(found, &field, term);
        node_term(found, &format!("{field}.preference"), &term["preference"]);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let terms = &affinity[kind];
        for (index, term) in items(&terms[REQUIRED]).iter().enumerate() {
            pod_term(found, &format!("{field}.{kind}.{REQUIRED}[{index}]"), term);
        }
        for (index, term) in items(&terms[PREFERRED]).iter().enumerate() {
            let field = format!("{field}.{kind}.{PREFERRED}[{index}]");
            weight(found, &field, term);
            pod_term(found, &format!("{field}.podAffinityTerm"), &term["podAffinityTerm"]);
        }
    }
}

fn weight(found: &mut Problems, field: &str, term: &Value) {
    if !(1..=100).contains(&term["weight"].as_i64().unwrap_or(0)) {
        found.invalid(&format!("{field}.weight"), term["weight"].clone(), "must be in the range 1-100");
    }
}

pub fn node_selector(found: &mut Problems, field: &str, selector: &Value) {
    let terms = items(&selector["nodeSelectorTerms"]);
    if terms.is_empty() {
        found.required(&format!("{field}.nodeSelectorTerms"), "must have at least one node selector term");
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(found, &format!("{field}.nodeSelectorTerms[{index}]"), term);
    }
}

fn node_term(found: &mut Problems, field: &str, term: &Value) {
    for (index, requirement) in items(&term["matchExpressions"]).iter().enumerate() {
        let field = format!("{field}.matchExpressions[{index}]");
        let values = items(&requirement["values"]);
        let at = format!("{field}.values");
        match text(&requirement["operator"]) {
            "In" | "NotIn" if values.is_empty() => {
                found.required(&at, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                found.forbidden(&at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "Gt" | "Lt" if values.len() != 1 => {
                found.required(&at, "must be specified single value when `operator` is 'Lt' or 'Gt'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => found.invalid(&format!("{field}.operator"), other, "not a valid selector operator"),
        }
        let key = text(&requirement["key"]);
        found.complaints(&format!("{field}.key"), key, names::qualified_name(key));
    }
}

fn pod_term(found: &mut Problems, field: &str, term: &Value) {
    selector::validate(found, &format!("{field}.labelSelector"), &term["labelSelector"]);
    selector::validate(found, &format!("{field}.namespaceSelector"), &term["namespaceSelector"]);
    for name in items(&term["namespaces"]) {
        found.name(&format!("{field}.namespace"), name, names::dns_label);
    }
    match text(&term["topologyKey"]) {
        "" => found.required(&format!("{field}.topologyKey"), "can not be empty"),
        key => found.complaints(&format!("{field}.topologyKey"), key, names::qualified_name(key)),
    }
}

pub fn tolerations(found: &mut Problems, field: &str, tolerations: &Value) {
    for (index, toleration) in items(tolerations).iter().enumerate() {
        let field = format!("{field}[{index}]");
        let (key, operator) = (text(&toleration["key"]), text(&toleration["operator"]));
        let operator_field = format!("{field}.operator");
        if !key.is_empty() {
            found.complaints(&format!("{field}.key"), key, names::qualified_name(key));
        } else if operator != "Exists" {
            let says = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            found.invalid(&operator_field, operator, says);
        }
        if is_set(&toleration["tolerationSeconds"]) && text(&toleration["effect"]) != "NoExecute" {
            let says = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            found.invalid(&format!("{field}.effect"), text(&toleration["effect"]), says);
        }
        match operator {
            "" | "Equal" => found.name(&operator_field, &toleration["value"], names::label_value),
            "Exists" if !text(&toleration["value"]).is_empty() => {
                found.invalid(
                    &operator_field,
                    toleration["value"].clone(),
                    "value must be empty when `operator` is 'Exists'",
                );
            }
            "Exists" => {}
            other => found.not_supported(&operator_field, other, &["Equal", "Exists"]),
        }
        effect(found, &format!("{field}.effect"), &toleration["effect"]);
    }
}

/// The effect of a taint or toleration, if there is one.
pub fn effect(found: &mut Problems, field: &str, effect: &Value) {
    found.one_of_if_set(field, effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
}

pub fn topology_spread(found: &mut Problems, field: &str, constraints: &Value) {
    let mut seen = BTreeSet::new();
    for (index, constraint) in items(constraints).iter().enumerate() {
        let field = format!("{field}[{index}]");
        let at = |name: &str| format!("{field}.{name}");
        if constraint["maxSkew"].as_i64().unwrap_or(0) <= 0 {
            found.invalid(&at("maxSkew"), constraint["maxSkew"].clone(), "must be greater than zero");
        }
        let (key, otherwise) = (text(&constraint["topologyKey"]), text(&constraint["whenUnsatisfiable"]));
        match key {
            "" => found.required(&at("topologyKey"), "can not be empty"),
            key => found.complaints(&at("topologyKey"), key, names::qualified_name(key)),
        }
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&otherwise) {
            found.not_supported(&at("whenUnsatisfiable"), otherwise, &["DoNotSchedule", "ScheduleAnyway"]);
        }
        if !seen.insert((key, otherwise)) {
            found.duplicate(&at("{topologyKey, whenUnsatisfiable}"), format!("{{{key}, {otherwise}}}"));
        }
        if let Some(domains) = constraint["minDomains"].as_i64() {
            if domains <= 0 {
                found.invalid(&at("minDomains"), domains, "must be greater than zero");
            }
            if otherwise != "DoNotSchedule" {
                let says = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {otherwise}");
                found.invalid(&at("minDomains"), domains, &says);
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            found.one_of_if_set(&at(policy), &constraint[policy], &["Honor", "Ignore"]);
        }
        selector::validate(found, &at("labelSelector"), &constraint["labelSelector"]);
    }
}
