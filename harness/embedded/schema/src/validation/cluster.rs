//! Configuration, identities, nodes, leases, events, and definitions of kinds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::problems::{IMMUTABLE, Problems, entries, is_set, items, text};
use super::{metadata, names, scheduling};

/// Data of a ConfigMap or Secret, in bytes.
const DATA_MAX: usize = 1024 * 1024;

pub fn config_map(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    data(found, object, &["data", "binaryData"]);
}

pub fn config_map_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    immutable_data(found, new, old, &["data", "binaryData"]);
    data(found, new, &["data", "binaryData"]);
}

pub fn secret(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    secret_data(found, object);
}

pub fn secret_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    found.immutable("type", &new["type"], &old["type"]);
    immutable_data(found, new, old, &["data"]);
    secret_data(found, new);
}

fn secret_data(found: &mut Problems, secret: &Value) {
    data(found, secret, &["data"]);
    let keys: &[&str] = match text(&secret["type"]) {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in keys.iter().filter(|key| secret["data"][**key].is_null()) {
        found.required(&format!("data[{key}]"), "");
    }
    if text(&secret["type"]) == "kubernetes.io/service-account-token" {
        const NAME: &str = "kubernetes.io/service-account.name";
        if text(&secret["metadata"]["annotations"][NAME]).is_empty() {
            found.required(&format!("metadata.annotations[{NAME}]"), "");
        }
    }
}

fn data(found: &mut Problems, object: &Value, fields: &[&str]) {
    let mut size = 0;
    for field in fields {
        for (key, value) in entries(&object[*field]) {
            found.complaints(&format!("{field}[{key}]"), key.as_str(), names::config_key(key));
            let encoded = text(value).len();
            size += key.len()
                + if *field == "binaryData" || object["stringData"].is_object() { encoded * 3 / 4 } else { encoded };
        }
    }
    if size > DATA_MAX {
        found.too_long(if fields.len() == 1 { "data" } else { "" }, DATA_MAX);
    }
}

fn immutable_data(found: &mut Problems, new: &Value, old: &Value, fields: &[&str]) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        found.forbidden("immutable", "field is immutable when `immutable` is set");
    }
    for field in fields.iter().filter(|field| new[**field] != old[**field]) {
        found.forbidden(field, "field is immutable when `immutable` is set");
    }
}

pub fn node(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    taints(found, &object["spec"]["taints"]);
}

pub fn node_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    taints(found, &new["spec"]["taints"]);
    if is_set(&old["spec"]["podCIDR"]) && new["spec"]["podCIDR"] != old["spec"]["podCIDR"] {
        found.forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid");
    }
}

fn taints(found: &mut Problems, taints: &Value) {
    let mut seen = BTreeSet::new();
    for (index, taint) in items(taints).iter().enumerate() {
        let field = format!("spec.taints[{index}]");
        let key = text(&taint["key"]);
        found.complaints(&format!("{field}.key"), key, names::qualified_name(key));
        found.name(&format!("{field}.value"), &taint["value"], names::label_value);
        match text(&taint["effect"]) {
            "" => found.required(&format!("{field}.effect"), ""),
            _ => scheduling::effect(found, &format!("{field}.effect"), &taint["effect"]),
        }
        if !seen.insert((key, text(&taint["effect"]))) {
            found.duplicate(&field, taint.clone());
        }
    }
}

pub fn lease(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    lease_spec(found, &object["spec"]);
}

pub fn lease_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    lease_spec(found, &new["spec"]);
}

fn lease_spec(found: &mut Problems, spec: &Value) {
    found.positive("spec.leaseDurationSeconds", &spec["leaseDurationSeconds"]);
    found.not_negative("spec.leaseTransitions", &spec["leaseTransitions"]);
}

/// An event lives in the namespace of what it is about; what has no namespace is spoken of in `default`.
pub fn event(found: &mut Problems, object: &Value) {
    let about = text(&object["involvedObject"]["namespace"]);
    let own = text(&object["metadata"]["namespace"]);
    if about.is_empty() {
        if !own.is_empty() && !matches!(own, "default" | "kube-system") {
            found.invalid("involvedObject.namespace", about, "does not match event.namespace");
        }
    } else if about != own {
        found.invalid("involvedObject.namespace", about, "does not match event.namespace");
    }
    for complaint in names::dns_subdomain(text(&object["metadata"]["name"])) {
        found.invalid("metadata.name", object["metadata"]["name"].clone(), &complaint);
    }
}

pub fn role(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::path_segment);
    rules(found, object);
}

pub fn role_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    rules(found, new);
}

fn rules(found: &mut Problems, role: &Value) {
    let namespaced = text(&role["kind"]) == "Role";
    for (index, rule) in items(&role["rules"]).iter().enumerate() {
        let field = format!("rules[{index}]");
        if items(&rule["verbs"]).is_empty() {
            found.required(&format!("{field}.verbs"), "verbs must contain at least one value");
        }
        let urls = !items(&rule["nonResourceURLs"]).is_empty();
        let (groups, resources) = (!items(&rule["apiGroups"]).is_empty(), !items(&rule["resources"]).is_empty());
        let urls_field = format!("{field}.nonResourceURLs");
        if urls && namespaced {
            let says = "namespaced rules cannot apply to non-resource URLs";
            found.invalid(&urls_field, rule["nonResourceURLs"].clone(), says);
        } else if urls && (groups || resources) {
            let says = "rules cannot apply to both regular resources and non-resource URLs";
            found.invalid(&urls_field, rule["nonResourceURLs"].clone(), says);
        }
        if urls {
            continue;
        }
        if !groups {
            found.required(&format!("{field}.apiGroups"), "resource rules must supply at least one api group");
        }
        if !resources {
            found.required(&format!("{field}.resources"), "resource rules must supply at least one resource");
        }
    }
}

pub fn role_binding(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::path_segment);
    binding(found, object);
}

pub fn role_binding_update(found: &mut Problems, new: &Value, old: &Value) {
    binding(found, new);
    metadata::update(found, new, old);
    if new["roleRef"] != old["roleRef"] {
        found.invalid("roleRef", new["roleRef"].clone(), "cannot change roleRef");
    }
}

fn binding(found: &mut Problems, binding: &Value) {
    let role = &binding["roleRef"];
    found.one_of("roleRef.apiGroup", &role["apiGroup"], &["rbac.authorization.k8s.io"]);
    let kinds: &[&str] =
        if text(&binding["kind"]) == "RoleBinding" { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    found.one_of("roleRef.kind", &role["kind"], kinds);
    match text(&role["name"]) {
        "" => found.required("roleRef.name", ""),
        name => found.complaints("roleRef.name", name, names::path_segment(name)),
    }
    for (index, subject) in items(&binding["subjects"]).iter().enumerate() {
        let field = format!("subjects[{index}]");
        if text(&subject["name"]).is_empty() {
            found.required(&format!("{field}.name"), "");
        }
        match text(&subject["kind"]) {
            "ServiceAccount" => {
                found.name(&format!("{field}.name"), &subject["name"], names::dns_subdomain);
                if text(&subject["namespace"]).is_empty() {
                    found.required(&format!("{field}.namespace"), "");
                }
            }
            "User" | "Group" => {}
            other => found.not_supported(&format!("{field}.kind"), other, &["ServiceAccount", "User", "Group"]),
        }
    }
}

pub fn priority_class(found: &mut Problems, object: &Value) {
    const MOST: i64 = 1_000_000_000;
    metadata::create(found, object, names::dns_subdomain);
    let name = text(&object["metadata"]["name"]);
    let system = matches!(name, "system-node-critical" | "system-cluster-critical");
    if name.starts_with("system-") && !system {
        found.forbidden(
            "metadata.name",
            "priority class names with 'system-' prefix are reserved for system use only. error: ",
        );
    }
    if !system && object["value"].as_i64().is_some_and(|value| value > MOST) {
        found.forbidden("value", &format!("maximum allowed value of a user defined priority is {MOST}"));
    }
    found.one_of_if_set("preemptionPolicy", &object["preemptionPolicy"], &["Never", "PreemptLowerPriority"]);
}

pub fn priority_class_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    if new["value"] != old["value"] {
        found.forbidden("value", "may not be changed in an update.");
    }
    found.immutable("preemptionPolicy", &new["preemptionPolicy"], &old["preemptionPolicy"]);
}

pub fn custom_resource_definition(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    definition(found, object);
}

pub fn custom_resource_definition_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    definition(found, new);
    found.immutable("spec.group", &new["spec"]["group"], &old["spec"]["group"]);
    found.immutable("spec.scope", &new["spec"]["scope"], &old["spec"]["scope"]);
    found.immutable("spec.names.kind", &new["spec"]["names"]["kind"], &old["spec"]["names"]["kind"]);
}

fn definition(found: &mut Problems, object: &Value) {
    let spec = &object["spec"];
    let expected = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    if text(&object["metadata"]["name"]) != expected {
        let says = "must be spec.names.plural+\".\"+spec.group";
        found.invalid("metadata.name", object["metadata"]["name"].clone(), says);
    }
    if text(&spec["group"]).is_empty() {
        found.required("spec.group", "");
    }
    found.one_of("spec.scope", &spec["scope"], &["Cluster", "Namespaced"]);
    let stored = items(&spec["versions"]).iter().filter(|version| version["storage"] == true).count();
    if stored != 1 {
        let says = "must have exactly one version marked as storage version";
        found.invalid("spec.versions", spec["versions"].clone(), says);
    }
    for (index, version) in items(&spec["versions"]).iter().enumerate() {
        if version["schema"]["openAPIV3Schema"].is_null() {
            found.required(&format!("spec.versions[{index}].schema.openAPIV3Schema"), "schemas are required");
        }
    }
    for part in ["plural", "kind"] {
        if text(&spec["names"][part]).is_empty() {
            found.required(&format!("spec.names.{part}"), "");
        }
    }
}

pub fn controller_revision_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    if new["data"] != old["data"] {
        found.invalid("data", json!(null), IMMUTABLE);
    }
}
