//! Endpoints: ready and unready addresses, by port.

use std::collections::BTreeMap;

use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{ENDPOINTS, SERVICES};
use embedded_apimachinery::{Object, ObjectKey};
use serde_json::{Value, json};

use super::{hostname, labels, pods_of, ports, publishes_unready, selector, target_ref};
use crate::runtime::{Action, View};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";

/// The actions that make the Endpoints of a Service what they should be.
pub fn plan(view: &View, key: &ObjectKey) -> Vec<Action> {
    let existing = view.get(&ENDPOINTS, key);
    let Some(service) = view.get(&SERVICES, key) else {
        // Endpoints that somebody wrote without a Service are theirs.
        let ours = existing.filter(|e| object::label(e, MANAGED_BY) == Some(MANAGER) && !object::is_deleting(e));
        return ours.map(|e| Action::delete(ENDPOINTS, e)).into_iter().collect();
    };
    let Some(subsets) = subsets(view, service) else { return Vec::new() };
    let labels = labels(service, &[(MANAGED_BY, MANAGER)]);
    match existing {
        None => vec![Action::create(ENDPOINTS, new(service, labels, subsets))],
        Some(existing) => {
            let mut changed = Value::clone(existing);
            object::metadata_mut(&mut changed).insert("labels".into(), labels);
            if object::list_at(existing, "/subsets") != subsets {
                changed["subsets"] = subsets.into();
            }
            if changed == **existing { Vec::new() } else { vec![Action::update(ENDPOINTS, changed)] }
        }
    }
}

fn new(service: &Value, labels: Value, subsets: Vec<Value>) -> Value {
    let mut endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {
        "name": object::name(service), "namespace": object::namespace(service), "labels": labels}});
    if !subsets.is_empty() {
        endpoints["subsets"] = subsets.into();
    }
    endpoints
}

/// Addresses that share their ports.
#[derive(Default)]
struct Subset {
    ports: Vec<Value>,
    ready: Vec<Value>,
    unready: Vec<Value>,
}

impl Subset {
    fn into_value(self) -> Value {
        let mut subset = json!({});
        for (field, values) in [("addresses", self.ready), ("notReadyAddresses", self.unready), ("ports", self.ports)] {
            if !values.is_empty() {
                subset[field] = values.into();
            }
        }
        subset
    }
}

/// `None` when the Service selects nothing itself.
fn subsets(view: &View, service: &Object) -> Option<Vec<Value>> {
    let selector = selector(service)?;
    let publish = publishes_unready(service);
    let mut subsets: BTreeMap<String, Subset> = BTreeMap::new();
    for pod in pods_of(view, service, &selector) {
        if object::is_deleting(pod) && !publish {
            continue;
        }
        let mut ports: Vec<Value> = ports(service, pod).iter().map(legacy_port).collect();
        ports.sort_by_key(Value::to_string);
        let subset = subsets
            .entry(Value::from(ports.clone()).to_string())
            .or_insert_with(|| Subset { ports, ..Subset::default() });
        let addresses = if publish || object::pod_is_ready(pod) { &mut subset.ready } else { &mut subset.unready };
        addresses.push(address(service, pod));
    }
    Some(subsets.into_values().map(Subset::into_value).collect())
}

fn address(service: &Value, pod: &Value) -> Value {
    let mut address = json!({"ip": str_at(pod, "/status/podIP")});
    if let Some(hostname) = hostname(pod, service) {
        address["hostname"] = hostname.into();
    }
    address["nodeName"] = str_at(pod, "/spec/nodeName").into();
    address["targetRef"] = target_ref(pod);
    address
}

/// As in slices, but a port without a name does not mention it.
fn legacy_port(port: &Value) -> Value {
    let mut port = port.clone();
    if let Value::Object(map) = &mut port
        && map.get("name").and_then(Value::as_str) == Some("")
    {
        map.remove("name");
    }
    port
}
