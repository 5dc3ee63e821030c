//! NetworkPolicies: compiled to one nftables table, changed in one transaction when a policy, a namespace or a pod does.
//!
//! - [`model`]: what policies are compiled from; [`addresses`]: sets of addresses
//! - [`compile()`]: the rules for a cluster (pure), of which [`rules`] says what they mean
//! - [`nft`]: the table for that, and from one to the next (pure)
//!
//! Where Kubernetes leaves a choice:
//! - A change acts on connections that stand: what the side that opened one sends is judged packet by packet.
//! - What comes from the cluster's own namespace, which holds all nodes, counts as the pod's own node and passes: probes,
//!   pods with `hostNetwork`, the API server's proxy. Pods reach their own node's address too.
//! - `ipBlock` means addresses, those of pods too. The API server is an address like others: the one behind its Service.
//! - DNS, which is no pod here, is judged as one in `kube-system` with the label `k8s-app: kube-dns`.
//!
//! A pod is never briefly open: addresses that were not compiled are closed, and attaching a pod waits until it was.

pub mod addresses;
mod compile;
pub mod model;
pub mod nft;
pub mod rules;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use embedded_apimachinery::informer::Informer;
use embedded_apimachinery::object;
use embedded_apimachinery::resource::{NAMESPACES, NETWORK_POLICIES, PODS};
use embedded_apimachinery::view::View;
use embedded_apimachinery::{Api, Object};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::address::{DNS_SERVER, NodeIndex};
use crate::cluster::ClusterNetwork;
use crate::dns::server::PORT as DNS_PORT;
use crate::error::{Doing, Result};
use crate::faults::PodAddresses;
use crate::netns::NetNs;
use crate::nft as tables;
use model::{Cluster, NamedPort, Pod, Policy, Protocol};
use nft::Table;
use rules::Rules;

pub use compile::compile;

/// Changes that come this close together are applied as one.
const GATHER: Duration = Duration::from_millis(3);

/// After rules were refused, they are tried again after this time even if nothing changes.
const RETRY: Duration = Duration::from_secs(1);

/// How long a pod that starts waits for the rules that cover it.
const COVERED_WITHIN: Duration = Duration::from_secs(20);

/// Closes the network to all pods, as long as none was compiled.
pub(crate) async fn close(namespace: &NetNs) -> Result<()> {
    apply(namespace, Table::of(&Rules::default()).render()).await
}

/// Keeps the rules of the network as policies say, until `shutdown`.
pub(crate) async fn run(api: Arc<dyn Api>, network: ClusterNetwork, shutdown: CancellationToken) {
    let _enforcing = network.coverage().enforce();
    let mut informer = Informer::new(api, vec![NETWORK_POLICIES, NAMESPACES, PODS]);
    let (mut view, mut pods, mut applied) = (View::default(), Pods::default(), None);
    let mut membership = network.coverage().membership();
    loop {
        // In this order: the object of a pod that is attached is there already.
        let wanted = *membership.borrow_and_update();
        let attached = network.attached();
        informer.drain(&mut view);
        pods.update(attached, &view);
        network.faults().follow(network.namespace(), pods.addresses()).await;
        let table = Table::of(&compile(&cluster(&pods, &view)));
        let mut retry = Duration::MAX;
        match bring(network.namespace(), applied.as_ref(), &table).await {
            Ok(()) => {
                applied = Some(table);
                network.coverage().covered(wanted);
            }
            Err(error) => {
                tracing::error!(%error, "network policies are not up to date");
                // Whatever is there now: it is replaced.
                applied = None;
                retry = RETRY;
            }
        }
        let changed = async {
            let mut seen = Vec::new();
            tokio::select! {
                () = informer.wait(&mut view, &mut seen) => {}
                _ = membership.changed() => {}
            }
            tokio::time::sleep(GATHER).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = changed => {}
            () = tokio::time::sleep(retry) => {}
        }
    }
}

/// Changes the table that is there to the one that is wanted, or replaces it where it is not known.
async fn bring(namespace: &NetNs, before: Option<&Table>, wanted: &Table) -> Result<()> {
    let text = before.map_or_else(|| wanted.render(), |before| before.update(wanted));
    if text.is_empty() { Ok(()) } else { apply(namespace, text).await }
}

async fn apply(namespace: &NetNs, ruleset: String) -> Result<()> {
    tables::load(namespace, "load the rules of network policies with `nft`", ruleset).await
}

fn cluster(pods: &Pods, view: &View) -> Cluster {
    let namespaces = view.all(&NAMESPACES).map(|ns| (object::name(ns).to_owned(), object::labels(ns)));
    Cluster {
        pods: pods.known.values().cloned().chain([dns()]).collect(),
        namespaces: namespaces.collect(),
        policies: view.all(&NETWORK_POLICIES).map(|policy| Policy::of(policy)).collect(),
    }
}

/// DNS, as policies are to see it.
fn dns() -> Pod {
    let port = |name: &str, protocol| NamedPort { name: name.to_owned(), protocol, number: DNS_PORT };
    Pod {
        namespace: "kube-system".into(),
        name: "kube-dns".into(),
        labels: BTreeMap::from([("k8s-app".into(), "kube-dns".into())]),
        address: DNS_SERVER,
        node: None,
        ports: vec![port("dns", Protocol::Udp), port("dns-tcp", Protocol::Tcp)],
    }
}

/// The attached pods, by uid. One whose object is gone keeps its identity until it is detached: its processes may still
/// run.
#[derive(Default)]
struct Pods {
    known: BTreeMap<String, Pod>,
}

impl Pods {
    /// Where each pod is, by namespace and name.
    fn addresses(&self) -> PodAddresses {
        let mut all = PodAddresses::new();
        for pod in self.known.values() {
            all.entry((pod.namespace.clone(), pod.name.clone())).or_default().push(pod.address);
        }
        all
    }

    fn update(&mut self, attached: Vec<(String, Ipv4Addr)>, view: &View) {
        let objects: HashMap<&str, &Object> = view.all(&PODS).map(|pod| (object::uid(pod), pod)).collect();
        let mut known = BTreeMap::new();
        for (uid, address) in attached {
            let node = NodeIndex::of_pod(address).map(NodeIndex::address);
            let now = objects.get(uid.as_str()).map(|pod| Pod::of(pod, address, node));
            if let Some(pod) = now.or_else(|| self.known.remove(&uid)) {
                known.insert(uid, pod);
            }
        }
        self.known = known;
    }
}

/// Which pods the rules in force were made for.
pub(crate) struct Coverage {
    /// Counts the changes of which pods there are.
    membership: watch::Sender<u64>,
    rules: watch::Sender<InForce>,
}

#[derive(Clone, Copy, Default)]
struct InForce {
    /// Somebody keeps the rules up to date.
    enforced: bool,
    membership: u64,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { membership: watch::Sender::new(0), rules: watch::Sender::new(InForce::default()) }
    }
}

impl Coverage {
    /// Pods came or went: the rules are to follow. Returns the count that includes this.
    pub fn outdate(&self) -> u64 {
        let mut now = 0;
        self.membership.send_modify(|count| {
            *count += 1;
            now = *count;
        });
        now
    }

    /// Waits until the rules in force are for all pods that are there now. Does not wait where nobody enforces any.
    pub async fn await_current(&self) -> Result<()> {
        let wanted = self.outdate();
        let mut rules = self.rules.subscribe();
        let covered = rules.wait_for(|rules| !rules.enforced || rules.membership >= wanted);
        match timeout(COVERED_WITHIN, covered).await {
            Ok(_) => Ok(()),
            Err(late) => Err(std::io::Error::from(late)).doing(|| "put a pod under the rules of network policies"),
        }
    }

    fn membership(&self) -> watch::Receiver<u64> {
        self.membership.subscribe()
    }

    fn covered(&self, membership: u64) {
        self.rules.send_modify(|rules| rules.membership = membership);
    }

    /// Says that rules are kept up to date, until the guard is dropped.
    fn enforce(&self) -> Enforcing<'_> {
        self.rules.send_modify(|rules| rules.enforced = true);
        Enforcing(self)
    }
}

struct Enforcing<'a>(&'a Coverage);

impl Drop for Enforcing<'_> {
    fn drop(&mut self) {
        self.0.rules.send_modify(|rules| rules.enforced = false);
    }
}
