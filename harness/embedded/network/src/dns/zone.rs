//! What a name stands for, after the Kubernetes DNS specification 1.1.0 and, where it is silent, CoreDNS.
//!
//! | name below `cluster.local` | records |
//! |---|---|
//! | `service.ns.svc` | A, SRV of every port; CNAME for external names |
//! | `_port._proto.service.ns.svc` | SRV |
//! | `host.service.ns.svc` | A, SRV of one endpoint; `host` is its hostname, or its address with dashes |
//! | `1-2-3-4.ns.pod` | A |
//!
//! Headless Services have the A records of their ready endpoints, and do not exist while they have none. A name that
//! exists without records of the wanted type is told apart from one that does not exist.
//!
//! Questions are answered from the API itself, so an answer is never older than the last write.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use embedded_apimachinery::object::{self, bool_at, int_at, list_at, str_at};
use embedded_apimachinery::resource::{ENDPOINT_SLICES, NAMESPACES, SERVICES};
use embedded_apimachinery::{Api, ApiExt};
use hickory_server::proto::rr::RecordType;
use serde_json::Value;

use crate::address::CLUSTER_DOMAIN;
use crate::services::frontends::{cluster_ips, is_ready, slices_of};

/// How many aliases are followed.
const ALIAS_LIMIT: usize = 8;

/// The data of a record. Names are absolute, without the final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    A(Ipv4Addr),
    Srv {
        port: u16,
        target: String,
    },
    Ptr(String),
    Cname(String),
    Ns(String),
    /// The zone's start of authority.
    Soa,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub name: String,
    pub data: Data,
}

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// False means NXDOMAIN.
    pub exists: bool,
    pub answers: Vec<Record>,
    /// Addresses of what the answers point to.
    pub additionals: Vec<Record>,
}

/// Answers a question. `name` is absolute, in lower case, without the final dot.
pub fn resolve(api: &dyn Api, name: &str, kind: RecordType) -> Answer {
    let mut answer = Answer::default();
    let mut wanted = name.to_owned();
    for _ in 0..ALIAS_LIMIT {
        let Some(records) = records_at(api, &wanted) else {
            // The alias exists, even when nobody here knows what it stands for.
            answer.exists |= !answer.answers.is_empty();
            return answer;
        };
        answer.exists = true;
        let alias = records.iter().find_map(|data| match data {
            Data::Cname(target) if kind != RecordType::CNAME => Some(target.clone()),
            _ => None,
        });
        let matching = records.into_iter().filter(|data| data.has_kind(kind) || matches!(data, Data::Cname(_)));
        answer.answers.extend(matching.map(|data| Record { name: wanted.clone(), data }));
        match alias {
            Some(target) => wanted = target,
            None => break,
        }
    }
    answer.additionals = addresses_of_targets(api, &answer.answers);
    answer
}

impl Data {
    fn has_kind(&self, kind: RecordType) -> bool {
        let own = match self {
            Self::A(_) => RecordType::A,
            Self::Srv { .. } => RecordType::SRV,
            Self::Ptr(_) => RecordType::PTR,
            Self::Cname(_) => RecordType::CNAME,
            Self::Ns(_) => RecordType::NS,
            Self::Soa => RecordType::SOA,
        };
        kind == own || kind == RecordType::ANY
    }
}

fn addresses_of_targets(api: &dyn Api, answers: &[Record]) -> Vec<Record> {
    let targets: BTreeSet<&String> = answers
        .iter()
        .filter_map(|record| match &record.data {
            Data::Srv { target, .. } => Some(target),
            _ => None,
        })
        .collect();
    let addresses = |target: &String| {
        let records = records_at(api, target).unwrap_or_default();
        let name = target.clone();
        let addresses = records.into_iter().filter(|data| matches!(data, Data::A(_)));
        addresses.map(move |data| Record { name: name.clone(), data }).collect::<Vec<_>>()
    };
    targets.into_iter().flat_map(addresses).collect()
}

/// Everything a name stands for; `None` when it does not exist.
fn records_at(api: &dyn Api, name: &str) -> Option<Vec<Data>> {
    if let Some(reversed) = name.strip_suffix(".in-addr.arpa") {
        return reverse(api, reversed);
    }
    let below = name.strip_suffix(CLUSTER_DOMAIN)?;
    if below.is_empty() {
        return Some(vec![Data::Soa, Data::Ns(format!("ns.dns.{CLUSTER_DOMAIN}"))]);
    }
    let labels: Vec<&str> = below.strip_suffix('.')?.rsplit('.').collect();
    match labels.as_slice() {
        ["svc" | "pod"] => Some(Vec::new()),
        ["svc" | "pod", ns] => api.find(&NAMESPACES, "", ns).map(|_| Vec::new()),
        ["pod", ns, address] => pod(api, ns, address),
        ["svc", ns, service] => Named::find(api, ns, service)?.whole(),
        ["svc", ns, service, proto] if proto.starts_with('_') => {
            Named::find(api, ns, service)?.ports(None, proto).map(|_| Vec::new())
        }
        ["svc", ns, service, host] => Named::find(api, ns, service)?.endpoint(host),
        ["svc", ns, service, proto, port] => Named::find(api, ns, service)?.ports(Some(port), proto),
        _ => None,
    }
}

fn pod(api: &dyn Api, ns: &str, address: &str) -> Option<Vec<Data>> {
    api.find(&NAMESPACES, "", ns)?;
    Some(vec![Data::A(address.replace('-', ".").parse().ok()?)])
}

/// The names of a Service's address or an endpoint's address.
fn reverse(api: &dyn Api, reversed: &str) -> Option<Vec<Data>> {
    let octets: Vec<&str> = reversed.rsplit('.').collect();
    let address: Ipv4Addr = octets.join(".").parse().ok()?;
    let (services, _) = api.list(&SERVICES, None);
    if let Some(service) = services.iter().find(|service| cluster_ips(service).contains(&address)) {
        return Some(vec![Data::Ptr(name_of(object::namespace(service), object::name(service)))]);
    }
    let mut names = BTreeSet::new();
    for service in &services {
        let named = Named::of(api, service.clone());
        let owner = name_of(object::namespace(service), object::name(service));
        let hosts = named.endpoints().into_iter().filter(|endpoint| endpoint.address == address);
        names.extend(hosts.map(|endpoint| Data::Ptr(format!("{}.{owner}", endpoint.host))));
    }
    (!names.is_empty()).then(|| names.into_iter().collect())
}

fn name_of(ns: &str, service: &str) -> String {
    format!("{service}.{ns}.svc.{CLUSTER_DOMAIN}")
}

/// A Service with its slices.
struct Named {
    service: object::Object,
    slices: Vec<object::Object>,
}

/// A port under its name and protocol (`tcp`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    name: String,
    protocol: String,
    number: u16,
}

struct Endpoint {
    host: String,
    address: Ipv4Addr,
    ports: Vec<Port>,
}

impl Named {
    fn find(api: &dyn Api, ns: &str, service: &str) -> Option<Self> {
        Some(Self::of(api, api.find(&SERVICES, ns, service)?))
    }

    fn of(api: &dyn Api, service: object::Object) -> Self {
        let (slices, _) = api.list(&ENDPOINT_SLICES, Some(object::namespace(&service)));
        Self { service, slices }
    }

    fn name(&self) -> String {
        name_of(object::namespace(&self.service), object::name(&self.service))
    }

    /// Ready endpoints. One address may appear once per slice.
    fn endpoints(&self) -> Vec<Endpoint> {
        let mut found = Vec::new();
        let all = bool_at(&self.service, "/spec/publishNotReadyAddresses");
        for slice in slices_of(&self.service, &self.slices) {
            let ports = ports_at(slice, "/ports");
            for endpoint in list_at(slice, "/endpoints").iter().filter(|endpoint| all || is_ready(endpoint)) {
                let text = list_at(endpoint, "/addresses").first().and_then(Value::as_str).unwrap_or_default();
                let Ok(address) = text.parse() else { continue };
                let hostname = str_at(endpoint, "/hostname");
                let host = if hostname.is_empty() { text.replace('.', "-") } else { hostname.to_lowercase() };
                found.push(Endpoint { host, address, ports: ports.clone() });
            }
        }
        found
    }

    /// The records of the Service's own name.
    fn whole(&self) -> Option<Vec<Data>> {
        let external = str_at(&self.service, "/spec/externalName");
        if str_at(&self.service, "/spec/type") == "ExternalName" {
            return Some(vec![Data::Cname(external.trim_end_matches('.').to_lowercase())]);
        }
        let mut records: BTreeSet<Data> = cluster_ips(&self.service).into_iter().map(Data::A).collect();
        if records.is_empty() {
            records.extend(self.endpoints().into_iter().map(|endpoint| Data::A(endpoint.address)));
        }
        records.extend(self.srv(|_| true));
        (!records.is_empty()).then(|| records.into_iter().collect())
    }

    /// The records of one endpoint's name.
    fn endpoint(&self, host: &str) -> Option<Vec<Data>> {
        let target = format!("{host}.{}", self.name());
        let mut records = BTreeSet::new();
        for endpoint in self.endpoints().into_iter().filter(|endpoint| endpoint.host == host) {
            records.insert(Data::A(endpoint.address));
            let ports = endpoint.ports.iter();
            records.extend(ports.map(|port| Data::Srv { port: port.number, target: target.clone() }));
        }
        (!records.is_empty()).then(|| records.into_iter().collect())
    }

    /// The records of `_port._proto`; any port when `port` is `None`.
    fn ports(&self, port: Option<&str>, protocol: &str) -> Option<Vec<Data>> {
        let protocol = protocol.strip_prefix('_')?;
        let name = match port {
            Some(port) => Some(port.strip_prefix('_')?),
            None => None,
        };
        let records = self.srv(|port| port.protocol == protocol && name.is_none_or(|name| port.name == name));
        (!records.is_empty()).then_some(records)
    }

    /// SRV records of the ports that `wanted` selects.
    fn srv(&self, wanted: impl Fn(&Port) -> bool) -> Vec<Data> {
        let own = self.name();
        let mut records = BTreeSet::new();
        if cluster_ips(&self.service).is_empty() {
            for endpoint in self.endpoints() {
                let target = format!("{}.{own}", endpoint.host);
                let ports = endpoint.ports.iter().filter(|port| wanted(port));
                records.extend(ports.map(|port| Data::Srv { port: port.number, target: target.clone() }));
            }
        } else {
            let ports = ports_at(&self.service, "/spec/ports");
            let ports = ports.iter().filter(|port| wanted(port));
            records.extend(ports.map(|port| Data::Srv { port: port.number, target: own.clone() }));
        }
        records.into_iter().collect()
    }
}

fn ports_at(object: &Value, pointer: &str) -> Vec<Port> {
    let port = |port: &Value| {
        let protocol = str_at(port, "/protocol").to_lowercase();
        Some(Port {
            name: str_at(port, "/name").to_owned(),
            protocol: if protocol.is_empty() { "tcp".into() } else { protocol },
            number: int_at(port, "/port").and_then(|number| u16::try_from(number).ok())?,
        })
    };
    list_at(object, pointer).iter().filter_map(port).collect()
}

#[cfg(test)]
mod tests;
