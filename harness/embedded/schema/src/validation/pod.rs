//! Pods and pod templates.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::problems::{Problems, is_set, items, text};
use super::{containers, metadata, names, resources, scheduling, volumes};

const MAX_ID: i64 = i32::MAX as i64;

pub fn create(found: &mut Problems, pod: &Value) {
    metadata::create(found, pod, names::dns_subdomain);
    spec(found, "spec", &pod["spec"], &[]);
    if !items(&pod["spec"]["ephemeralContainers"]).is_empty() {
        found.forbidden("spec.ephemeralContainers", "cannot be set on create");
    }
}

/// The template of a controller. `claims` are volumes that the controller adds itself.
pub fn template(found: &mut Problems, field: &str, template: &Value, claims: &[&str]) {
    metadata::labels(found, &format!("{field}.labels"), &template["metadata"]["labels"]);
    metadata::annotations(found, &format!("{field}.annotations"), &template["metadata"]["annotations"]);
    spec(found, &format!("{field}.spec"), &template["spec"], claims);
}

fn spec(found: &mut Problems, field: &str, spec: &Value, claims: &[&str]) {
    let at = |name: &str| format!("{field}.{name}");
    let mut known: BTreeSet<&str> = claims.iter().copied().collect();
    known.extend(volumes::validate(found, &at("volumes"), &spec["volumes"]));
    containers::validate_all(found, field, spec, &known);
    resources::requirements(found, &at("resources"), &spec["resources"]);
    found.one_of(&at("restartPolicy"), &spec["restartPolicy"], &["Always", "OnFailure", "Never"]);
    dns(found, field, spec);
    metadata::labels(found, &at("nodeSelector"), &spec["nodeSelector"]);
    security_context(found, &at("securityContext"), &spec["securityContext"]);
    for (index, secret) in items(&spec["imagePullSecrets"]).iter().enumerate() {
        if text(&secret["name"]).is_empty() {
            found.required(&format!("{}[{index}].name", at("imagePullSecrets")), "");
        }
    }
    scheduling::affinity(found, &at("affinity"), &spec["affinity"]);
    for name in ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] {
        if !text(&spec[name]).is_empty() {
            found.name(&at(name), &spec[name], names::dns_subdomain);
        }
    }
    scheduling::topology_spread(found, &at("topologySpreadConstraints"), &spec["topologySpreadConstraints"]);
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        found.complaints(&at("activeDeadlineSeconds"), seconds, names::in_range(seconds, 1, i64::from(i32::MAX)));
    }
    for name in ["hostname", "subdomain"] {
        if !text(&spec[name]).is_empty() {
            found.name(&at(name), &spec[name], names::dns_label);
        }
    }
    scheduling::tolerations(found, &at("tolerations"), &spec["tolerations"]);
    host_aliases(found, &at("hostAliases"), &spec["hostAliases"]);
    found.one_of_if_set(&at("preemptionPolicy"), &spec["preemptionPolicy"], &["PreemptLowerPriority", "Never"]);
}

fn dns(found: &mut Problems, field: &str, spec: &Value) {
    const POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    found.one_of(&format!("{field}.dnsPolicy"), &spec["dnsPolicy"], &POLICIES);
    let servers = items(&spec["dnsConfig"]["nameservers"]);
    let at = format!("{field}.dnsConfig.nameservers");
    if text(&spec["dnsPolicy"]) == "None" && servers.is_empty() {
        found.required(&at, "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
    for (index, server) in servers.iter().enumerate() {
        if text(server).parse::<std::net::IpAddr>().is_err() {
            found.invalid(
                &format!("{at}[{index}]"),
                server.clone(),
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            );
        }
    }
}

fn security_context(found: &mut Problems, field: &str, context: &Value) {
    for id in ["fsGroup", "runAsUser", "runAsGroup"] {
        user_id(found, &format!("{field}.{id}"), &context[id]);
    }
    for (index, group) in items(&context["supplementalGroups"]).iter().enumerate() {
        user_id(found, &format!("{field}.supplementalGroups[{index}]"), group);
    }
    let policy = format!("{field}.fsGroupChangePolicy");
    found.one_of_if_set(&policy, &context["fsGroupChangePolicy"], &["OnRootMismatch", "Always"]);
    seccomp(found, &format!("{field}.seccompProfile"), &context["seccompProfile"]);
}

pub fn user_id(found: &mut Problems, field: &str, id: &Value) {
    if let Some(number) = id.as_i64() {
        found.complaints(field, number, names::in_range(number, 0, MAX_ID));
    }
}

pub fn seccomp(found: &mut Problems, field: &str, profile: &Value) {
    if !profile.is_object() {
        return;
    }
    found.one_of(&format!("{field}.type"), &profile["type"], &["Localhost", "RuntimeDefault", "Unconfined"]);
    let local = &profile["localhostProfile"];
    let at = format!("{field}.localhostProfile");
    match text(&profile["type"]) {
        "Localhost" if local.is_null() => found.required(&at, "must be set when seccomp type is Localhost"),
        "Localhost" => {}
        _ if is_set(local) => found.invalid(&at, local.clone(), "can only be set when seccomp type is Localhost"),
        _ => {}
    }
}

fn host_aliases(found: &mut Problems, field: &str, aliases: &Value) {
    for (index, alias) in items(aliases).iter().enumerate() {
        let field = format!("{field}[{index}]");
        if text(&alias["ip"]).parse::<std::net::IpAddr>().is_err() {
            let says = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            found.invalid(&format!("{field}.ip"), alias["ip"].clone(), says);
        }
        for name in items(&alias["hostnames"]) {
            found.name(&format!("{field}.hostnames"), name, names::dns_subdomain);
        }
    }
}

/// What of a running pod may still change: images, a shorter deadline, more tolerations.
pub fn update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    let (spec, before) = (&new["spec"], &old["spec"]);
    deadline(found, &spec["activeDeadlineSeconds"], &before["activeDeadlineSeconds"]);
    for list in ["containers", "initContainers"] {
        if items(&spec[list]).len() != items(&before[list]).len() {
            return found.forbidden(&format!("spec.{list}"), "pod updates may not add or remove containers");
        }
        for (index, container) in items(&spec[list]).iter().enumerate() {
            if text(&container["image"]).is_empty() {
                found.required(&format!("spec.{list}[{index}].image"), "");
            }
        }
    }
    if items(&before["tolerations"]).iter().any(|kept| !items(&spec["tolerations"]).contains(kept)) {
        let says = "existing toleration can not be modified except its tolerationSeconds";
        found.forbidden("spec.tolerations", says);
    }
    if with_changeable_of(spec, before) != *before {
        found.forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n",
        );
    }
}

fn deadline(found: &mut Problems, new: &Value, old: &Value) {
    const FIELD: &str = "spec.activeDeadlineSeconds";
    match (new.as_i64(), old.as_i64()) {
        (Some(new), _) if new < 1 => {
            found.complaints(FIELD, new, names::in_range(new, 1, i64::from(i32::MAX)));
        }
        (Some(new), Some(old)) if new > old => {
            found.invalid(FIELD, new, "must be less than or equal to previous value");
        }
        (None, Some(_)) => found.invalid(FIELD, json!(null), "must not update from a positive integer to nil value"),
        _ => {}
    }
}

/// `spec` with everything that may change put back as it was in `before`.
fn with_changeable_of(spec: &Value, before: &Value) -> Value {
    let mut same = spec.clone();
    let Some(fields) = same.as_object_mut() else { return same };
    // While a gate holds a pod back it may lose gates, and be told more closely where to go.
    let gated = !items(&before["schedulingGates"]).is_empty();
    let held_back: &[&str] = if gated { &["schedulingGates", "nodeSelector", "affinity"] } else { &[] };
    for field in ["activeDeadlineSeconds", "tolerations"].iter().chain(held_back) {
        put_back(fields, before, field);
    }
    if before["terminationGracePeriodSeconds"].as_i64().is_some_and(|s| s < 0)
        && fields.get("terminationGracePeriodSeconds") == Some(&json!(1))
    {
        put_back(fields, before, "terminationGracePeriodSeconds");
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let Some(containers) = fields.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for (container, before) in containers.iter_mut().zip(items(&before[list])) {
            container["image"] = before["image"].clone();
        }
    }
    same
}

fn put_back(fields: &mut Map<String, Value>, before: &Value, name: &str) {
    match before.get(name) {
        Some(value) => {
            fields.insert(name.to_owned(), value.clone());
        }
        None => {
            fields.shift_remove(name);
        }
    }
}
