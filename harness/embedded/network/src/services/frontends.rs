//! What each Service port leads to: the choice of endpoints that kube-proxy makes.

use std::net::Ipv4Addr;

use embedded_apimachinery::Object;
use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use serde_json::Value;

/// A port that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// `namespace/service:port`, for people.
    pub name: String,
    pub cluster_ips: Vec<Ipv4Addr>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
    pub port: u16,
    pub node_port: Option<u16>,
    /// One client always gets the same endpoint (`sessionAffinity: ClientIP`).
    pub sticky: bool,
    /// Sorted; empty means that connections are refused.
    pub backends: Vec<Backend>,
}

/// An endpoint's address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    pub address: Ipv4Addr,
    pub port: u16,
}

/// The frontends of all Services that have a cluster address, in the order of the Services.
pub fn compile(services: &[Object], slices: &[Object]) -> Vec<Frontend> {
    services.iter().flat_map(|service| of_service(service, slices)).collect()
}

fn of_service<'a>(service: &'a Value, slices: &'a [Object]) -> impl Iterator<Item = Frontend> + 'a {
    let cluster_ips = cluster_ips(service);
    let ports = if cluster_ips.is_empty() { &[] } else { list_at(service, "/spec/ports") };
    ports.iter().filter_map(move |port| {
        let name = str_at(port, "/name");
        let number = number_at(port, "/port")?;
        Some(Frontend {
            name: format!("{}/{}:{number}", object::namespace(service), object::name(service)),
            cluster_ips: cluster_ips.clone(),
            protocol: protocol(port)?,
            port: number,
            node_port: number_at(port, "/nodePort").filter(|port| *port != 0),
            sticky: str_at(service, "/spec/sessionAffinity") == "ClientIP",
            backends: backends(&slices_of(service, slices), name, protocol(port)?),
        })
    })
}

/// The IPv4 cluster addresses of a Service: none for headless Services and external names.
pub fn cluster_ips(service: &Value) -> Vec<Ipv4Addr> {
    if str_at(service, "/spec/type") == "ExternalName" {
        return Vec::new();
    }
    let listed = list_at(service, "/spec/clusterIPs").iter().filter_map(Value::as_str);
    let mut addresses: Vec<Ipv4Addr> = listed.filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(str_at(service, "/spec/clusterIP").parse::<Ipv4Addr>());
    }
    addresses
}

/// The IPv4 slices that belong to a Service.
pub fn slices_of<'a>(service: &Value, slices: &'a [Object]) -> Vec<&'a Value> {
    let belongs = |slice: &Value| {
        object::namespace(slice) == object::namespace(service)
            && object::label(slice, "kubernetes.io/service-name") == Some(object::name(service))
            && str_at(slice, "/addressType") == "IPv4"
    };
    slices.iter().map(AsRef::as_ref).filter(|slice| belongs(slice)).collect()
}

/// Ready endpoints; where there are none, those that still serve while they terminate.
fn backends(slices: &[&Value], port_name: &str, protocol_name: &str) -> Vec<Backend> {
    let select = |usable: fn(&Value) -> bool| {
        let mut found = Vec::new();
        for slice in slices {
            let port = list_at(slice, "/ports")
                .iter()
                .find(|port| str_at(port, "/name") == port_name && protocol(port) == Some(protocol_name));
            let Some(number) = port.and_then(|port| number_at(port, "/port")) else { continue };
            for endpoint in list_at(slice, "/endpoints").iter().filter(|endpoint| usable(endpoint)) {
                let address = list_at(endpoint, "/addresses").first().and_then(Value::as_str);
                let address = address.and_then(|address| address.parse().ok());
                found.extend(address.map(|address| Backend { address, port: number }));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    };
    let ready = select(is_ready);
    if ready.is_empty() { select(serves_while_terminating) } else { ready }
}

/// An endpoint of unknown readiness counts as ready.
pub fn is_ready(endpoint: &Value) -> bool {
    condition(endpoint, "ready").unwrap_or(true)
}

fn serves_while_terminating(endpoint: &Value) -> bool {
    condition(endpoint, "serving").unwrap_or(false) && condition(endpoint, "terminating").unwrap_or(false)
}

fn condition(endpoint: &Value, name: &str) -> Option<bool> {
    endpoint.get("conditions")?.get(name)?.as_bool()
}

/// The protocol in the words of nftables; `None` for one that nobody knows.
fn protocol(port: &Value) -> Option<&'static str> {
    match str_at(port, "/protocol") {
        "TCP" | "" => Some("tcp"),
        "UDP" => Some("udp"),
        "SCTP" => Some("sctp"),
        _ => None,
    }
}

fn number_at(port: &Value, pointer: &str) -> Option<u16> {
    int_at(port, pointer).and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn service(spec: Value) -> Object {
        Arc::new(json!({"metadata": {"namespace": "ns", "name": "web"}, "spec": spec}))
    }

    fn slice(service: &str, ports: Value, endpoints: Value) -> Object {
        Arc::new(json!({
            "metadata": {"namespace": "ns", "name": "web-1", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
        }))
    }

    fn endpoint(address: &str, ready: bool, serving: bool, terminating: bool) -> Value {
        let conditions = json!({"ready": ready, "serving": serving, "terminating": terminating});
        json!({"addresses": [address], "conditions": conditions})
    }

    /// The backends of each frontend, as text.
    fn compiled(services: &[Object], slices: &[Object]) -> Vec<(u16, Vec<String>)> {
        let text = |backend: &Backend| format!("{}:{}", backend.address, backend.port);
        let frontends = compile(services, slices);
        frontends.iter().map(|f| (f.port, f.backends.iter().map(text).collect())).collect()
    }

    #[test]
    fn ports_are_matched_by_name_and_protocol() {
        let ports = json!([
            {"name": "http", "port": 80, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ]);
        let services = [service(json!({"clusterIP": "10.96.0.20", "ports": ports}))];
        let target = json!([{"name": "http", "port": 8080}, {"name": "dns", "port": 5353, "protocol": "TCP"}]);
        let slices = [slice("web", target, json!([endpoint("10.244.1.2", true, true, false)]))];
        assert_eq!(compiled(&services, &slices), [(80, vec!["10.244.1.2:8080".to_owned()]), (53, vec![])]);
    }

    #[test]
    fn only_ready_endpoints_are_used_while_there_is_one() {
        let services = [service(json!({"clusterIP": "10.96.0.20", "ports": [{"port": 80}]}))];
        let draining = endpoint("10.244.1.4", false, true, true);
        let starting = endpoint("10.244.1.3", false, false, false);
        let ready = json!({"addresses": ["10.244.1.2"]});
        let cases = [
            (json!([ready, starting, draining]), vec!["10.244.1.2:80".to_owned()]),
            (json!([starting, draining]), vec!["10.244.1.4:80".to_owned()]),
            (json!([starting]), vec![]),
        ];
        for (endpoints, expected) in cases {
            let slices = [slice("web", json!([{"port": 80}]), endpoints.clone())];
            assert_eq!(compiled(&services, &slices), [(80, expected)], "{endpoints}");
        }
    }

    #[test]
    fn slices_of_other_services_are_not_used() {
        let services = [service(json!({"clusterIP": "10.96.0.20", "ports": [{"port": 80}]}))];
        let slices = [slice("other", json!([{"port": 80}]), json!([endpoint("10.244.1.2", true, true, false)]))];
        assert_eq!(compiled(&services, &slices), [(80, vec![])]);
    }

    #[test]
    fn headless_services_and_external_names_have_no_frontends() {
        let services = [
            service(json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]})),
            service(json!({"type": "ExternalName", "externalName": "example.org", "ports": [{"port": 80}]})),
        ];
        assert_eq!(compile(&services, &[]), []);
    }
}
