//! From a cluster to the rules for its packets: pure.
//!
//! Pods that the same policies select share a chain, so that a further replica costs an element of a map. Peers are
//! resolved to addresses here; the kernel knows nothing of labels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::addresses::Addresses;
use super::model::{Cluster, Peer, Pod, Policy, Port, PortNumber, Rule};
use super::rules::{Allow, Chain, Direction, PortRange, Rules};

pub fn compile(cluster: &Cluster) -> Rules {
    let mut rules = Rules::default();
    let mut chains = Chains { cluster, places: BTreeMap::new(), made: HashMap::new(), chains: Vec::new() };
    for pod in &cluster.pods {
        rules.known.insert(pod.address);
        rules.always.insert((pod.address, pod.address));
        if let Some(node) = pod.node {
            rules.always.extend([(node, pod.address), (pod.address, node)]);
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            let Some(place) = chains.of(pod, direction) else { continue };
            match direction {
                Direction::Ingress => rules.ingress.insert(pod.address, place),
                Direction::Egress => rules.egress.insert(pod.address, place),
            };
        }
    }
    rules.chains = chains.chains;
    rules
}

/// The chains made so far.
struct Chains<'a> {
    cluster: &'a Cluster,
    chains: Vec<Chain>,
    /// Where each chain is among them.
    places: BTreeMap<Chain, usize>,
    /// The chain for pods that the same policies, by their place, restrict in the same way.
    made: HashMap<Restriction, usize>,
}

/// A direction, the policies that restrict it, and what the names of ports in them mean.
type Restriction = (Direction, Vec<usize>, Vec<Option<u16>>);

impl Chains<'_> {
    /// The chain of a pod; `None` when no policy restricts it in this direction.
    fn of(&mut self, pod: &Pod, direction: Direction) -> Option<usize> {
        let policies = &self.cluster.policies;
        let selecting: Vec<usize> = (0..policies.len())
            .filter(|at| rules_of(&policies[*at], direction).is_some() && selects(&policies[*at], pod))
            .collect();
        if selecting.is_empty() {
            return None;
        }
        // Names of ports mean the destination's: those of an ingress rule are the pod's own.
        let own_ports = match direction {
            Direction::Ingress => own_ports(selecting.iter().map(|at| &policies[*at]), pod),
            Direction::Egress => Vec::new(),
        };
        let key = (direction, selecting, own_ports);
        if let Some(place) = self.made.get(&key) {
            return Some(*place);
        }
        let selecting = key.1.iter().map(|at| &policies[*at]);
        let allows = selecting.flat_map(|policy| allows(self.cluster, policy, direction, pod)).collect();
        let chain = Chain { direction, allows };
        let place = *self.places.entry(chain.clone()).or_insert_with(|| {
            self.chains.push(chain);
            self.chains.len() - 1
        });
        self.made.insert(key, place);
        Some(place)
    }
}

fn rules_of(policy: &Policy, direction: Direction) -> Option<&[Rule]> {
    match direction {
        Direction::Ingress => policy.ingress.as_deref(),
        Direction::Egress => policy.egress.as_deref(),
    }
}

fn selects(policy: &Policy, pod: &Pod) -> bool {
    policy.namespace == pod.namespace && policy.subjects.matches(&pod.labels)
}

/// What the names of ports in the ingress rules of these policies mean on this pod.
fn own_ports<'a>(policies: impl Iterator<Item = &'a Policy>, pod: &Pod) -> Vec<Option<u16>> {
    let ports =
        policies.flat_map(|policy| policy.ingress.iter().flatten()).flat_map(|rule| rule.ports.iter().flatten());
    let named = ports.filter_map(|port| match &port.number {
        PortNumber::Named(name) => Some(pod.port(name, port.protocol)),
        _ => None,
    });
    named.collect()
}

fn allows(cluster: &Cluster, policy: &Policy, direction: Direction, pod: &Pod) -> Vec<Allow> {
    let rules = rules_of(policy, direction).unwrap_or_default();
    rules.iter().flat_map(|rule| of_rule(cluster, policy, rule, direction, pod)).collect()
}

/// What one rule allows a pod: nothing, something, or several things where a name means different ports.
fn of_rule(cluster: &Cluster, policy: &Policy, rule: &Rule, direction: Direction, pod: &Pod) -> Vec<Allow> {
    let peers = rule.peers.as_ref().map(|peers| addresses(cluster, policy, peers));
    let allow = |peers: Option<Addresses>, ports: Option<BTreeSet<PortRange>>| Allow {
        policy: format!("{}/{}", policy.namespace, policy.name),
        peers,
        ports,
    };
    let Some(ports) = &rule.ports else {
        return if peers.as_ref().is_some_and(Addresses::is_empty) { vec![] } else { vec![allow(peers, None)] };
    };
    let numbered = ports.iter().filter_map(|port| range(port, direction, pod));
    let mut all = vec![allow(peers, Some(PortRange::join(numbered)))];
    if direction == Direction::Egress {
        let named = named_ports_of_peers(cluster, policy, rule, ports);
        all.extend(named.into_iter().map(|(range, peers)| allow(Some(peers), Some(BTreeSet::from([range])))));
    }
    let empty = |allow: &Allow| {
        allow.peers.as_ref().is_some_and(Addresses::is_empty) || allow.ports.as_ref().is_some_and(BTreeSet::is_empty)
    };
    all.retain(|allow| !empty(allow));
    all
}

/// The numbers of a port; `None` where its name means nothing, or something else on every peer.
fn range(port: &Port, direction: Direction, pod: &Pod) -> Option<PortRange> {
    let (first, last) = match (&port.number, direction) {
        (PortNumber::Any, _) => (0, u16::MAX),
        (PortNumber::Range(first, last), _) => (*first, *last),
        (PortNumber::Named(name), Direction::Ingress) => {
            let number = pod.port(name, port.protocol)?;
            (number, number)
        }
        (PortNumber::Named(_), Direction::Egress) => return None,
    };
    Some(PortRange { protocol: port.protocol, first, last })
}

/// The pods among an egress rule's peers that have its named ports, by the numbers those have there.
fn named_ports_of_peers(
    cluster: &Cluster,
    policy: &Policy,
    rule: &Rule,
    ports: &[Port],
) -> BTreeMap<PortRange, Addresses> {
    let mut found: BTreeMap<PortRange, Addresses> = BTreeMap::new();
    for port in ports {
        let PortNumber::Named(name) = &port.number else { continue };
        let selected = |pod: &&Pod| {
            rule.peers.as_ref().is_none_or(|peers| peers.iter().any(|peer| is_peer(cluster, policy, peer, pod)))
        };
        for peer in cluster.pods.iter().filter(selected) {
            let Some(number) = peer.port(name, port.protocol) else { continue };
            let range = PortRange { protocol: port.protocol, first: number, last: number };
            found.entry(range).or_default().add(&std::iter::once(peer.address).collect());
        }
    }
    found
}

fn addresses(cluster: &Cluster, policy: &Policy, peers: &[Peer]) -> Addresses {
    let pods = cluster.pods.iter().filter(|pod| {
        peers.iter().any(|peer| matches!(peer, Peer::Pods { .. }) && is_peer(cluster, policy, peer, pod))
    });
    let mut all: Addresses = pods.map(|pod| pod.address).collect();
    for peer in peers {
        if let Peer::Block(block) = peer {
            all.add(block);
        }
    }
    all
}

fn is_peer(cluster: &Cluster, policy: &Policy, peer: &Peer, pod: &Pod) -> bool {
    match peer {
        Peer::Block(block) => block.contains(pod.address),
        Peer::Pods { namespaces, pods } => {
            let there = match namespaces {
                None => pod.namespace == policy.namespace,
                Some(selector) => cluster.namespaces.get(&pod.namespace).is_some_and(|labels| selector.matches(labels)),
            };
            there && pods.matches(&pod.labels)
        }
    }
}
