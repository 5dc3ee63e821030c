//! Pods, pod templates and their containers.

use serde_json::{Map, Value, json};

use super::{Object, each, set, set_number, set_text, text, volumes, with, within};

pub fn pod(root: &mut Object) {
    with(root, "spec", |spec| {
        for list in ["initContainers", "containers"] {
            each(spec, list, |container| with(container, "resources", requests_from_limits));
        }
        with(spec, "resources", requests_from_limits);
        set(spec, "enableServiceLinks", true);
        pod_spec(spec);
        if spec.get("hostNetwork") == Some(&json!(true)) {
            for list in ["initContainers", "containers"] {
                each(spec, list, |container| each(container, "ports", host_port));
            }
        }
    });
    with(root, "status", |status| set_text(status, "phase", "Pending"));
}

pub fn template(template: &mut Object) {
    within(template, "spec", pod_spec);
}

fn pod_spec(spec: &mut Object) {
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "restartPolicy", "Always");
    set(spec, "securityContext", Map::new());
    set(spec, "terminationGracePeriodSeconds", 30);
    set_text(spec, "schedulerName", "default-scheduler");
    set_service_account_alias(spec);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, list, container);
    }
    each(spec, "volumes", volumes::volume);
}

/// `serviceAccount` is the old name of `serviceAccountName`; Kubernetes keeps both alike.
fn set_service_account_alias(spec: &mut Object) {
    let name = match text(spec, "serviceAccountName") {
        "" => text(spec, "serviceAccount").to_owned(),
        name => name.to_owned(),
    };
    if !name.is_empty() {
        spec.insert("serviceAccountName".into(), name.clone().into());
        spec.insert("serviceAccount".into(), name.into());
    }
}

fn requests_from_limits(resources: &mut Object) {
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    within(resources, "requests", |requests| {
        for (name, limit) in limits {
            set(requests, &name, limit);
        }
    });
}

/// On the host's network a container port is a host port.
fn host_port(port: &mut Object) {
    let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or(0);
    set_number(port, "hostPort", number);
}

fn container(container: &mut Object) {
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    let policy = image_pull_policy(text(container, "image"));
    set_text(container, "imagePullPolicy", policy);
    each(container, "ports", |port| set_text(port, "protocol", "TCP"));
    each(container, "env", |variable| {
        with(variable, "valueFrom", |source| {
            with(source, "fieldRef", field_reference);
            with(source, "resourceFieldRef", resource_reference);
            with(source, "fileKeyRef", |file| set(file, "optional", false));
        });
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        with(container, name, probe);
    }
    with(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            with(lifecycle, hook, |handler| with(handler, "httpGet", http_get));
        }
    });
}

pub fn field_reference(reference: &mut Object) {
    set_text(reference, "apiVersion", "v1");
}

pub fn resource_reference(reference: &mut Object) {
    set(reference, "divisor", "0");
}

fn probe(probe: &mut Object) {
    set_number(probe, "timeoutSeconds", 1);
    set_number(probe, "periodSeconds", 10);
    set_number(probe, "successThreshold", 1);
    set_number(probe, "failureThreshold", 3);
    with(probe, "httpGet", http_get);
    with(probe, "grpc", |grpc| set(grpc, "service", ""));
}

fn http_get(action: &mut Object) {
    set_text(action, "path", "/");
    set_text(action, "scheme", "HTTP");
}

/// `Always` for `:latest` and for no tag at all, unless a digest pins the image.
pub fn image_pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let floating = match name.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => true,
    };
    if floating && !image.contains('@') && !image.is_empty() { "Always" } else { "IfNotPresent" }
}
