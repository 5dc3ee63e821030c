//! Services, Ingresses, EndpointSlices.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::problems::{Problems, is_set, items, text};
use super::{metadata, names};

pub fn service(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_label);
    service_spec(found, &object["spec"]);
}

pub fn service_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    let needs_address = |spec: &Value| text(&spec["type"]) != "ExternalName" && !text(&spec["clusterIP"]).is_empty();
    let (spec, before) = (&new["spec"], &old["spec"]);
    if needs_address(spec) && needs_address(before) && spec["clusterIP"] != before["clusterIP"] {
        found.invalid("spec.clusterIPs[0]", spec["clusterIP"].clone(), "may not change once set");
    }
    service_spec(found, spec);
}

fn service_spec(found: &mut Problems, spec: &Value) {
    let (kind, headless) = (text(&spec["type"]), text(&spec["clusterIP"]) == "None");
    let ports = items(&spec["ports"]);
    if ports.is_empty() && !headless && kind != "ExternalName" {
        found.required("spec.ports", "");
    }
    if headless && matches!(kind, "LoadBalancer" | "NodePort") {
        let says = format!("may not be set to 'None' for {kind} services");
        found.invalid("spec.clusterIPs[0]", "None", &says);
    }
    if kind == "ExternalName" {
        if !text(&spec["clusterIP"]).is_empty() {
            found.forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'");
        }
        match text(&spec["externalName"]) {
            "" => found.required("spec.externalName", ""),
            name => {
                let name = name.strip_suffix('.').unwrap_or(name);
                found.complaints("spec.externalName", name, names::dns_subdomain(name));
            }
        }
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        service_port(found, &format!("spec.ports[{index}]"), port, ports.len() > 1, &mut seen);
    }
    duplicate_ports(found, ports);
    metadata::labels(found, "spec.selector", &spec["selector"]);
    found.one_of("spec.sessionAffinity", &spec["sessionAffinity"], &["ClientIP", "None"]);
    if kind == "NodePort" || kind == "LoadBalancer" {
        found.one_of("spec.externalTrafficPolicy", &spec["externalTrafficPolicy"], &["Cluster", "Local"]);
    } else if is_set(&spec["externalTrafficPolicy"]) && !text(&spec["externalTrafficPolicy"]).is_empty() {
        let says = "may only be set for externally-accessible services";
        found.invalid("spec.externalTrafficPolicy", spec["externalTrafficPolicy"].clone(), says);
    }
    found.one_of("spec.type", &spec["type"], &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    found.one_of_if_set("spec.internalTrafficPolicy", &spec["internalTrafficPolicy"], &["Cluster", "Local"]);
    for (index, address) in items(&spec["clusterIPs"]).iter().enumerate() {
        if text(address) != "None" {
            ip_address(found, &format!("spec.clusterIPs[{index}]"), address);
        }
    }
    for (index, address) in items(&spec["externalIPs"]).iter().enumerate() {
        ip_address(found, &format!("spec.externalIPs[{index}]"), address);
    }
}

fn service_port<'a>(
    found: &mut Problems,
    field: &str,
    port: &'a Value,
    must_be_named: bool,
    seen: &mut BTreeSet<&'a str>,
) {
    let name = text(&port["name"]);
    let name_field = format!("{field}.name");
    if name.is_empty() {
        if must_be_named {
            found.required(&name_field, "");
        }
    } else {
        found.complaints(&name_field, name, names::dns_label(name));
        if !seen.insert(name) {
            found.duplicate(&name_field, name);
        }
    }
    found.port(&format!("{field}.port"), port["port"].as_i64().unwrap_or(0));
    found.one_of(&format!("{field}.protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
    found.port_or_name(&format!("{field}.targetPort"), &port["targetPort"]);
}

fn duplicate_ports(found: &mut Problems, ports: &[Value]) {
    let mut seen: Vec<Value> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let key = json!({"port": port["port"], "protocol": port["protocol"]});
        if seen.contains(&key) {
            found.duplicate(&format!("spec.ports[{index}]"), key);
        } else {
            seen.push(key);
        }
    }
}

fn ip_address(found: &mut Problems, field: &str, address: &Value) {
    if text(address).parse::<IpAddr>().is_err() {
        found.invalid(field, address.clone(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
}

pub fn ingress(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    ingress_spec(found, &object["spec"]);
}

pub fn ingress_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    ingress_spec(found, &new["spec"]);
}

fn ingress_spec(found: &mut Problems, spec: &Value) {
    let rules = items(&spec["rules"]);
    if rules.is_empty() && !spec["defaultBackend"].is_object() {
        found.invalid("spec", Value::Null, "either `defaultBackend` or `rules` must be specified");
    }
    if spec["defaultBackend"].is_object() {
        backend(found, "spec.defaultBackend", &spec["defaultBackend"]);
    }
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("spec.rules[{index}]");
        ingress_host(found, &format!("{field}.host"), text(&rule["host"]));
        if rule["http"].is_object() {
            ingress_paths(found, &format!("{field}.http.paths"), &rule["http"]["paths"]);
        }
    }
    for (index, tls) in items(&spec["tls"]).iter().enumerate() {
        for (host, name) in items(&tls["hosts"]).iter().enumerate() {
            ingress_host(found, &format!("spec.tls[{index}].hosts[{host}]"), text(name));
        }
        if !text(&tls["secretName"]).is_empty() {
            found.name(&format!("spec.tls[{index}].secretName"), &tls["secretName"], names::dns_subdomain);
        }
    }
    found.name("spec.ingressClassName", &spec["ingressClassName"], names::dns_subdomain);
}

fn ingress_host(found: &mut Problems, field: &str, host: &str) {
    if host.is_empty() {
        return;
    }
    if host.parse::<IpAddr>().is_ok() {
        found.invalid(field, host, "must be a DNS name, not an IP address");
    }
    let complaints = if host.contains('*') { names::wildcard_subdomain(host) } else { names::dns_subdomain(host) };
    found.complaints(field, host, complaints);
}

fn ingress_paths(found: &mut Problems, field: &str, paths: &Value) {
    if items(paths).is_empty() {
        found.required(field, "");
    }
    for (index, path) in items(paths).iter().enumerate() {
        let field = format!("{field}[{index}]");
        let location = text(&path["path"]);
        match text(&path["pathType"]) {
            "" => found.required(&format!("{field}.pathType"), "pathType must be specified"),
            "Exact" | "Prefix" => exact_path(found, &format!("{field}.path"), location),
            "ImplementationSpecific" => {
                if !location.is_empty() && !location.starts_with('/') {
                    found.invalid(&format!("{field}.path"), location, "must be an absolute path");
                }
            }
            other => {
                let allowed = ["Exact", "ImplementationSpecific", "Prefix"];
                found.not_supported(&format!("{field}.pathType"), other, &allowed);
            }
        }
        backend(found, &format!("{field}.backend"), &path["backend"]);
    }
}

fn exact_path(found: &mut Problems, field: &str, path: &str) {
    if !path.starts_with('/') {
        found.invalid(field, path, "must be an absolute path");
    }
    for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
        if path.contains(sequence) {
            found.invalid(field, path, &format!("must not contain '{sequence}'"));
        }
    }
    for end in ["/..", "/."] {
        if path.ends_with(end) {
            found.invalid(field, path, &format!("cannot end with '{end}'"));
        }
    }
}

fn backend(found: &mut Problems, field: &str, backend: &Value) {
    match (backend["service"].is_object(), backend["resource"].is_object()) {
        (true, true) => found.invalid(field, "", "cannot set both resource and service backends"),
        (false, false) => found.required(field, "resource or service backend is required"),
        (false, true) => {}
        (true, false) => {
            let (service, field) = (&backend["service"], format!("{field}.service"));
            match text(&service["name"]) {
                "" => found.required(&format!("{field}.name"), ""),
                name => found.complaints(&format!("{field}.name"), name, names::dns_label(name)),
            }
            let (name, number) = (text(&service["port"]["name"]), service["port"]["number"].as_i64().unwrap_or(0));
            match (name, number) {
                ("", 0) => found.required(&format!("{field}.port"), "port name or number is required"),
                ("", number) => found.port(&format!("{field}.port.number"), number),
                (name, 0) => found.complaints(&format!("{field}.port.name"), name, names::port_name(name)),
                _ => found.invalid(&format!("{field}.port"), "", "cannot set both port name & port number"),
            }
        }
    }
}

pub fn endpoint_slice(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    endpoint_slice_body(found, object);
}

pub fn endpoint_slice_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    endpoint_slice_body(found, new);
    found.immutable("addressType", &new["addressType"], &old["addressType"]);
}

fn endpoint_slice_body(found: &mut Problems, slice: &Value) {
    found.one_of("addressType", &slice["addressType"], &["FQDN", "IPv4", "IPv6"]);
    for (index, endpoint) in items(&slice["endpoints"]).iter().enumerate() {
        if items(&endpoint["addresses"]).is_empty() {
            found.required(&format!("endpoints[{index}].addresses"), "must contain at least 1 address");
        }
    }
    for (index, port) in items(&slice["ports"]).iter().enumerate() {
        found.one_of(&format!("ports[{index}].protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
    }
}
