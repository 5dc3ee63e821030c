//! What makes a NetworkPolicy invalid.

use std::net::IpAddr;

use serde_json::Value;

use super::problems::{Problems, is_set, items, text};
use super::{metadata, names, selector};

pub fn create(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    judge(found, &object["spec"]);
}

pub fn update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    judge(found, &new["spec"]);
}

fn judge(found: &mut Problems, spec: &Value) {
    selector::validate(found, "spec.podSelector", &spec["podSelector"]);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(&spec[direction]).iter().enumerate() {
            let field = format!("spec.{direction}[{index}]");
            for (port, found_port) in items(&rule["ports"]).iter().enumerate() {
                policy_port(found, &format!("{field}.ports[{port}]"), found_port);
            }
            for (peer, found_peer) in items(&rule[peers]).iter().enumerate() {
                policy_peer(found, &format!("{field}.{peers}[{peer}]"), found_peer);
            }
        }
    }
    let types = items(&spec["policyTypes"]);
    if types.len() > 2 {
        return found.invalid(
            "spec.policyTypes",
            spec["policyTypes"].clone(),
            "may not specify more than two policyTypes",
        );
    }
    for (index, kind) in types.iter().enumerate() {
        found.one_of(&format!("spec.policyTypes[{index}]"), kind, &["Ingress", "Egress"]);
    }
}

fn policy_port(found: &mut Problems, field: &str, port: &Value) {
    found.one_of_if_set(&format!("{field}.protocol"), &port["protocol"], &["TCP", "UDP", "SCTP"]);
    let end_field = format!("{field}.endPort");
    let end = port["endPort"].as_i64();
    match &port["port"] {
        Value::Null => {
            if end.is_some() {
                found.required(&format!("{field}.port"), "must be specified when `endPort` is specified");
            }
        }
        Value::String(name) => {
            found.complaints(&format!("{field}.port"), name.as_str(), names::port_name(name));
            if let Some(end) = end {
                found.invalid(&end_field, end, "may not be specified when `port` is non-numeric");
            }
        }
        number => {
            let number = number.as_i64().unwrap_or(0);
            found.port(&format!("{field}.port"), number);
            if let Some(end) = end {
                if end < number {
                    found.invalid(&end_field, number, "must be greater than or equal to `port`");
                }
                found.port(&end_field, end);
            }
        }
    }
}

fn policy_peer(found: &mut Problems, field: &str, peer: &Value) {
    let selectors = ["podSelector", "namespaceSelector"];
    for name in selectors {
        selector::validate(found, &format!("{field}.{name}"), &peer[name]);
    }
    if peer["ipBlock"].is_object() {
        ip_block(found, &format!("{field}.ipBlock"), &peer["ipBlock"]);
        if selectors.iter().any(|name| is_set(&peer[*name])) {
            found.forbidden(field, "may not specify both ipBlock and another peer");
        }
    } else if !selectors.iter().any(|name| is_set(&peer[*name])) {
        found.required(field, "must specify a peer");
    }
}

fn ip_block(found: &mut Problems, field: &str, block: &Value) {
    const SAYS: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let text_of = |value: &Value| text(value).to_owned();
    let cidr = match text(&block["cidr"]) {
        "" => return found.required(&format!("{field}.cidr"), ""),
        cidr => Cidr::parse(cidr),
    };
    if cidr.is_none() {
        return found.invalid(&format!("{field}.cidr"), block["cidr"].clone(), SAYS);
    }
    for (index, except) in items(&block["except"]).iter().enumerate() {
        let field = format!("{field}.except[{index}]");
        match (Cidr::parse(text(except)), &cidr) {
            (None, _) => found.invalid(&field, text_of(except), SAYS),
            (Some(inner), Some(outer)) if !outer.strictly_contains(&inner) => {
                found.invalid(&field, text_of(except), "must be a strict subset of `cidr`");
            }
            _ => {}
        }
    }
}

/// A block of addresses.
struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    fn strictly_contains(&self, inner: &Self) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let mask = if self.prefix == 0 { 0 } else { u128::MAX << (128 - u32::from(self.prefix)) };
        self.address.is_ipv4() == inner.address.is_ipv4()
            && self.prefix < inner.prefix
            && bits(self.address) & mask == bits(inner.address) & mask
    }
}
