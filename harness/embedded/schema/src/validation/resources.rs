//! Requests and limits.

use embedded_apimachinery::quantity::Quantity;
use serde_json::Value;

use super::names;
use super::problems::{Problems, entries, text};

const STANDARD: [&str; 4] = ["cpu", "ephemeral-storage", "memory", "storage"];

pub fn requirements(found: &mut Problems, field: &str, resources: &Value) {
    for (name, limit) in entries(&resources["limits"]) {
        let field = format!("{field}.limits[{name}]");
        container_resource(found, &field, name);
        amount(found, &field, name, limit);
    }
    for (name, request) in entries(&resources["requests"]) {
        let at = format!("{field}.requests[{name}]");
        container_resource(found, &at, name);
        amount(found, &at, name, request);
        let limit = &resources["limits"][name.as_str()];
        let quantities = (text(request).parse_quantity(), text(limit).parse_quantity());
        match quantities {
            (Some(request), Some(limit)) if request != limit && must_be_equal(name) => {
                let says = format!("must be equal to {name} limit of {limit}");
                found.invalid(&format!("{field}.requests"), request.to_string(), &says);
            }
            (Some(request), Some(limit)) if request > limit => {
                let says = format!("must be less than or equal to {name} limit of {limit}");
                found.invalid(&format!("{field}.requests"), request.to_string(), &says);
            }
            (Some(_), None) if is_extended(name) => {
                found.required(&format!("{field}.limits"), "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
    }
}

trait ParseQuantity {
    fn parse_quantity(&self) -> Option<Quantity>;
}

impl ParseQuantity for str {
    fn parse_quantity(&self) -> Option<Quantity> {
        Quantity::parse(self)
    }
}

/// Resources that nobody may promise twice.
fn must_be_equal(name: &str) -> bool {
    name.starts_with("hugepages-") || is_extended(name)
}

/// A resource of another domain than Kubernetes' own.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

fn container_resource(found: &mut Problems, field: &str, name: &str) {
    resource_name(found, field, name);
    let for_containers = ["cpu", "ephemeral-storage", "memory"].contains(&name) || name.starts_with("hugepages-");
    if !name.contains('/') && !for_containers {
        found.invalid(field, name, "must be a standard resource for containers");
    }
}

/// The name of a resource: a standard one, or one with a domain.
pub fn resource_name(found: &mut Problems, field: &str, name: &str) {
    let complaints = names::qualified_name(name);
    let well_formed = complaints.is_empty();
    found.complaints(field, name, complaints);
    let known = STANDARD.contains(&name) || name.starts_with("hugepages-") || is_quota_name(name);
    if well_formed && !name.contains('/') && !known {
        found.invalid(field, name, "must be a standard resource type or fully qualified");
    }
}

/// What a quota may count besides resources of containers.
pub fn is_quota_name(name: &str) -> bool {
    const COUNTED: [&str; 10] = [
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
        "storage",
    ];
    let computed = |name: &str| ["cpu", "memory", "ephemeral-storage", "storage"].contains(&name);
    COUNTED.contains(&name)
        || name.starts_with("count/")
        || name.strip_prefix("requests.").or_else(|| name.strip_prefix("limits.")).is_some_and(computed)
}

fn amount(found: &mut Problems, field: &str, name: &str, quantity: &Value) {
    found.quantity(field, quantity);
    let fraction = text(quantity).parse_quantity().is_some_and(|q| q.milli() % 1000 != 0);
    if fraction && is_extended(name) {
        found.invalid(field, quantity.clone(), "must be an integer");
    }
}

pub fn divisor(found: &mut Problems, field: &str, resource: &str, divisor: &Value) {
    let Some(quantity) = text(divisor).parse_quantity().filter(|q| q.milli() != 0) else { return };
    let allowed: &[&str] = match resource {
        "limits.cpu" | "requests.cpu" => &["1m", "1"],
        _ => &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"],
    };
    let shown = quantity.to_string();
    if !allowed.contains(&shown.as_str()) {
        let unit = if resource.ends_with("cpu") {
            "1m and 1"
        } else {
            "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
        };
        let kind = if resource.ends_with("cpu") { "cpu" } else { "memory" };
        found.invalid(field, shown, &format!("only divisor's values {unit} are supported with the {kind} resource"));
    }
}
