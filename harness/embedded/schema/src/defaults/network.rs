//! Services, endpoints, policies and ingress classes.

use serde_json::{Value, json};

use super::{Object, each, set, set_text, text, with, within};

pub fn service(root: &mut Object) {
    with(root, "spec", |spec| {
        set_text(spec, "sessionAffinity", "None");
        match text(spec, "sessionAffinity") {
            "None" => {
                spec.shift_remove("sessionAffinityConfig");
            }
            "ClientIP" => within(spec, "sessionAffinityConfig", |config| {
                within(config, "clientIP", |client| set(client, "timeoutSeconds", 10_800));
            }),
            _ => {}
        }
        set_text(spec, "type", "ClusterIP");
        each(spec, "ports", |port| {
            set_text(port, "protocol", "TCP");
            let unset = port.get("targetPort").is_none_or(|target| *target == json!(0) || *target == json!(""));
            if let Some(number) = port.get("port").filter(|_| unset).cloned() {
                port.insert("targetPort".into(), number);
            }
        });
        let kind = text(spec, "type").to_owned();
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
            set_text(spec, "externalTrafficPolicy", "Cluster");
        }
        if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
            set(spec, "internalTrafficPolicy", "Cluster");
        }
        if kind == "LoadBalancer" {
            set(spec, "allocateLoadBalancerNodePorts", true);
        }
    });
}

pub fn endpoints(root: &mut Object) {
    each(root, "subsets", |subset| each(subset, "ports", |port| set_text(port, "protocol", "TCP")));
}

pub fn endpoint_slice(root: &mut Object) {
    each(root, "ports", |port| {
        set(port, "name", "");
        set(port, "protocol", "TCP");
    });
}

pub fn network_policy(root: &mut Object) {
    with(root, "spec", |spec| {
        for direction in ["ingress", "egress"] {
            each(spec, direction, |rule| each(rule, "ports", |port| set(port, "protocol", "TCP")));
        }
        let has_egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
        set(spec, "policyTypes", if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    });
}

pub fn ingress_class(root: &mut Object) {
    with(root, "spec", |spec| with(spec, "parameters", |parameters| set(parameters, "scope", "Cluster")));
}
