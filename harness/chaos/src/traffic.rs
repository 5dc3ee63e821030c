//! Disturbs the traffic between some parties until healed.
//!
//! The proof of a cut is made of connections between its parties: each was answered before, none is answered during the
//! cut and packets were dropped meanwhile, each is answered again afterwards. What merely degrades traffic is proven by
//! its counters.

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use futures::future::join_all;
use gauntlet_cluster::traffic::{Dialled, Effect, Party, TrafficFault};
use gauntlet_cluster::view::Snapshot;
use gauntlet_core::{Capability, Evidence, Trouble};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than the first repetition of a lost packet: what is heard of by then, if anything, got through.
const SILENT_FOR: Duration = Duration::from_millis(1500);

/// How long those who may talk have to do so, on a machine that has much else to do.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How long after the healing traffic may take to flow.
const FLOWS_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Of a node's pods, this many at most speak for it.
const SPOKESMEN: usize = 2;

/// How many times a path is tried to make traffic that a fault may show itself on.
const TRIES: usize = 40;

/// A cut, a loss or a limited rate.
pub struct DisturbTraffic {
    id: String,
    fault: TrafficFault,
    /// The connections that were answered before.
    paths: Vec<Path>,
}

/// A connection from a pod to a port of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path {
    namespace: String,
    pod: String,
    to: Target,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Pod { namespace: String, name: String },
    Address(IpAddr),
}

/// A cut between `from` and `to`; see [`TrafficFault`] for what its parts mean.
pub struct CutTraffic;

impl CutTraffic {
    pub const NEEDS: Capability = Capability::ShapeNetwork;

    /// All traffic, both ways.
    pub fn between(from: Vec<Party>, to: Vec<Party>) -> DisturbTraffic {
        DisturbTraffic::new(TrafficFault { from, to, both_ways: true, ports: vec![], effect: Effect::Cut })
    }

    /// All that `from` sends to `to`.
    pub fn one_way(from: Vec<Party>, to: Vec<Party>) -> DisturbTraffic {
        DisturbTraffic::new(TrafficFault { from, to, both_ways: false, ports: vec![], effect: Effect::Cut })
    }
}

impl DisturbTraffic {
    pub const NEEDS: Capability = Capability::ShapeNetwork;

    pub fn new(fault: TrafficFault) -> Self {
        Self { id: format!("traffic-{:016x}", rand::random::<u64>()), fault, paths: vec![] }
    }

    /// Only traffic of conversations with these ports.
    #[must_use]
    pub fn on_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.fault.ports.extend(ports);
        self
    }

    async fn dial(&self, scene: &Scene, path: &Path, within: Duration) -> Result<Dialled, Trouble> {
        let to = address(&scene.view.snapshot(), &path.to);
        let to = to.ok_or_else(|| Trouble::harness(format!("{path} has no address to go to")))?;
        scene.cluster.dial(&path.namespace, &path.pod, SocketAddr::new(to, path.port), within).await
    }

    /// What each path shows, in their order.
    async fn dial_all(&self, scene: &Scene, paths: &[Path], within: Duration) -> Vec<Result<Dialled, Trouble>> {
        join_all(paths.iter().map(|path| self.dial(scene, path, within))).await
    }

    async fn is_cut(&self, scene: &Scene) -> Result<String, String> {
        let seen = self.dial_all(scene, &self.paths, SILENT_FOR).await;
        for (path, seen) in self.paths.iter().zip(seen) {
            match seen.map_err(|trouble| trouble.message)? {
                Dialled::Timeout => {}
                Dialled::Open | Dialled::Refused => return Err(format!("{path} is still answered")),
            }
        }
        let dropped = self.dropped(scene).await?;
        Ok(format!("{} that were answered before are not, and {dropped} packets were dropped", self.all_paths()))
    }

    async fn degrades(&self, scene: &Scene) -> Result<String, String> {
        for _ in 0..TRIES {
            self.dial_all(scene, &self.paths, ANSWERS_WITHIN).await;
            if let Ok(dropped) = self.dropped(scene).await {
                return Ok(format!("{dropped} packets were dropped"));
            }
        }
        self.dropped(scene).await.map(|dropped| format!("{dropped} packets were dropped"))
    }

    async fn dropped(&self, scene: &Scene) -> Result<u64, String> {
        let counters = scene.cluster.traffic_counters(&self.id).await.map_err(|trouble| trouble.message)?;
        match counters.dropped {
            0 => Err(format!("of {} packets none was dropped", counters.seen)),
            dropped => Ok(dropped),
        }
    }

    fn all_paths(&self) -> String {
        match self.paths.as_slice() {
            [path] => format!("connections from {path}"),
            paths => format!("connections on {} paths (such as {})", paths.len(), paths[0]),
        }
    }
}

#[async_trait]
impl Fault for DisturbTraffic {
    fn disturbance(&self) -> Disturbance {
        Disturbance::Traffic { id: self.id.clone(), fault: self.fault.clone() }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        scene.view.complete().await;
        let paths = paths(&scene.view.snapshot(), &self.fault);
        let seen = self.dial_all(scene, &paths, ANSWERS_WITHIN).await;
        let answered = |seen: &Result<Dialled, Trouble>| matches!(seen, Ok(Dialled::Open | Dialled::Refused));
        self.paths = paths.into_iter().zip(seen).filter(|(_, seen)| answered(seen)).map(|(path, _)| path).collect();
        scene.cluster.disturb_traffic(&self.id, &self.fault).await
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        if self.paths.is_empty() {
            let why = "no connection between the parties was answered before, so none that is not shows anything";
            return Evidence::Missing(why.to_owned());
        }
        let shown = match self.fault.effect {
            Effect::Cut => self.is_cut(scene).await,
            Effect::Loss { .. } | Effect::Rate { .. } => self.degrades(scene).await,
        };
        shown.map_or_else(Evidence::Missing, Evidence::Shown)
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        let until = Instant::now() + FLOWS_WITHIN;
        let mut waiting = self.paths.clone();
        loop {
            let seen = self.dial_all(scene, &waiting, ANSWERS_WITHIN).await;
            let left =
                waiting.into_iter().zip(seen).filter(|(_, seen)| !matches!(seen, Ok(Dialled::Open | Dialled::Refused)));
            let (left, why): (Vec<Path>, Vec<Result<Dialled, Trouble>>) = left.unzip();
            let Some((path, why)) = left.first().zip(why.first()) else {
                return match self.paths.is_empty() {
                    true => Evidence::Missing("no connection was there to be answered again".to_owned()),
                    false => Evidence::Shown(format!("{} are answered again", self.all_paths())),
                };
            };
            if Instant::now() >= until {
                let why =
                    why.as_ref().map_or_else(|trouble| trouble.message.clone(), |_| "nothing was heard".to_owned());
                return Evidence::Missing(format!("{path} is not answered again: {why}"));
            }
            waiting = left;
            tokio::time::sleep(POLL).await;
        }
    }
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
fn paths(snapshot: &Snapshot, fault: &TrafficFault) -> Vec<Path> {
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
fn address(snapshot: &Snapshot, target: &Target) -> Option<IpAddr> {
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
