//! Controllers of pods: Deployments, ReplicaSets, StatefulSets, DaemonSets.

use serde_json::{Value, json};

use super::problems::{Problems, is_set, items, text};
use super::{metadata, names, pod, selector, storage};

pub fn deployment(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    deployment_spec(found, &object["spec"]);
}

pub fn deployment_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    deployment_spec(found, &new["spec"]);
    found.immutable("spec.selector", &new["spec"]["selector"], &old["spec"]["selector"]);
}

fn deployment_spec(found: &mut Problems, spec: &Value) {
    found.not_negative("spec.replicas", &spec["replicas"]);
    required_selector(found, &spec["selector"], "empty selector is invalid for deployment");
    replica_template(found, spec);
    deployment_strategy(found, &spec["strategy"]);
    for count in ["minReadySeconds", "revisionHistoryLimit"] {
        found.not_negative(&format!("spec.{count}"), &spec[count]);
    }
    if let Some(deadline) = spec["progressDeadlineSeconds"].as_i64() {
        const FIELD: &str = "spec.progressDeadlineSeconds";
        found.not_negative(FIELD, &spec["progressDeadlineSeconds"]);
        if deadline <= spec["minReadySeconds"].as_i64().unwrap_or(0) {
            found.invalid(FIELD, deadline, "must be greater than minReadySeconds");
        }
    }
}

fn deployment_strategy(found: &mut Problems, strategy: &Value) {
    let rolling = &strategy["rollingUpdate"];
    match text(&strategy["type"]) {
        "Recreate" if is_set(rolling) => {
            let says = "may not be specified when strategy `type` is 'Recreate'";
            found.forbidden("spec.strategy.rollingUpdate", says);
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let unavailable = "spec.strategy.rollingUpdate.maxUnavailable";
            found.count_or_percent(unavailable, &rolling["maxUnavailable"]);
            found.count_or_percent("spec.strategy.rollingUpdate.maxSurge", &rolling["maxSurge"]);
            if is_zero(&rolling["maxUnavailable"]) && is_zero(&rolling["maxSurge"]) {
                found.invalid(unavailable, rolling["maxUnavailable"].clone(), "may not be 0 when `maxSurge` is 0");
            }
            found.not_above_hundred_percent(unavailable, &rolling["maxUnavailable"]);
        }
        other => found.not_supported("spec.strategy.type", other, &["Recreate", "RollingUpdate"]),
    }
}

fn is_zero(count: &Value) -> bool {
    *count == json!(0) || *count == json!("0%")
}

pub fn replica_set(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    replica_set_spec(found, &object["spec"]);
}

pub fn replica_set_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    replica_set_spec(found, &new["spec"]);
    found.immutable("spec.selector", &new["spec"]["selector"], &old["spec"]["selector"]);
}

fn replica_set_spec(found: &mut Problems, spec: &Value) {
    found.not_negative("spec.replicas", &spec["replicas"]);
    found.not_negative("spec.minReadySeconds", &spec["minReadySeconds"]);
    required_selector(found, &spec["selector"], "empty selector is invalid for deployment");
    replica_template(found, spec);
}

fn required_selector(found: &mut Problems, selector: &Value, when_empty: &str) {
    if selector.is_null() {
        return found.required("spec.selector", "");
    }
    selector::validate(found, "spec.selector", selector);
    if selector::is_empty(selector) {
        found.invalid("spec.selector", selector.clone(), when_empty);
    }
}

fn replica_template(found: &mut Problems, spec: &Value) {
    selector::must_match_template(found, &spec["selector"], &spec["template"]);
    pod::template(found, "spec.template", &spec["template"], &[]);
    always_restarting(found, spec, "activeDeadlineSeconds in ReplicaSet is not Supported");
}

/// Pods of these controllers run for ever.
fn always_restarting(found: &mut Problems, spec: &Value, deadline_says: &str) {
    let pod = &spec["template"]["spec"];
    let policy = text(&pod["restartPolicy"]);
    if matches!(policy, "Never" | "OnFailure") {
        found.not_supported("spec.template.spec.restartPolicy", policy, &["Always"]);
    }
    if is_set(&pod["activeDeadlineSeconds"]) {
        found.forbidden("spec.template.spec.activeDeadlineSeconds", deadline_says);
    }
}

pub fn stateful_set(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    stateful_set_spec(found, &object["spec"]);
}

pub fn stateful_set_update(found: &mut Problems, new: &Value, old: &Value) {
    const CHANGEABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    metadata::update(found, new, old);
    stateful_set_spec(found, &new["spec"]);
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(map) = spec.as_object_mut() {
            map.retain(|field, _| !CHANGEABLE.contains(&field.as_str()));
        }
        spec
    };
    if fixed(&new["spec"]) != fixed(&old["spec"]) {
        found.forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        );
    }
}

fn stateful_set_spec(found: &mut Problems, spec: &Value) {
    match text(&spec["podManagementPolicy"]) {
        "" => found.required("spec.podManagementPolicy", ""),
        "OrderedReady" | "Parallel" => {}
        other => found.invalid("spec.podManagementPolicy", other, "must be 'OrderedReady' or 'Parallel'"),
    }
    let strategy = &spec["updateStrategy"];
    match text(&strategy["type"]) {
        "" => found.required("spec.updateStrategy", ""),
        "OnDelete" if is_set(&strategy["rollingUpdate"]) => found.invalid(
            "spec.updateStrategy.rollingUpdate",
            strategy["rollingUpdate"].clone(),
            "only allowed for updateStrategy 'RollingUpdate'",
        ),
        "OnDelete" => {}
        "RollingUpdate" => {
            let field = "spec.updateStrategy.rollingUpdate";
            found.not_negative(&format!("{field}.partition"), &strategy["rollingUpdate"]["partition"]);
        }
        _ => found.invalid("spec.updateStrategy", strategy.clone(), "must be 'RollingUpdate' or 'OnDelete'"),
    }
    for moment in ["whenDeleted", "whenScaled"] {
        let policy = &spec["persistentVolumeClaimRetentionPolicy"][moment];
        let field = format!("spec.persistentVolumeClaimRetentionPolicy.{moment}");
        found.one_of_if_set(&field, policy, &["Retain", "Delete"]);
    }
    found.not_negative("spec.replicas", &spec["replicas"]);
    found.not_negative("spec.minReadySeconds", &spec["minReadySeconds"]);
    found.not_negative("spec.ordinals.start", &spec["ordinals"]["start"]);
    required_selector(found, &spec["selector"], "empty selector is invalid for statefulset");
    selector::must_match_template(found, &spec["selector"], &spec["template"]);
    let claims: Vec<&str> = items(&spec["volumeClaimTemplates"]).iter().map(|c| text(&c["metadata"]["name"])).collect();
    pod::template(found, "spec.template", &spec["template"], &claims);
    for (index, claim) in items(&spec["volumeClaimTemplates"]).iter().enumerate() {
        storage::claim_spec(found, &format!("spec.volumeClaimTemplates[{index}].spec"), &claim["spec"]);
    }
    always_restarting(found, spec, "activeDeadlineSeconds in StatefulSet is not Supported");
}

pub fn daemon_set(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    daemon_set_spec(found, &object["spec"]);
}

pub fn daemon_set_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    found.immutable("spec.selector", &new["spec"]["selector"], &old["spec"]["selector"]);
    daemon_set_spec(found, &new["spec"]);
}

fn daemon_set_spec(found: &mut Problems, spec: &Value) {
    let selector = &spec["selector"];
    selector::validate(found, "spec.selector", selector);
    selector::must_match_template(found, selector, &spec["template"]);
    if selector.is_object() && selector::is_empty(selector) {
        found.invalid("spec.selector", selector.clone(), "empty selector is invalid for daemonset");
    }
    pod::template(found, "spec.template", &spec["template"], &[]);
    always_restarting(found, spec, "activeDeadlineSeconds in DaemonSet is not Supported");
    found.not_negative("spec.minReadySeconds", &spec["minReadySeconds"]);
    let strategy = &spec["updateStrategy"];
    match text(&strategy["type"]) {
        "OnDelete" => {}
        "RollingUpdate" => daemon_set_rolling(found, &strategy["rollingUpdate"]),
        other => found.not_supported("spec.updateStrategy.type", other, &["RollingUpdate", "OnDelete"]),
    }
    found.not_negative("spec.revisionHistoryLimit", &spec["revisionHistoryLimit"]);
}

fn daemon_set_rolling(found: &mut Problems, rolling: &Value) {
    let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
    let at = |name: &str| format!("spec.updateStrategy.rollingUpdate.{name}");
    for (name, count) in [("maxUnavailable", unavailable), ("maxSurge", surge)] {
        found.count_or_percent(&at(name), count);
        found.not_above_hundred_percent(&at(name), count);
    }
    match (is_zero(unavailable), is_zero(surge)) {
        (true, true) => found.invalid(&at("maxUnavailable"), unavailable.clone(), "cannot be 0 when maxSurge is 0"),
        (false, false) => {
            found.invalid(&at("maxSurge"), surge.clone(), "may not be set when maxUnavailable is non-zero");
        }
        _ => {}
    }
}
