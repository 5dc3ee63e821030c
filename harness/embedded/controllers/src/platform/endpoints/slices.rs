//! EndpointSlices: up to a hundred endpoints each, one address family and one set of ports per slice.

use std::collections::BTreeMap;

use embedded_apimachinery::object::{self, list_at, str_at};
use embedded_apimachinery::resource::{ENDPOINT_SLICES, NODES, SERVICES};
use embedded_apimachinery::{Object, ObjectKey};
use serde_json::{Value, json};

use super::{SERVICE_NAME, hostname, labels, pods_of, ports, publishes_unready, selector, target_ref};
use crate::runtime::{Action, View};

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Endpoints per slice.
const CAPACITY: usize = 100;

/// The actions that make the slices of a Service what they should be.
pub fn plan(view: &View, key: &ObjectKey) -> Vec<Action> {
    let existing: Vec<&Object> = view
        .list(&ENDPOINT_SLICES, &key.namespace)
        .filter(|slice| object::label(slice, SERVICE_NAME) == Some(&key.name))
        .filter(|slice| object::label(slice, MANAGED_BY) == Some(MANAGER) && !object::is_deleting(slice))
        .collect();
    let Some(service) = view.get(&SERVICES, key) else {
        return existing.into_iter().map(|slice| Action::delete(ENDPOINT_SLICES, slice)).collect();
    };
    if object::is_deleting(service) || selector(service).is_none() {
        return Vec::new();
    }
    reconcile(service, existing, desired(view, service))
}

/// What a slice should say.
#[derive(Clone, Debug, PartialEq)]
struct Content {
    family: &'static str,
    endpoints: Value,
    ports: Value,
}

fn desired(view: &View, service: &Object) -> Vec<Content> {
    let families = list_at(service, "/spec/ipFamilies");
    let has = |family: &str| families.iter().any(|f| f.as_str() == Some(family));
    let mut contents = Vec::new();
    if has("IPv4") || families.is_empty() {
        contents.extend(of_family(view, service, "IPv4"));
    }
    if has("IPv6") {
        contents.extend(of_family(view, service, "IPv6"));
    }
    contents
}

fn of_family(view: &View, service: &Object, family: &'static str) -> Vec<Content> {
    let Some(selector) = selector(service) else { return Vec::new() };
    // By ports as text: pods may resolve a named port differently.
    let mut groups: BTreeMap<String, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for pod in pods_of(view, service, &selector) {
        let Some(address) = address(pod, family) else { continue };
        let ports = ports(service, pod);
        let group = groups.entry(Value::from(ports.clone()).to_string()).or_insert_with(|| (ports, Vec::new()));
        group.1.push(endpoint(view, service, pod, address));
    }
    if groups.is_empty() {
        return vec![Content { family, endpoints: Value::Null, ports: Value::Null }];
    }
    let content = |(ports, endpoints): (Vec<Value>, Vec<Value>)| {
        let chunks: Vec<_> = endpoints.chunks(CAPACITY).map(<[Value]>::to_vec).collect();
        let ports = if ports.is_empty() { Value::Null } else { ports.into() };
        chunks.into_iter().map(move |chunk| Content { family, endpoints: chunk.into(), ports: ports.clone() })
    };
    groups.into_values().flat_map(content).collect()
}

fn address<'a>(pod: &'a Value, family: &str) -> Option<&'a str> {
    let of_family = |ip: &&str| !ip.is_empty() && ip.contains(':') == (family == "IPv6");
    let listed = list_at(pod, "/status/podIPs").iter().map(|ip| str_at(ip, "/ip"));
    listed.chain([str_at(pod, "/status/podIP")]).find(of_family)
}

fn endpoint(view: &View, service: &Value, pod: &Value, address: &str) -> Value {
    let serving = object::pod_is_ready(pod);
    let terminating = object::is_deleting(pod);
    let ready = publishes_unready(service) || serving && !terminating;
    let mut endpoint = json!({"addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating}});
    if let Some(hostname) = hostname(pod, service) {
        endpoint["hostname"] = hostname.into();
    }
    endpoint["targetRef"] = target_ref(pod);
    let node = str_at(pod, "/spec/nodeName");
    if !node.is_empty() {
        endpoint["nodeName"] = node.into();
    }
    let node = view.get(&NODES, &ObjectKey::new("", node));
    if let Some(zone) = node.and_then(|node| object::label(node, "topology.kubernetes.io/zone")) {
        endpoint["zone"] = zone.into();
    }
    endpoint
}

/// Reuses slices with the same ports first, then any; makes and removes as few as possible.
fn reconcile(service: &Object, mut existing: Vec<&Object>, desired: Vec<Content>) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut homeless = Vec::new();
    for content in desired {
        let same = |slice: &&Object| {
            str_at(slice, "/addressType") == content.family
                && slice.get("ports").unwrap_or(&Value::Null) == &content.ports
        };
        match existing.iter().position(same) {
            Some(at) => actions.extend(update(service, existing.remove(at), &content)),
            None => homeless.push(content),
        }
    }
    for content in homeless {
        match existing.iter().position(|slice| str_at(slice, "/addressType") == content.family) {
            Some(at) => actions.extend(update(service, existing.remove(at), &content)),
            None => actions.push(Action::create(ENDPOINT_SLICES, new(service, &content))),
        }
    }
    actions.extend(existing.into_iter().map(|slice| Action::delete(ENDPOINT_SLICES, slice)));
    actions
}

fn update(service: &Value, slice: &Object, content: &Content) -> Option<Action> {
    let mut changed = Value::clone(slice);
    object::metadata_mut(&mut changed).insert("labels".into(), slice_labels(service));
    for (field, value) in [("endpoints", &content.endpoints), ("ports", &content.ports)] {
        // Whether nothing is stored as null or left out is all the same.
        if changed.get(field).unwrap_or(&Value::Null) != value {
            changed[field] = value.clone();
        }
    }
    (changed != **slice).then(|| Action::update(ENDPOINT_SLICES, changed))
}

fn new(service: &Value, content: &Content) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"generateName": format!("{}-", object::name(service)), "namespace": object::namespace(service),
            "labels": slice_labels(service), "ownerReferences": [object::controller_reference_to(service)]},
        "addressType": content.family, "endpoints": content.endpoints, "ports": content.ports})
}

fn slice_labels(service: &Value) -> Value {
    labels(service, &[(MANAGED_BY, MANAGER), (SERVICE_NAME, object::name(service))])
}
