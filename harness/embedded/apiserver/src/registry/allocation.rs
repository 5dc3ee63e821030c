//! Addresses and ports of Services.
//!
//! What is taken is read from the stored Services, under the write lock: there is no second book-keeping to go wrong.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use embedded_apimachinery::resource::SERVICES;
use embedded_apimachinery::{Result, Status, object};
use rand::Rng;
use serde_json::{Value, json};

use super::ApiServer;
use crate::catalog::Resource;

const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;
/// Addresses below this offset are given only on request, so that well-known ones stay free.
const FIRST_DYNAMIC: u16 = 256;

impl ApiServer {
    /// Gives a Service what its type needs and it does not have.
    pub(super) fn allocate(&self, resource: &Resource, old: Option<&Value>, object: &mut Value) -> Result<()> {
        if resource.id != SERVICES {
            return Ok(());
        }
        match object::str_at(object, "/spec/type") {
            "ExternalName" => {}
            kind => {
                let wants_ports = matches!(kind, "NodePort" | "LoadBalancer");
                self.allocate_address(object)?;
                if wants_ports {
                    self.allocate_ports(old, object)?;
                }
            }
        }
        Ok(())
    }

    fn others<'a>(&'a self, object: &'a Value) -> impl Iterator<Item = std::sync::Arc<Value>> + 'a {
        let uid = object::uid(object).to_owned();
        self.store.list(&SERVICES, None).0.into_iter().filter(move |s| object::uid(s) != uid)
    }

    fn allocate_address(&self, object: &mut Value) -> Result<()> {
        let stated = object::str_at(object, "/spec/clusterIP").to_owned();
        let taken: HashSet<String> =
            self.others(object).map(|s| object::str_at(&s, "/spec/clusterIP").to_owned()).collect();
        let address = match stated.as_str() {
            "None" => stated,
            "" => self.free_address(&taken)?,
            _ => self.check_address(object, stated, &taken)?,
        };
        let spec = object::map_at_mut(object, &["spec"]);
        spec.insert("clusterIP".into(), address.clone().into());
        spec.insert("clusterIPs".into(), json!([address]));
        spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
        spec.entry("ipFamilyPolicy").or_insert_with(|| "SingleStack".into());
        Ok(())
    }

    fn free_address(&self, taken: &HashSet<String>) -> Result<String> {
        let [a, b] = self.options.service_network;
        let start = rand::rng().random_range(FIRST_DYNAMIC..u16::MAX);
        let candidates = (start..u16::MAX).chain(FIRST_DYNAMIC..start);
        candidates
            .map(|host| Ipv4Addr::new(a, b, (host >> 8) as u8, host as u8).to_string())
            .find(|address| !taken.contains(address))
            .ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))
    }

    fn check_address(&self, object: &Value, stated: String, taken: &HashSet<String>) -> Result<String> {
        let [a, b] = self.options.service_network;
        let problem = match stated.parse::<Ipv4Addr>() {
            Ok(ip) if ip.octets()[..2] != [a, b] => {
                format!(
                    "the provided network does not match the current range: the range of valid IPs is {a}.{b}.0.0/16"
                )
            }
            Ok(_) if taken.contains(&stated) => "provided IP is already allocated".to_owned(),
            Ok(_) => return Ok(stated),
            Err(_) => return Ok(stated),
        };
        let message = format!(
            "Invalid value: {}: failed to allocate IP {stated}: {problem}",
            json!(object::list_at(object, "/spec/clusterIPs"))
        );
        let cause = json!({"reason": "FieldValueInvalid", "message": message, "field": "spec.clusterIPs"});
        Err(Status::invalid("", "Service", object::name(object), vec![cause]))
    }

    fn allocate_ports(&self, old: Option<&Value>, object: &mut Value) -> Result<()> {
        let mut taken: HashSet<i64> = HashSet::new();
        for other in self.others(object) {
            taken.extend(object::list_at(&other, "/spec/ports").iter().filter_map(|p| object::int_at(p, "/nodePort")));
        }
        let name = object::name(object).to_owned();
        let before: Vec<Value> = old.map(|o| object::list_at(o, "/spec/ports").to_vec()).unwrap_or_default();
        let Some(ports) = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return Ok(()) };
        for (index, port) in ports.iter_mut().enumerate() {
            if let Some(stated) = object::int_at(port, "/nodePort").filter(|n| *n != 0) {
                if !taken.insert(stated) && !shared(&before, stated) {
                    return Err(port_taken(&name, index, stated));
                }
                continue;
            }
            let same = before.iter().find(|b| b["port"] == port["port"] && b["protocol"] == port["protocol"]);
            let kept = same.and_then(|b| object::int_at(b, "/nodePort"));
            let chosen = kept.or_else(|| free_port(&taken));
            let chosen = chosen.ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?;
            taken.insert(chosen);
            port["nodePort"] = chosen.into();
        }
        Ok(())
    }
}

/// TCP and UDP of one service may share a number that it already has.
fn shared(before: &[Value], port: i64) -> bool {
    before.iter().any(|b| object::int_at(b, "/nodePort") == Some(port))
}

fn free_port(taken: &HashSet<i64>) -> Option<i64> {
    let start = rand::rng().random_range(NODE_PORTS);
    let candidates = (start..=*NODE_PORTS.end()).chain(*NODE_PORTS.start()..start);
    candidates.map(i64::from).find(|port| !taken.contains(port))
}

fn port_taken(name: &str, index: usize, port: i64) -> Status {
    let message = format!("Invalid value: {port}: provided port is already allocated");
    let field = format!("spec.ports[{index}].nodePort");
    Status::invalid(
        "",
        "Service",
        name,
        vec![json!({"reason": "FieldValueInvalid", "message": message, "field": field})],
    )
}

/// Before an update is judged: keeps what it does not mention, and takes away what a new type cannot have.
pub(super) fn settle(resource: &Resource, old: &Value, object: &mut Value) {
    if resource.id != SERVICES {
        return;
    }
    let kind = object::str_at(object, "/spec/type").to_owned();
    if kind == "ExternalName" {
        let same = object["spec"].get("clusterIP").is_none_or(|ip| *ip == old["spec"]["clusterIP"]);
        if same && object::str_at(old, "/spec/type") != kind {
            release(object);
        }
        return;
    }
    keep_old_address(old, object);
    if kind == "ClusterIP" && object::str_at(old, "/spec/type") != kind {
        forget_ports(object);
    }
}

fn keep_old_address(old: &Value, object: &mut Value) {
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if object["spec"].get(field).is_none()
            && let Some(value) = old["spec"].get(field)
        {
            object["spec"][field] = value.clone();
        }
    }
}

fn forget_ports(object: &mut Value) {
    let ports = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        port.shift_remove("nodePort");
    }
}

fn release(object: &mut Value) {
    let spec = object::map_at_mut(object, &["spec"]);
    for field in [
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "internalTrafficPolicy",
        "externalTrafficPolicy",
        "allocateLoadBalancerNodePorts",
    ] {
        spec.shift_remove(field);
    }
    forget_ports(object);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn settled(old: Value, mut new: Value) -> Value {
        settle(&Catalog::default().stored(&SERVICES).unwrap(), &old, &mut new);
        new
    }

    #[test]
    fn an_address_is_kept_until_the_type_has_none() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.1.1", "ports": [{"nodePort": 30001}]}});
        let plain = settled(old.clone(), json!({"spec": {"type": "ClusterIP", "ports": [{"nodePort": 30001}]}}));
        assert_eq!(plain["spec"]["clusterIP"], json!("10.96.1.1"));
        assert_eq!(plain["spec"]["ports"], json!([{}]));
        let external = json!({"spec": {"type": "ExternalName", "clusterIP": "10.96.1.1", "ports": []}});
        assert_eq!(settled(old, external)["spec"], json!({"type": "ExternalName", "ports": []}));
    }
}
