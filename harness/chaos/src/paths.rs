//! Connections between the parties of a fault, to see it by.

use gauntlet_cluster::traffic::{Party, TrafficFault};
use gauntlet_cluster::view::Snapshot;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::net::IpAddr;
use std::sync::Arc;

/// Of a node's pods, this many at most speak for it.
const SPOKESMEN: usize = 2;

/// A connection from a pod to a port of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub namespace: String,
    pub pod: String,
    pub to: Target,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Pod { namespace: String, name: String },
    Address(IpAddr),
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { namespace, pod, port, .. } = self;
        match &self.to {
            Target::Pod { namespace: there, name } => write!(f, "{namespace}/{pod} to {there}/{name} port {port}"),
            Target::Address(address) => write!(f, "{namespace}/{pod} to {address} port {port}"),
        }
    }
}

/// Connections that the fault is to disturb: from every pod of one side to everybody on the other.
pub(crate) fn paths(snapshot: &Snapshot, fault: &TrafficFault) -> Vec<Path> {
    let mut all = one_way(snapshot, &fault.from, &fault.to, &fault.ports);
    if fault.both_ways {
        all.extend(one_way(snapshot, &fault.to, &fault.from, &fault.ports));
    }
    all
}

fn one_way(snapshot: &Snapshot, from: &[Party], to: &[Party], ports: &[u16]) -> Vec<Path> {
    let sources: Vec<Arc<Pod>> = from.iter().flat_map(|party| pods(snapshot, party)).collect();
    let targets: Vec<(Target, u16)> = to.iter().flat_map(|party| targets(snapshot, party, ports)).collect();
    let from_source = |source: &Arc<Pod>| {
        let (namespace, pod) = (source.namespace().unwrap_or_default(), source.name_any());
        let own = Target::Pod { namespace: namespace.clone(), name: pod.clone() };
        let others = targets.iter().filter(move |(target, _)| *target != own);
        others.map(move |(to, port)| Path {
            namespace: namespace.clone(),
            pod: pod.clone(),
            to: to.clone(),
            port: *port,
        })
    };
    sources.iter().flat_map(from_source).collect()
}

/// The pods that a party has for connections.
fn pods(snapshot: &Snapshot, party: &Party) -> Vec<Arc<Pod>> {
    let on_network = |pod: &&Arc<Pod>| {
        let spec = pod.spec.as_ref();
        let running = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
        running && spec.is_some_and(|spec| spec.host_network != Some(true))
    };
    let all = snapshot.pods.iter().filter(on_network);
    match party {
        Party::Pod { namespace, name } => all
            .filter(|pod| pod.namespace().as_deref() == Some(namespace) && pod.name_any() == *name)
            .cloned()
            .collect(),
        Party::Node(node) => {
            let here = |pod: &&Arc<Pod>| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
            all.filter(here).filter(|pod| port_of(pod, &[]).is_some()).take(SPOKESMEN).cloned().collect()
        }
        Party::Address(_) => vec![],
    }
}

fn targets(snapshot: &Snapshot, party: &Party, ports: &[u16]) -> Vec<(Target, u16)> {
    if let Party::Address(text) = party {
        return text
            .parse()
            .ok()
            .zip(ports.first().copied())
            .map(|(ip, port)| (Target::Address(ip), port))
            .into_iter()
            .collect();
    }
    let target = |pod: Arc<Pod>| {
        let to = Target::Pod { namespace: pod.namespace().unwrap_or_default(), name: pod.name_any() };
        Some((to, port_of(&pod, ports)?))
    };
    pods(snapshot, party).into_iter().filter_map(target).collect()
}

/// A TCP port of a pod: one of those wanted, if any are, that it declares before one that it does not.
fn port_of(pod: &Pod, wanted: &[u16]) -> Option<u16> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let declared = containers.flat_map(|container| container.ports.iter().flatten());
    let tcp = declared.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    let mut numbers = tcp.filter_map(|port| u16::try_from(port.container_port).ok());
    match wanted.first() {
        None => numbers.next(),
        Some(first) => numbers.find(|number| wanted.contains(number)).or(Some(*first)),
    }
}

/// Where a target is now.
pub(crate) fn address(snapshot: &Snapshot, target: &Target) -> Option<IpAddr> {
    match target {
        Target::Address(address) => Some(*address),
        Target::Pod { namespace, name } => {
            let party = Party::pod(namespace, name);
            let pod = pods(snapshot, &party).into_iter().next()?;
            pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_cluster::traffic::Effect;
    use serde_json::json;

    fn pod(name: &str, node: &str, ports: &[u16]) -> Arc<Pod> {
        let ports: Vec<_> = ports.iter().map(|port| json!({"containerPort": port})).collect();
        let pod = json!({
            "metadata": {"namespace": "ns", "name": name},
            "spec": {"nodeName": node, "containers": [{"name": "c", "ports": ports}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1"},
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn snapshot() -> Snapshot {
        let pods = vec![pod("a", "n1", &[4222, 6222]), pod("b", "n2", &[4222, 6222]), pod("client", "n1", &[])];
        Snapshot { pods, ..Snapshot::default() }
    }

    fn texts(from: Party, to: Party, both_ways: bool, ports: &[u16]) -> Vec<String> {
        let fault =
            TrafficFault { from: vec![from], to: vec![to], both_ways, ports: ports.to_vec(), effect: Effect::Cut };
        paths(&snapshot(), &fault).iter().map(Path::to_string).collect()
    }

    #[test]
    fn connections_are_tried_where_the_fault_is_to_be_felt() {
        let pod = |name: &str| Party::pod("ns", name);
        let node = |name: &str| Party::Node(name.into());
        let ab = "ns/a to ns/b port 4222".to_owned();
        assert_eq!(texts(pod("a"), pod("b"), false, &[]).concat(), ab);
        assert_eq!(texts(pod("a"), pod("b"), true, &[]), [ab.clone(), "ns/b to ns/a port 4222".to_owned()]);
        assert_eq!(texts(pod("a"), pod("b"), false, &[6222]), ["ns/a to ns/b port 6222"]);
        assert_eq!(texts(pod("a"), pod("b"), false, &[99]), ["ns/a to ns/b port 99"]);
        // Nobody can be called who has no port; it can call.
        assert_eq!(texts(pod("client"), pod("b"), true, &[]), ["ns/client to ns/b port 4222"]);
        assert_eq!(texts(node("n1"), node("n2"), false, &[]), [ab]);
        assert_eq!(texts(pod("a"), Party::Address("192.0.2.1".into()), true, &[80]), ["ns/a to 192.0.2.1 port 80"]);
        assert!(texts(pod("a"), Party::Address("192.0.2.0/24".into()), true, &[80]).is_empty());
        assert!(texts(pod("gone"), pod("b"), false, &[]).is_empty());
        assert!(texts(pod("a"), pod("a"), true, &[]).is_empty());
    }
}
