//! What policies are compiled from: the pods, namespaces and policies of a cluster, without what does not matter here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use embedded_apimachinery::selector::LabelSelector;
use serde_json::Value;

use super::addresses::Addresses;

pub type Labels = BTreeMap<String, String>;

/// A cluster as far as policies see it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub pods: Vec<Pod>,
    /// The labels of each namespace.
    pub namespaces: BTreeMap<String, Labels>,
    pub policies: Vec<Policy>,
}

/// A pod on the pod network. Pods with `hostNetwork` have no address of their own and are none of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub labels: Labels,
    pub address: Ipv4Addr,
    /// The address of its node; `None` for what is a pod to policies only.
    pub node: Option<Ipv4Addr>,
    pub ports: Vec<NamedPort>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    pub name: String,
    pub protocol: Protocol,
    pub number: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// A NetworkPolicy. A direction that it does not restrict is `None`.
#[derive(Clone, Debug)]
pub struct Policy {
    pub namespace: String,
    pub name: String,
    pub subjects: LabelSelector,
    pub ingress: Option<Vec<Rule>>,
    pub egress: Option<Vec<Rule>>,
}

/// One element of `ingress` or `egress`: the peers and ports that it allows. `None` means all.
#[derive(Clone, Debug)]
pub struct Rule {
    pub peers: Option<Vec<Peer>>,
    pub ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug)]
pub enum Peer {
    /// Pods of the namespaces that are selected, or of the policy's own.
    Pods {
        namespaces: Option<LabelSelector>,
        pods: LabelSelector,
    },
    Block(Addresses),
}

#[derive(Clone, Debug)]
pub struct Port {
    pub protocol: Protocol,
    pub number: PortNumber,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortNumber {
    Any,
    /// Both ends included.
    Range(u16, u16),
    Named(String),
}

impl Protocol {
    /// The protocol of a port; `None` for one that nobody knows.
    pub fn of(port: &Value) -> Option<Self> {
        match str_at(port, "/protocol") {
            "TCP" | "" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "SCTP" => Some(Self::Sctp),
            _ => None,
        }
    }

    /// In the words of nftables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl Pod {
    /// A pod object that is attached to the network.
    pub fn of(pod: &Value, address: Ipv4Addr, node: Option<Ipv4Addr>) -> Self {
        // Init containers that go on running serve as others do.
        let sidecars = list_at(pod, "/spec/initContainers").iter().filter(|c| str_at(c, "/restartPolicy") == "Always");
        let containers = list_at(pod, "/spec/containers").iter().chain(sidecars);
        let ports = containers.flat_map(|container| list_at(container, "/ports")).filter_map(NamedPort::of);
        Self {
            namespace: object::namespace(pod).to_owned(),
            name: object::name(pod).to_owned(),
            labels: object::labels(pod),
            address,
            node,
            ports: ports.collect(),
        }
    }

    /// The number of its port of this name.
    pub fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.ports.iter().find(|port| port.name == name && port.protocol == protocol).map(|port| port.number)
    }
}

impl NamedPort {
    fn of(port: &Value) -> Option<Self> {
        let name = Some(str_at(port, "/name")).filter(|name| !name.is_empty())?;
        let number = int_at(port, "/containerPort").and_then(|number| u16::try_from(number).ok())?;
        Some(Self { name: name.to_owned(), protocol: Protocol::of(port)?, number })
    }
}

impl Policy {
    pub fn of(policy: &Value) -> Self {
        let types: Vec<&str> = list_at(policy, "/spec/policyTypes").iter().filter_map(Value::as_str).collect();
        let egress = list_at(policy, "/spec/egress");
        let restricts = |direction: &str| match types.as_slice() {
            [] => direction == "Ingress" || !egress.is_empty(),
            types => types.contains(&direction),
        };
        let rules = |pointer: &str, peers: &str| {
            list_at(policy, pointer).iter().map(|rule| Rule::of(rule, peers)).collect::<Vec<_>>()
        };
        Self {
            namespace: object::namespace(policy).to_owned(),
            name: object::name(policy).to_owned(),
            // A missing selector selects every pod of the namespace, as an empty one does.
            subjects: LabelSelector::from_object(object::at(policy, "/spec/podSelector")).unwrap_or_default(),
            ingress: restricts("Ingress").then(|| rules("/spec/ingress", "/from")),
            egress: restricts("Egress").then(|| rules("/spec/egress", "/to")),
        }
    }
}

impl Rule {
    fn of(rule: &Value, peers: &str) -> Self {
        let all_if_empty = |list: &'_ [Value]| !list.is_empty();
        let (peers, ports) = (list_at(rule, peers), list_at(rule, "/ports"));
        Self {
            peers: all_if_empty(peers).then(|| peers.iter().filter_map(Peer::of).collect()),
            ports: all_if_empty(ports).then(|| ports.iter().filter_map(Port::of).collect()),
        }
    }
}

impl Peer {
    /// `None` for a block of IPv6 addresses, which nobody here has.
    fn of(peer: &Value) -> Option<Self> {
        if let Some(block) = peer.get("ipBlock") {
            let all = Addresses::block(str_at(block, "/cidr"))?;
            let except = list_at(block, "/except").iter().filter_map(|cidr| Addresses::block(cidr.as_str()?));
            return Some(Self::Block(except.fold(all, |left, except| left.without(&except))));
        }
        let selector = |key: &str| LabelSelector::from_object(peer.get(key));
        Some(Self::Pods {
            namespaces: selector("namespaceSelector"),
            pods: selector("podSelector").unwrap_or_default(),
        })
    }
}

impl Port {
    fn of(port: &Value) -> Option<Self> {
        let number = match port.get("port") {
            None | Some(Value::Null) => PortNumber::Any,
            Some(Value::String(name)) => PortNumber::Named(name.clone()),
            Some(number) => {
                let first = number.as_u64().and_then(|number| u16::try_from(number).ok())?;
                let last = int_at(port, "/endPort").map_or(Some(first), |last| u16::try_from(last).ok())?;
                PortNumber::Range(first, last)
            }
        };
        Some(Self { protocol: Protocol::of(port)?, number })
    }
}
