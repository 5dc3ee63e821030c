//! Containers: names, images, ports, environment, mounts, probes, hooks, security.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::problems::{Problems, is_set, items, text};
use super::{environment, names, pod, probes, resources};

/// All containers of a pod. `field` and `spec` are those of the pod, `volumes` the names that may be mounted.
pub fn validate_all(found: &mut Problems, field: &str, spec: &Value, volumes: &BTreeSet<&str>) {
    let mut seen = BTreeSet::new();
    let mut host_ports = BTreeSet::new();
    if items(&spec["containers"]).is_empty() {
        found.required(&format!("{field}.containers"), "");
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for (index, container) in items(&spec[list]).iter().enumerate() {
            let field = format!("{field}.{list}[{index}]");
            one(found, &field, container, volumes);
            name(found, &field, container, &mut seen);
            if spec["hostNetwork"] == true {
                must_share_host_ports(found, &field, container);
            }
            if list == "containers" {
                host_port_conflicts(found, &field, container, &mut host_ports);
            }
            let sidecar = text(&container["restartPolicy"]) == "Always";
            if list == "containers" || sidecar {
                probes::validate(found, &field, container);
            } else {
                probes::forbid(found, &field, container, list == "initContainers");
            }
        }
    }
}

fn name<'a>(found: &mut Problems, field: &str, container: &'a Value, seen: &mut BTreeSet<&'a str>) {
    let field = format!("{field}.name");
    let name = text(&container["name"]);
    if name.is_empty() {
        return found.required(&field, "");
    }
    found.complaints(&field, name, names::dns_label(name));
    if !seen.insert(name) {
        found.duplicate(&field, name);
    }
}

fn one(found: &mut Problems, field: &str, container: &Value, volumes: &BTreeSet<&str>) {
    let at = |name: &str| format!("{field}.{name}");
    let image = text(&container["image"]);
    if image.is_empty() {
        found.required(&at("image"), "");
    } else if image.trim() != image {
        found.invalid(&at("image"), image, "must not have leading or trailing whitespace");
    }
    const MESSAGE_POLICIES: [&str; 2] = ["FallbackToLogsOnError", "File"];
    found.one_of(&at("terminationMessagePolicy"), &container["terminationMessagePolicy"], &MESSAGE_POLICIES);
    ports(found, &at("ports"), &container["ports"]);
    environment::variables(found, &at("env"), &container["env"]);
    environment::sources(found, &at("envFrom"), &container["envFrom"]);
    mounts(found, &at("volumeMounts"), &container["volumeMounts"], volumes);
    found.one_of(&at("imagePullPolicy"), &container["imagePullPolicy"], &["Always", "IfNotPresent", "Never"]);
    resources::requirements(found, &at("resources"), &container["resources"]);
    security_context(found, &at("securityContext"), &container["securityContext"]);
}

fn ports(found: &mut Problems, field: &str, ports: &Value) {
    let mut seen = BTreeSet::new();
    for (index, port) in items(ports).iter().enumerate() {
        let field = format!("{field}[{index}]");
        let name = text(&port["name"]);
        if !name.is_empty() {
            let complaints = names::port_name(name);
            if complaints.is_empty() && !seen.insert(name) {
                found.duplicate(&format!("{field}.name"), name);
            }
            found.complaints(&format!("{field}.name"), name, complaints);
        }
        match port["containerPort"].as_i64() {
            None | Some(0) => found.required(&format!("{field}.containerPort"), ""),
            Some(number) => found.port(&format!("{field}.containerPort"), number),
        }
        if let Some(number) = port["hostPort"].as_i64().filter(|number| *number != 0) {
            found.port(&format!("{field}.hostPort"), number);
        }
        found.one_of(&format!("{field}.protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
    }
}

fn must_share_host_ports(found: &mut Problems, field: &str, container: &Value) {
    for (index, port) in items(&container["ports"]).iter().enumerate() {
        let host = port["hostPort"].as_i64().unwrap_or(0);
        if host != 0 && Some(host) != port["containerPort"].as_i64() {
            let says = "must match `hostPort` when `hostNetwork` is true";
            found.invalid(&format!("{field}.ports[{index}].containerPort"), port["containerPort"].clone(), says);
        }
    }
}

fn host_port_conflicts(found: &mut Problems, field: &str, container: &Value, seen: &mut BTreeSet<String>) {
    for (index, port) in items(&container["ports"]).iter().enumerate() {
        let Some(number) = port["hostPort"].as_i64().filter(|number| *number != 0) else { continue };
        let key = format!("{}/{}/{number}", text(&port["protocol"]), text(&port["hostIP"]));
        if seen.contains(&key) {
            found.duplicate(&format!("{field}.ports[{index}].hostPort"), key);
        } else {
            seen.insert(key);
        }
    }
}

fn mounts(found: &mut Problems, field: &str, mounts: &Value, volumes: &BTreeSet<&str>) {
    let mut paths = BTreeSet::new();
    for (index, mount) in items(mounts).iter().enumerate() {
        let field = format!("{field}[{index}]");
        let (name, path) = (text(&mount["name"]), text(&mount["mountPath"]));
        if name.is_empty() {
            found.required(&format!("{field}.name"), "");
        }
        if path.is_empty() {
            found.required(&format!("{field}.mountPath"), "");
        }
        if !volumes.contains(name) {
            found.not_found(&format!("{field}.name"), name);
        }
        if !paths.insert(path) {
            found.invalid(&format!("{field}.mountPath"), path, "must be unique");
        }
        for sub in ["subPath", "subPathExpr"] {
            relative_path(found, &format!("{field}.{sub}"), text(&mount[sub]));
        }
        if !text(&mount["subPath"]).is_empty() && !text(&mount["subPathExpr"]).is_empty() {
            found.invalid(
                &format!("{field}.subPathExpr"),
                mount["subPathExpr"].clone(),
                "subPathExpr and subPath are mutually exclusive",
            );
        }
        const MODES: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
        found.one_of_if_set(&format!("{field}.mountPropagation"), &mount["mountPropagation"], &MODES);
    }
}

/// A path below the volume: not absolute, and not leading out of it.
pub fn relative_path(found: &mut Problems, field: &str, path: &str) {
    if path.starts_with('/') {
        found.invalid(field, path, "must be a relative path");
    }
    if path.split('/').any(|part| part == "..") {
        found.invalid(field, path, "must not contain '..'");
    }
}

fn security_context(found: &mut Problems, field: &str, context: &Value) {
    if !context.is_object() {
        return;
    }
    for id in ["runAsUser", "runAsGroup"] {
        pod::user_id(found, &format!("{field}.{id}"), &context[id]);
    }
    found.one_of_if_set(&format!("{field}.procMount"), &context["procMount"], &["Default", "Unmasked"]);
    pod::seccomp(found, &format!("{field}.seccompProfile"), &context["seccompProfile"]);
    if context["allowPrivilegeEscalation"] == json!(false) {
        let mut must_not = |says: &str| found.invalid(field, context.clone(), says);
        if context["privileged"] == true {
            must_not("cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        if items(&context["capabilities"]["add"]).iter().any(|c| c == "CAP_SYS_ADMIN") {
            must_not("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        }
    }
}

/// Whether exactly one of `fields` is set, complaining otherwise.
pub fn exactly_one(found: &mut Problems, field: &str, object: &Value, fields: &[&str], nothing: &str, what: &str) {
    let mut given = fields.iter().filter(|name| is_set(&object[**name]));
    if given.next().is_none() {
        return found.required(field, nothing);
    }
    for extra in given {
        found.forbidden(&format!("{field}.{extra}"), &format!("may not specify more than 1 {what}"));
    }
}
