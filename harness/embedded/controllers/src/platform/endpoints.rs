//! Which pods stand behind a Service: EndpointSlices, and the older Endpoints beside them.
//!
//! Rules: kubernetes.io/docs/concepts/services-networking/endpoint-slices.

mod legacy;
mod slices;

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, bool_at, list_at, str_at};
use embedded_apimachinery::resource::{ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES};
use embedded_apimachinery::selector::LabelSelector;
use embedded_apimachinery::{GroupResource, Object, ObjectKey};
use serde_json::{Value, json};

use crate::runtime::{Change, Controller, Plan, View};

/// On slices: the name of their Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// On slices and Endpoints of Services without a cluster address.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// Writes EndpointSlices.
pub struct EndpointSlices;

/// Writes Endpoints, for who still reads them.
pub struct LegacyEndpoints;

impl Controller for EndpointSlices {
    fn component(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![SERVICES, PODS, NODES, ENDPOINT_SLICES]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == ENDPOINT_SLICES {
            let slice = change.object();
            let service = object::label(slice, SERVICE_NAME).unwrap_or_default();
            return vec![ObjectKey::new(object::namespace(slice), service)];
        }
        keys_of_service_or_pod(view, change)
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        Plan::of(slices::plan(view, key))
    }
}

impl Controller for LegacyEndpoints {
    fn component(&self) -> &'static str {
        "endpoint-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![SERVICES, PODS, ENDPOINTS]
    }

    fn keys(&self, view: &View, change: &Change) -> Vec<ObjectKey> {
        if change.resource == ENDPOINTS {
            return vec![change.key()];
        }
        keys_of_service_or_pod(view, change)
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        Plan::of(legacy::plan(view, key))
    }
}

fn keys_of_service_or_pod(view: &View, change: &Change) -> Vec<ObjectKey> {
    if change.resource == SERVICES {
        return vec![change.key()];
    }
    if change.resource != PODS {
        return Vec::new();
    }
    let namespace = object::namespace(change.object()).to_owned();
    let selects = |service: &&Object| {
        let Some(selector) = selector(service) else { return false };
        [&change.before, &change.after].into_iter().flatten().any(|pod| selector.matches_object(pod))
    };
    view.list(&SERVICES, &namespace).filter(selects).map(|service| ObjectKey::of(service)).collect()
}

/// What a Service selects; `None` for those whose endpoints somebody else writes.
fn selector(service: &Value) -> Option<LabelSelector> {
    let selector = LabelSelector::from_map(service.pointer("/spec/selector"));
    (!selector.is_empty() && str_at(service, "/spec/type") != "ExternalName").then_some(selector)
}

/// The pods of a Service that have an address and have not ended, in order of name.
fn pods_of<'a>(view: &'a View, service: &'a Value, selector: &LabelSelector) -> Vec<&'a Object> {
    view.list(&PODS, object::namespace(service))
        .filter(|pod| selector.matches_object(pod) && !object::pod_is_terminal(pod))
        .filter(|pod| !str_at(pod, "/status/podIP").is_empty())
        .collect()
}

fn is_headless(service: &Value) -> bool {
    str_at(service, "/spec/clusterIP") == "None"
}

fn publishes_unready(service: &Value) -> bool {
    bool_at(service, "/spec/publishNotReadyAddresses")
}

/// The name under which DNS knows the pod within this Service.
fn hostname<'a>(pod: &'a Value, service: &Value) -> Option<&'a str> {
    let hostname = str_at(pod, "/spec/hostname");
    (!hostname.is_empty() && str_at(pod, "/spec/subdomain") == object::name(service)).then_some(hostname)
}

fn target_ref(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": object::namespace(pod), "name": object::name(pod), "uid": object::uid(pod)})
}

/// The labels of a Service's endpoints: its own, and `extra`.
fn labels(service: &Value, extra: &[(&str, &str)]) -> Value {
    let mut labels = object::labels(service);
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    json!(labels)
}

/// The ports of a Service as this pod has them: name, protocol, number, application protocol. Named target ports that
/// the pod does not have are left out.
fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let port = |port: &Value| {
        let protocol = Some(str_at(port, "/protocol")).filter(|p| !p.is_empty()).unwrap_or("TCP");
        let number = match port.get("targetPort") {
            Some(Value::String(name)) => container_port(pod, name, protocol)?,
            Some(Value::Number(number)) => number.as_i64().filter(|n| *n != 0).or(port["port"].as_i64())?,
            _ => port["port"].as_i64()?,
        };
        let mut result = json!({"name": str_at(port, "/name"), "protocol": protocol, "port": number});
        if let Some(app) = port.get("appProtocol").filter(|app| app.is_string()) {
            result["appProtocol"] = app.clone();
        }
        Some(result)
    };
    list_at(service, "/spec/ports").iter().filter_map(port).collect()
}

fn container_port(pod: &Value, name: &str, protocol: &str) -> Option<i64> {
    let sidecars = list_at(pod, "/spec/initContainers").iter().filter(|c| str_at(c, "/restartPolicy") == "Always");
    let containers = list_at(pod, "/spec/containers").iter().chain(sidecars);
    containers.flat_map(|container| list_at(container, "/ports")).find_map(|port| {
        let same_protocol =
            matches!((str_at(port, "/protocol"), protocol), ("", "TCP")) || port["protocol"] == protocol;
        (str_at(port, "/name") == name && same_protocol).then(|| port["containerPort"].as_i64())?
    })
}

#[cfg(test)]
mod tests;
