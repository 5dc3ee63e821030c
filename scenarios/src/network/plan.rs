//! The matrix as a plan: every source, every destination with its ports, and what the contract expects of each cell.
//! Nothing here looks at a cluster, and nothing at the policies under test.

use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::model::Labels;
use gauntlet_core::contract::network::{Expected, Network, Peer, Protocol, Question};
use gauntlet_core::contract::workload::Workload;
use std::collections::BTreeSet;

/// Ports on which no workload of a contract should listen; the first that none documents is probed as the undocumented
/// one.
const UNDOCUMENTED: [u16; 4] = [4444, 5555, 54_321, 54_322];

/// The port on which pods of our own accept connections.
pub const OWN_PORT: u16 = 7070;

const DNS_PORT: u16 = 53;
const API_PORT: u16 = 443;
/// The kubelet's.
const NODE_PORT: u16 = 10_250;

/// Whose identity probes have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The pods of a serving workload.
    Pods(String),
    /// Pods of a Job or CronJob, which come and go: a twin stands in for them.
    Jobs(String),
    /// A pod without labels in a namespace of the system.
    Stranger(String),
    /// A pod without labels in a namespace of ours.
    Foreign,
    /// A pod in a namespace of ours with the labels of a workload.
    LookAlike(String),
    /// A pod where a peer of the contract stands.
    Peer(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As reports call it.
    pub name: String,
    /// As the contract's rows call it; `None` for somebody whom no row means.
    pub known_as: Option<String>,
    pub who: Who,
}

/// What is reached for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Every pod of a workload, or one of ours.
    Pods(Who),
    /// The Service in front of a workload.
    Service {
        workload: String,
        service: String,
    },
    Dns,
    ApiServer,
    /// A node that is not the source's own, which every pod may reach.
    Nodes,
    /// A host outside the cluster, by its place in what the cluster offers.
    Outside(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub name: String,
    pub known_as: Option<String>,
    pub what: What,
    pub ports: Vec<(u16, Protocol)>,
}

/// A host outside the cluster, as the plan needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beyond {
    pub name: String,
    pub tcp: Vec<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub source: usize,
    pub destination: usize,
    pub port: u16,
    pub protocol: Protocol,
    pub expected: Expected,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub sources: Vec<Source>,
    pub destinations: Vec<Destination>,
    pub cells: Vec<Planned>,
    /// The port on which nobody listens.
    pub undocumented: u16,
}

impl Plan {
    /// The matrix of a deployment, on a cluster that has these hosts outside of it.
    pub fn of(deployment: Deployment<'_>, network: &Network, beyond: &[Beyond]) -> Self {
        let undocumented = undocumented(deployment);
        let sources = sources(deployment, network);
        let destinations = destinations(deployment, network, beyond, undocumented);
        let mut cells = Vec::new();
        for (source, from) in sources.iter().enumerate() {
            for (destination, to) in destinations.iter().enumerate() {
                // A pod of ours reaches itself, whatever policies say.
                if matches!(&to.what, What::Pods(who) if *who == from.who && !matches!(who, Who::Pods(_))) {
                    continue;
                }
                for (port, protocol) in to.ports.iter().copied() {
                    let (from, to) = (from.known_as.as_deref(), to.known_as.as_deref());
                    let expected = network.expect(Question { from, to, port, protocol });
                    cells.push(Planned { source, destination, port, protocol, expected });
                }
            }
        }
        Self { sources, destinations, cells, undocumented }
    }

    /// The look-alikes that pods have to be made for.
    pub fn look_alikes<'a>(&'a self) -> BTreeSet<&'a str> {
        let sources = self.sources.iter().map(|source| &source.who);
        let targets = self.destinations.iter().filter_map(|destination| match &destination.what {
            What::Pods(who) => Some(who),
            _ => None,
        });
        let name = |who: &'a Who| match who {
            Who::LookAlike(name) => Some(name.as_str()),
            _ => None,
        };
        sources.chain(targets).filter_map(name).collect()
    }
}

fn undocumented(deployment: Deployment<'_>) -> u16 {
    let documented: BTreeSet<u16> =
        deployment.workloads().flat_map(|workload| workload.ports.iter().map(|port| port.port.value)).collect();
    UNDOCUMENTED.into_iter().find(|port| !documented.contains(port)).unwrap_or(UNDOCUMENTED[0])
}

/// Namespaces in which somebody is restricted.
fn namespaces<'a>(deployment: Deployment<'a>) -> BTreeSet<&'a str> {
    deployment.workloads().map(|workload| workload.namespace.value.as_str()).collect()
}

/// Workloads whose labels open a door to a restricted destination: a foreigner may try them.
fn worth_imitating_as_source<'a>(deployment: Deployment<'a>, network: &Network) -> Vec<&'a Workload> {
    let rules = network.ingress.iter().filter(|rule| rule.to.iter().any(|to| network.restricts_ingress(&to.value)));
    let names: BTreeSet<&str> = rules.flat_map(|rule| &rule.from).map(|name| name.value.as_str()).collect();
    deployment.workloads().filter(|workload| names.contains(workload.name.value.as_str())).collect()
}

/// Workloads whose labels a restricted source may reach.
fn worth_imitating_as_destination<'a>(deployment: Deployment<'a>, network: &Network) -> Vec<&'a Workload> {
    let rules = network.egress.iter().filter(|rule| rule.from.iter().any(|from| network.restricts_egress(&from.value)));
    let names: BTreeSet<&str> = rules.flat_map(|rule| &rule.to).map(|name| name.value.as_str()).collect();
    deployment.workloads().filter(|workload| names.contains(workload.name.value.as_str())).collect()
}

fn look_alike_name(workload: &Workload) -> String {
    format!("a foreign pod labelled as {}", workload.name.value)
}

fn stranger_name(namespace: &str) -> String {
    format!("an unlabelled pod in {namespace}")
}

/// The peer that every pod of a namespace is, also one without labels.
fn everybody_in(network: &Network, namespace: &str) -> Option<String> {
    let peer = network.peers.iter().find(|peer| peer.labels.is_empty() && peer.namespace == namespace);
    peer.map(|peer| peer.name.value.clone())
}

const FOREIGN_NAME: &str = "a foreign pod";

fn sources(deployment: Deployment<'_>, network: &Network) -> Vec<Source> {
    let own = deployment.workloads().map(|workload| {
        let name = workload.name.value.clone();
        let who = if workload.kind.is_serving() { Who::Pods(name.clone()) } else { Who::Jobs(name.clone()) };
        Source { known_as: Some(name.clone()), name, who }
    });
    let unknown = |name: String, who: Who| Source { name, known_as: None, who };
    let strangers = namespaces(deployment).into_iter().map(|namespace| Source {
        known_as: everybody_in(network, namespace),
        ..unknown(stranger_name(namespace), Who::Stranger(namespace.to_owned()))
    });
    let foreign = std::iter::once(unknown(FOREIGN_NAME.to_owned(), Who::Foreign));
    let imitators = worth_imitating_as_source(deployment, network)
        .into_iter()
        .map(|workload| unknown(look_alike_name(workload), Who::LookAlike(workload.name.value.clone())));
    let peers = network.peers.iter().map(|peer| {
        let name = peer.name.value.clone();
        Source { known_as: Some(name.clone()), who: Who::Peer(name.clone()), name }
    });
    own.chain(strangers).chain(foreign).chain(imitators).chain(peers).collect()
}

fn destinations(
    deployment: Deployment<'_>,
    network: &Network,
    beyond: &[Beyond],
    undocumented: u16,
) -> Vec<Destination> {
    let tcp = |port: u16| (port, Protocol::Tcp);
    let documented =
        |workload: &Workload| workload.ports.iter().map(|port| tcp(port.port.value)).collect::<Vec<(u16, Protocol)>>();
    let mut all = Vec::new();
    for workload in deployment.workloads().filter(|workload| workload.kind.is_serving()) {
        let name = workload.name.value.clone();
        let known_as = Some(name.clone());
        let ports = documented(workload).into_iter().chain([tcp(undocumented)]).collect();
        let what = What::Pods(Who::Pods(name.clone()));
        all.push(Destination { name: name.clone(), known_as: known_as.clone(), what, ports });
        if let Some(service) = workload.service.clone().filter(|_| !workload.ports.is_empty()) {
            let what = What::Service { workload: name, service: service.clone() };
            all.push(Destination { name: format!("service {service}"), known_as, what, ports: documented(workload) });
        }
    }
    let unknown = |name: String, who: Who, ports: Vec<(u16, Protocol)>| Destination {
        name,
        known_as: None,
        what: What::Pods(who),
        ports,
    };
    for namespace in namespaces(deployment) {
        let stranger = unknown(stranger_name(namespace), Who::Stranger(namespace.to_owned()), vec![tcp(OWN_PORT)]);
        all.push(Destination { known_as: everybody_in(network, namespace), ..stranger });
    }
    all.push(unknown(FOREIGN_NAME.to_owned(), Who::Foreign, vec![tcp(OWN_PORT)]));
    for workload in worth_imitating_as_destination(deployment, network) {
        let who = Who::LookAlike(workload.name.value.clone());
        all.push(unknown(look_alike_name(workload), who, documented(workload)));
    }
    let known = |name: &str, what: What, ports: Vec<(u16, Protocol)>| Destination {
        name: name.to_owned(),
        known_as: Some(name.to_owned()),
        what,
        ports,
    };
    all.push(known("dns", What::Dns, vec![(DNS_PORT, Protocol::Udp), (DNS_PORT, Protocol::Tcp)]));
    all.push(known("api-server", What::ApiServer, vec![tcp(API_PORT)]));
    all.push(known("nodes", What::Nodes, vec![tcp(NODE_PORT)]));
    for (place, host) in beyond.iter().enumerate() {
        let ports = host.tcp.iter().copied().map(tcp).collect();
        all.push(known(&host.name, What::Outside(place), ports));
    }
    all
}

/// A peer of the contract by its name.
pub fn peer<'a>(network: &'a Network, name: &str) -> Option<&'a Peer> {
    network.peers.iter().find(|peer| peer.name.value == name)
}

/// The labels that imitate a workload.
pub fn labels_of(deployment: Deployment<'_>, workload: &str) -> Labels {
    deployment.workload(workload).map(|workload| workload.labels.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beyond() -> Vec<Beyond> {
        vec![Beyond { name: "outside".into(), tcp: vec![80] }, Beyond { name: "metadata".into(), tcp: vec![80] }]
    }

    fn plan() -> Plan {
        let contract = crate::systems::load("cordum").unwrap().contract;
        Plan::of(contract.deployment(None).unwrap(), contract.network.as_ref().unwrap(), &beyond())
    }

    fn expected(plan: &Plan, from: &str, to: &str, port: u16) -> String {
        let is_it = |cell: &&Planned| {
            let (source, destination) = (&plan.sources[cell.source], &plan.destinations[cell.destination]);
            source.name == from && destination.name == to && cell.port == port
        };
        plan.cells.iter().find(is_it).map_or("no such cell".to_owned(), |cell| cell.expected.word().to_owned())
    }

    #[test]
    fn the_bundled_matrix_says_what_the_guide_says() {
        let plan = plan();
        for (from, to, port, says) in [
            ("cordum-api-gateway", "cordum-redis", 6379, "allowed"),
            ("cordum-api-gateway", "cordum-redis", 16379, "denied"),
            ("cordum-api-gateway", "service cordum-safety-kernel", 50051, "allowed"),
            ("cordum-workflow-engine", "cordum-safety-kernel", 50051, "denied"),
            ("cordum-dashboard", "cordum-api-gateway", 8081, "allowed"),
            ("cordum-dashboard", "cordum-redis", 6379, "denied"),
            ("cordum-context-engine", "cordum-redis", 6379, "allowed"),
            ("cordum-context-engine", "cordum-nats", 4222, "left open"),
            ("cordum-redis", "cordum-redis", 16379, "allowed"),
            ("cordum-redis", "cordum-redis", 9121, "denied"),
            ("cordum-nats", "cordum-redis", 6379, "denied"),
            ("cordum-redis-backup", "cordum-redis", 6379, "allowed"),
            ("an unlabelled pod in cordum", "cordum-redis", 6379, "denied"),
            ("an unlabelled pod in cordum", "cordum-redis", 4444, "denied"),
            ("an unlabelled pod in cordum", "cordum-api-gateway", 8081, "left open"),
            ("a foreign pod", "cordum-nats", 4222, "denied"),
            ("a foreign pod labelled as cordum-scheduler", "cordum-nats", 4222, "denied"),
            ("prometheus", "cordum-redis", 9121, "allowed"),
            ("prometheus", "cordum-redis", 6379, "denied"),
            ("ingress-controller", "cordum-dashboard", 8080, "allowed"),
            ("cordum-scheduler", "dns", 53, "allowed"),
            ("cordum-scheduler", "api-server", 443, "denied"),
            ("cordum-scheduler", "nodes", 10250, "denied"),
            ("cordum-scheduler", "metadata", 80, "denied"),
            ("cordum-scheduler", "a foreign pod labelled as cordum-redis", 6379, "denied"),
            ("cordum-context-engine", "outside", 80, "left open"),
        ] {
            assert_eq!(expected(&plan, from, to, port), says, "{from} to {to} {port}");
        }
    }

    #[test]
    fn a_stranger_is_the_peer_that_every_pod_of_its_namespace_is() {
        let mut contract = crate::systems::load("cordum").unwrap().contract;
        let network = contract.network.as_mut().unwrap();
        network.peers[0].namespace = "cordum".to_owned();
        network.peers[0].labels.clear();
        let everybody = network.peers[0].name.value.clone();
        let plan = Plan::of(contract.deployment(None).unwrap(), contract.network.as_ref().unwrap(), &beyond());
        let stranger = plan.sources.iter().find(|source| source.name == "an unlabelled pod in cordum").unwrap();
        assert_eq!(stranger.known_as, Some(everybody));
    }

    #[test]
    fn every_source_is_asked_about_every_destination_but_itself() {
        let plan = plan();
        let ports: usize = plan.destinations.iter().map(|destination| destination.ports.len()).sum();
        let own: usize = plan
            .destinations
            .iter()
            .filter(|to| match &to.what {
                What::Pods(who) => !matches!(who, Who::Pods(_)) && plan.sources.iter().any(|from| from.who == *who),
                _ => false,
            })
            .map(|destination| destination.ports.len())
            .sum();
        assert_eq!(plan.cells.len(), plan.sources.len() * ports - own);
        assert_eq!(plan.look_alikes().len(), 11, "everybody with a row of his own can be imitated");
    }
}
