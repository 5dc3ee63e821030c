//! Probes and lifecycle hooks of containers.

use serde_json::Value;

use super::containers::exactly_one;
use super::names;
use super::problems::{Problems, is_set, items, text};

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

pub fn validate(found: &mut Problems, field: &str, container: &Value) {
    for hook in ["postStart", "preStop"] {
        let handler = &container["lifecycle"][hook];
        if handler.is_object() {
            let field = format!("{field}.lifecycle.{hook}");
            self::handler(found, &field, handler, &["exec", "httpGet", "tcpSocket", "sleep"]);
        }
    }
    for name in PROBES {
        if container[name].is_object() {
            probe(found, &format!("{field}.{name}"), name, &container[name]);
        }
    }
}

/// Containers that are not there to serve have neither probes nor hooks.
pub fn forbid(found: &mut Problems, field: &str, container: &Value, init: bool) {
    let says = match init {
        true => "may not be set for init containers without restartPolicy=Always",
        false => "cannot be set for an Ephemeral Container",
    };
    for name in ["lifecycle"].iter().chain(&PROBES) {
        if is_set(&container[*name]) {
            found.forbidden(&format!("{field}.{name}"), says);
        }
    }
}

fn probe(found: &mut Problems, field: &str, name: &str, probe: &Value) {
    handler(found, field, probe, &["exec", "httpGet", "tcpSocket", "grpc"]);
    for count in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        found.not_negative(&format!("{field}.{count}"), &probe[count]);
    }
    let grace = &probe["terminationGracePeriodSeconds"];
    let grace_field = format!("{field}.terminationGracePeriodSeconds");
    if name == "readinessProbe" {
        if is_set(grace) {
            found.invalid(&grace_field, grace.clone(), "must not be set for readinessProbes");
        }
        return;
    }
    if grace.as_i64().is_some_and(|seconds| seconds <= 0) {
        found.invalid(&grace_field, grace.clone(), "must be greater than 0");
    }
    if probe["successThreshold"].as_i64().is_some_and(|count| count != 1) {
        found.invalid(&format!("{field}.successThreshold"), probe["successThreshold"].clone(), "must be 1");
    }
}

fn handler(found: &mut Problems, field: &str, handler: &Value, kinds: &[&str]) {
    exactly_one(found, field, handler, kinds, "must specify a handler type", "handler type");
    if handler["exec"].is_object() && items(&handler["exec"]["command"]).is_empty() {
        found.required(&format!("{field}.exec.command"), "");
    }
    let get = &handler["httpGet"];
    if get.is_object() {
        let field = format!("{field}.httpGet");
        if text(&get["path"]).is_empty() {
            found.required(&format!("{field}.path"), "");
        }
        found.port_or_name(&format!("{field}.port"), &get["port"]);
        found.one_of(&format!("{field}.scheme"), &get["scheme"], &["HTTP", "HTTPS"]);
        for (index, header) in items(&get["httpHeaders"]).iter().enumerate() {
            let name = text(&header["name"]);
            found.complaints(&format!("{field}.httpHeaders[{index}].name"), name, names::http_header(name));
        }
    }
    if handler["tcpSocket"].is_object() {
        found.port_or_name(&format!("{field}.tcpSocket.port"), &handler["tcpSocket"]["port"]);
    }
    if handler["grpc"].is_object() {
        found.port(&format!("{field}.grpc.port"), handler["grpc"]["port"].as_i64().unwrap_or(0));
    }
}
