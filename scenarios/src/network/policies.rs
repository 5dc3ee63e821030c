//! What the NetworkPolicy objects of the cluster say of one connection: for a person who looks for the cause of a
//! difference, never for the judgement.

use gauntlet_core::contract::model::Labels;
use gauntlet_core::contract::network::Protocol;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A pod as policies see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub namespace: String,
    pub labels: Labels,
    /// Ports by the names that its containers give them.
    pub ports: BTreeMap<String, u16>,
}

impl Subject {
    pub fn of(pod: &Pod) -> Self {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let ports = containers.flat_map(|container| container.ports.iter().flatten());
        let named = ports.filter_map(|port| Some((port.name.clone()?, u16::try_from(port.container_port).ok()?)));
        Self { namespace: pod.namespace().unwrap_or_default(), labels: pod.labels().clone(), ports: named.collect() }
    }
}

/// One end of a connection. Of an address that is rewritten on its way nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    pub pod: Option<Subject>,
    pub address: Option<IpAddr>,
}

/// All policies of a cluster, and the labels of its namespaces, which they select by.
#[derive(Debug, Default)]
pub struct Policies {
    pub items: Vec<NetworkPolicy>,
    pub namespaces: BTreeMap<String, Labels>,
}

/// A connection as the rules of one end see it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// The other end.
    peer: &'a End,
    to: &'a End,
    port: u16,
    protocol: Protocol,
}

impl Policies {
    /// A sentence for each end that is a pod: which policies let the connection pass there, which stop it, or that none
    /// selects it.
    pub fn explain(&self, from: &End, to: &End, port: u16, protocol: Protocol) -> Vec<String> {
        let ends = [(from, to, Direction::Egress, "the source"), (to, from, Direction::Ingress, "the destination")];
        ends.into_iter()
            .filter_map(|(end, peer, direction, which)| {
                let asked = Asked { peer, to, port, protocol };
                Some(self.sentence(end.pod.as_ref()?, direction, which, asked))
            })
            .collect()
    }

    fn sentence(&self, subject: &Subject, direction: Direction, which: &str, asked: Asked<'_>) -> String {
        let word = direction.word();
        let selecting: Vec<&NetworkPolicy> =
            self.items.iter().filter(|policy| selects(policy, subject, direction)).collect();
        if selecting.is_empty() {
            return format!("no policy selects {which} for {word}: it is open there");
        }
        let says: Vec<(&NetworkPolicy, Option<bool>)> =
            selecting.iter().map(|policy| (*policy, self.admits(policy, direction, asked))).collect();
        let named = |wanted: &[Option<bool>]| {
            let of = says.iter().filter(|(_, says)| wanted.contains(says));
            of.map(|(policy, _)| policy.name_any()).collect::<Vec<String>>().join(", ")
        };
        let (admitting, unclear) = (named(&[Some(true)]), named(&[None]));
        match (admitting.is_empty(), unclear.is_empty()) {
            (false, _) => format!("{word} of {which} is allowed by {admitting}"),
            (true, false) => {
                format!("{word} of {which} may be allowed by {unclear}: its address is rewritten on the way")
            }
            (true, true) => format!("{word} of {which} is denied: no rule of {} allows it", named(&[Some(false)])),
        }
    }

    /// Whether a rule of the policy lets the connection pass. `None` where that hangs on an address that is not known.
    fn admits(&self, policy: &NetworkPolicy, direction: Direction, asked: Asked<'_>) -> Option<bool> {
        let spec = policy.spec.clone().unwrap_or_default();
        let rules: Vec<(Vec<NetworkPolicyPeer>, Vec<NetworkPolicyPort>)> = match direction {
            Direction::Ingress => {
                spec.ingress.into_iter().flatten().map(|r| (r.from, r.ports)).map(unwrapped).collect()
            }
            Direction::Egress => spec.egress.into_iter().flatten().map(|r| (r.to, r.ports)).map(unwrapped).collect(),
        };
        let namespace = policy.namespace().unwrap_or_default();
        let says = rules.iter().filter(|(_, ports)| ports.is_empty() || ports.iter().any(|port| is_port(port, asked)));
        let says = says.map(|(peers, _)| match peers.is_empty() {
            true => Some(true),
            false => self.is_among(peers, &namespace, asked.peer),
        });
        let says: Vec<Option<bool>> = says.collect();
        match says.contains(&Some(true)) {
            false if says.contains(&None) => None,
            admitted => Some(admitted),
        }
    }

    fn is_among(&self, peers: &[NetworkPolicyPeer], namespace: &str, end: &End) -> Option<bool> {
        let known = end.pod.is_some() || end.address.is_some();
        known.then(|| peers.iter().any(|peer| self.is_peer(peer, namespace, end)))
    }

    fn is_peer(&self, peer: &NetworkPolicyPeer, own: &str, end: &End) -> bool {
        if let Some(block) = &peer.ip_block {
            return end.address.is_some_and(|address| in_block(block, address));
        }
        let Some(pod) = &end.pod else { return false };
        let in_namespace = match &peer.namespace_selector {
            Some(selector) => self.namespaces.get(&pod.namespace).is_some_and(|labels| matches(selector, labels)),
            None => pod.namespace == own,
        };
        in_namespace && peer.pod_selector.as_ref().is_none_or(|selector| matches(selector, &pod.labels))
    }
}

type Lists<P, Q> = (Option<Vec<P>>, Option<Vec<Q>>);

fn unwrapped<P, Q>((peers, ports): Lists<P, Q>) -> (Vec<P>, Vec<Q>) {
    (peers.unwrap_or_default(), ports.unwrap_or_default())
}

/// Whether a policy has a say on a pod in a direction.
fn selects(policy: &NetworkPolicy, subject: &Subject, direction: Direction) -> bool {
    let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
    policy.namespace().as_deref() == Some(&subject.namespace)
        && acts_on(policy, direction)
        && selector.is_none_or(|selector| matches(selector, &subject.labels))
}

/// Without `policyTypes` a policy is about ingress, and about egress if it has egress rules.
fn acts_on(policy: &NetworkPolicy, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    match (&spec.policy_types, direction) {
        (Some(types), _) if !types.is_empty() => types.iter().any(|kind| kind.eq_ignore_ascii_case(direction.word())),
        (_, Direction::Ingress) => true,
        (_, Direction::Egress) => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
    }
}

/// A port of the destination, by number, by range, or by the name that its pod gives it.
fn is_port(wanted: &NetworkPolicyPort, asked: Asked<'_>) -> bool {
    let protocol = wanted.protocol.as_deref().unwrap_or("TCP");
    let port = i32::from(asked.port);
    let is_it = match (&wanted.port, wanted.end_port) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), Some(last)) => (*first..=last).contains(&port),
        (Some(IntOrString::Int(number)), None) => *number == port,
        (Some(IntOrString::String(name)), _) => {
            asked.to.pod.as_ref().is_some_and(|pod| pod.ports.get(name) == Some(&asked.port))
        }
    };
    is_it && protocol.eq_ignore_ascii_case(&asked.protocol.to_string())
}

fn in_block(block: &IPBlock, address: IpAddr) -> bool {
    is_within(&block.cidr, address) && !block.except.iter().flatten().any(|except| is_within(except, address))
}

/// Whether an address lies in `address/length`.
fn is_within(cidr: &str, address: IpAddr) -> bool {
    let Some((network, length)) = cidr.split_once('/') else { return false };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (32_u32, u128::from(v4.to_bits())),
        IpAddr::V6(v6) => (128_u32, v6.to_bits()),
    };
    let ((width, network), (own_width, address)) = (bits(network), bits(address));
    let shift = |number: u128| number.checked_shr(width.saturating_sub(length)).unwrap_or(0);
    width == own_width && length <= width && shift(network) == shift(address)
}

fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten();
    let each = expressions.map(|expression| {
        let value = labels.get(&expression.key);
        let listed = |value: &String| expression.values.iter().flatten().any(|wanted| wanted == value);
        match expression.operator.as_str() {
            "In" => value.is_some_and(listed),
            "NotIn" => !value.is_some_and(listed),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && each.into_iter().all(|holds| holds)
}

#[cfg(test)]
mod tests;
