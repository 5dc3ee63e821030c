//! The rules of NetworkPolicies as their documentation states them, read from the objects packet by packet. Nothing of
//! the compiler is used.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::{PodSpec, World};

/// Whether a new connection may be made.
pub fn allows(world: &World, from: Ipv4Addr, to: Ipv4Addr, protocol: &str, port: u16) -> bool {
    let node = |pod: &PodSpec| Ipv4Addr::new(10, 200, 0, pod.node);
    let (source, target) = (pod_at(world, from), pod_at(world, to));
    if from == to || target.is_some_and(|pod| node(pod) == from) || source.is_some_and(|pod| node(pod) == to) {
        return true;
    }
    let wanted = Wanted { world, target, protocol, port };
    source.is_none_or(|pod| wanted.passes(pod, "Egress", to))
        && target.is_none_or(|pod| wanted.passes(pod, "Ingress", from))
}

fn pod_at(world: &World, address: Ipv4Addr) -> Option<&PodSpec> {
    world.pods.iter().find(|pod| pod.address == address)
}

struct Wanted<'a> {
    world: &'a World,
    target: Option<&'a PodSpec>,
    protocol: &'a str,
    port: u16,
}

impl Wanted<'_> {
    fn passes(&self, pod: &PodSpec, direction: &str, peer: Ipv4Addr) -> bool {
        let (rules, peers) = if direction == "Ingress" { ("ingress", "from") } else { ("egress", "to") };
        let mut isolated = false;
        for policy in &self.world.policies {
            let spec = &policy["spec"];
            if policy["metadata"]["namespace"] != pod.namespace.as_str()
                || !has_type(spec, direction)
                || !selected(&spec["podSelector"], &pod.labels)
            {
                continue;
            }
            isolated = true;
            for rule in items(&spec[rules]) {
                let anybody = items(&rule[peers]).is_empty();
                let any_port = items(&rule["ports"]).is_empty();
                if (anybody || items(&rule[peers]).iter().any(|p| self.is_peer(&pod.namespace, p, peer)))
                    && (any_port || items(&rule["ports"]).iter().any(|p| self.is_port(p)))
                {
                    return true;
                }
            }
        }
        !isolated
    }

    fn is_peer(&self, own_namespace: &str, peer: &Value, address: Ipv4Addr) -> bool {
        if let Some(block) = peer.get("ipBlock") {
            let excepted = items(&block["except"]).iter().any(|except| inside(except, address));
            return inside(&block["cidr"], address) && !excepted;
        }
        let Some(pod) = pod_at(self.world, address) else { return false };
        let namespace = match peer.get("namespaceSelector") {
            Some(selector) => {
                self.world.namespaces.get(&pod.namespace).is_some_and(|labels| selected(selector, labels))
            }
            None => pod.namespace == own_namespace,
        };
        namespace && peer.get("podSelector").is_none_or(|selector| selected(selector, &pod.labels))
    }

    fn is_port(&self, port: &Value) -> bool {
        if port.get("protocol").and_then(Value::as_str).unwrap_or("TCP") != self.protocol {
            return false;
        }
        match port.get("port") {
            None => true,
            Some(Value::String(name)) => self.target.is_some_and(|pod| {
                items(&pod.ports).iter().any(|own| {
                    own["name"] == name.as_str()
                        && own["protocol"] == self.protocol
                        && own["containerPort"] == self.port
                })
            }),
            Some(number) => {
                let first = number.as_u64().unwrap();
                let last = port.get("endPort").map_or(first, |last| last.as_u64().unwrap());
                (first..=last).contains(&u64::from(self.port))
            }
        }
    }
}

fn has_type(spec: &Value, direction: &str) -> bool {
    match spec.get("policyTypes") {
        Some(types) => items(types).iter().any(|t| t == direction),
        None => direction == "Ingress" || !items(&spec["egress"]).is_empty(),
    }
}

fn selected(selector: &Value, labels: &Value) -> bool {
    let equal = selector.get("matchLabels").and_then(Value::as_object);
    let equal = equal.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
    let expressions = items(&selector["matchExpressions"]).iter().all(|expression| {
        let value = labels.get(expression["key"].as_str().unwrap());
        let listed = value.is_some_and(|value| items(&expression["values"]).contains(value));
        match expression["operator"].as_str().unwrap() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("{other}"),
        }
    });
    equal && expressions
}

fn inside(cidr: &Value, address: Ipv4Addr) -> bool {
    let (network, prefix) = cidr.as_str().unwrap().split_once('/').unwrap();
    let network: Ipv4Addr = network.parse().unwrap();
    (0..prefix.parse::<u32>().unwrap()).all(|bit| {
        let mask = 1 << (31 - bit);
        network.to_bits() & mask == address.to_bits() & mask
    })
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}
