//! The cluster's namespace, and the attachment of pods to it.
//!
//! A pod's end of its veth pair is `eth0` with a `/32` address and a default route to [`POD_GATEWAY`]; the cluster's
//! end has a `/32` route to the pod with the node's address as source, so that a node's probes come from the node.
//! Link addresses are fixed and entered as permanent neighbours: no ARP, no waiting for it.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use embedded_apimachinery::Api;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::address::{
    CONTROL_PLANE, DNS_SERVER, GATEWAY_MAC, METADATA, NodeIndex, OUTSIDE, POD_GATEWAY, SERVICE_NETWORK, SERVICE_PREFIX,
    pod_mac,
};
use crate::error::{Doing, Error, Result};
use crate::faults::{Counters, Fault, Faults};
use crate::ipam::Pool;
use crate::netlink::{LOOPBACK, RouteSocket, VethEnd};
use crate::netns::{self, NetNs};
use crate::policies::{self, Coverage};
use crate::{dns, outside, services};

/// The name of the cluster namespace's file; pods' files are named by their uid.
const CLUSTER_FILE: &str = "cluster";

/// The kernel picks interface indices from 1 upwards; ours start here and follow from the pod's address.
const FIRST_VETH_INDEX: u32 = 0x1_0000;

/// The kernel takes a wish for one end's index only together with one for the other's. They differ, as indices of
/// paired interfaces usually do.
const INSIDE_OFFSET: u32 = 0x1_0000;

/// A pod's place in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodAttachment {
    /// The file of the pod's network namespace.
    pub netns: PathBuf,
    pub address: Ipv4Addr,
}

/// The network of one cluster. Cheap to clone.
#[derive(Clone)]
pub struct ClusterNetwork {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    namespace: NetNs,
    socket: Mutex<RouteSocket>,
    state: Mutex<State>,
    coverage: Coverage,
    faults: Faults,
}

#[derive(Default)]
struct State {
    pools: HashMap<NodeIndex, Pool>,
    /// Pods by uid.
    pods: HashMap<String, (PodAttachment, NetNs)>,
}

impl ClusterNetwork {
    /// Makes the cluster's namespace. Its file, and those of pods, are mounted below `directory`, which must be there.
    pub async fn create(directory: &Path) -> Result<Self> {
        let path = directory.join(CLUSTER_FILE);
        let (namespace, socket) = blocking(move || NetNs::create(&path, set_up_cluster)).await?;
        let network = Self {
            shared: Arc::new(Shared {
                directory: directory.to_owned(),
                namespace,
                socket: Mutex::new(socket),
                state: Mutex::default(),
                coverage: Coverage::default(),
                faults: Faults::default(),
            }),
        };
        if let Err(error) = network.first_rules().await {
            // The first error is the one to report; the sweep finds what this leaves.
            let _ = network.destroy().await;
            return Err(error);
        }
        Ok(network)
    }

    async fn first_rules(&self) -> Result<()> {
        services::apply(self.namespace(), services::nft::render(&[])).await?;
        policies::close(self.namespace()).await
    }

    /// The namespace that holds the nodes and the control plane: also that of pods with `hostNetwork`.
    pub fn namespace(&self) -> &NetNs {
        &self.shared.namespace
    }

    /// Gives a node its address. Again is no error.
    pub async fn add_node(&self, node: NodeIndex) -> Result<()> {
        let shared = self.shared.clone();
        blocking(move || shared.socket.lock().add_address(LOOPBACK, node.address())).await?;
        self.shared.state.lock().pools.entry(node).or_insert_with(|| Pool::new(node));
        Ok(())
    }

    /// Makes a pod's namespace on a node, with an address nobody else has. A pod that is attached keeps its place.
    ///
    /// While policies are enforced, they are for this pod when this returns.
    pub async fn attach(&self, pod: &str, node: NodeIndex) -> Result<PodAttachment> {
        if let Some(attachment) = self.attachment(pod) {
            return Ok(attachment);
        }
        let address = {
            let mut state = self.shared.state.lock();
            let pool = state.pools.entry(node).or_insert_with(|| Pool::new(node));
            let full = || std::io::Error::other(format!("node {} has no free address", node.get()));
            pool.take().ok_or_else(full).doing(|| format!("attach pod {pod} to the network"))?
        };
        let shared = self.shared.clone();
        let netns = shared.directory.join(pod);
        let attachment = PodAttachment { netns, address };
        let wanted = attachment.clone();
        match blocking(move || shared.set_up_pod(&wanted, node)).await {
            Ok(namespace) => {
                self.shared.state.lock().pods.insert(pod.to_owned(), (attachment.clone(), namespace));
                if let Err(error) = self.shared.coverage.await_current().await {
                    // The first error is the one to report; the sweep finds what this leaves.
                    let _ = self.detach(pod).await;
                    return Err(error);
                }
                Ok(attachment)
            }
            Err(error) => {
                self.release(address);
                Err(error)
            }
        }
    }

    /// Takes a pod off the network and gives its address back. A pod that is not attached is no error.
    ///
    /// The pod's namespace and its veth pair vanish with its last process. Removing the pair here would only make
    /// every other change of the network wait for the kernel.
    pub async fn detach(&self, pod: &str) -> Result<()> {
        let Some((attachment, namespace)) = self.shared.state.lock().pods.remove(pod) else { return Ok(()) };
        drop(namespace);
        let address = attachment.address;
        self.shared.coverage.outdate();
        let shared = self.shared.clone();
        let done = blocking(move || {
            let index = veth_index(attachment.address);
            let unrouted = shared.socket.lock().delete_link_route((attachment.address, 32), index);
            netns::remove(&attachment.netns).and(unrouted)
        });
        let done = done.await;
        self.release(address);
        done
    }

    /// Where a pod is attached.
    pub fn attachment(&self, pod: &str) -> Option<PodAttachment> {
        Some(self.shared.state.lock().pods.get(pod)?.0.clone())
    }

    /// Every pod's uid and address.
    pub(crate) fn attached(&self) -> Vec<(String, Ipv4Addr)> {
        self.shared.state.lock().pods.iter().map(|(uid, (attached, _))| (uid.clone(), attached.address)).collect()
    }

    /// Puts a fault into the network, under a name of the caller's; again with the same name replaces it.
    ///
    /// Pods are known here while [`ClusterNetwork::run`] runs. A fault follows a pod that comes back with another
    /// address.
    pub async fn disturb(&self, name: &str, fault: Fault) -> Result<()> {
        self.faults().put(self.namespace(), name, fault).await
    }

    /// Takes a fault away. One that is not there is no error.
    pub async fn restore(&self, name: &str) -> Result<()> {
        self.faults().remove(self.namespace(), name).await
    }

    /// What a fault has done so far.
    pub async fn counters(&self, name: &str) -> Result<Counters> {
        self.faults().counters(self.namespace(), name).await
    }

    /// The rules by which traffic is passed on just now: Services, policies, faults.
    pub async fn rules(&self) -> Result<String> {
        crate::nft::rules(self.namespace()).await
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    pub(crate) fn coverage(&self) -> &Coverage {
        &self.shared.coverage
    }

    /// A connection from the node's side, as the kubelet's probes make them. The caller sets the deadline.
    pub async fn connect(&self, to: SocketAddr) -> Result<TcpStream> {
        self.namespace().connect(to).await
    }

    /// A listener in the cluster's namespace.
    pub async fn listen(&self, at: SocketAddr) -> Result<TcpListener> {
        self.namespace().listen(at).await
    }

    /// A connection from inside a pod. The caller sets the deadline.
    pub async fn connect_from(&self, pod: &str, to: SocketAddr) -> Result<TcpStream> {
        let namespace = self.shared.state.lock().pods.get(pod).map(|(_, namespace)| namespace.clone());
        let unknown = || std::io::Error::other("the pod is not attached to the network");
        namespace.ok_or_else(unknown).doing(|| format!("connect from pod {pod} to {to}"))?.connect(to).await
    }

    /// Keeps the rules of Services and policies up to date, answers DNS queries and plays the hosts outside, until
    /// `shutdown`. Returns early only when one of its sockets cannot be served.
    pub async fn run(&self, api: Arc<dyn Api>, shutdown: CancellationToken) -> Result<()> {
        let at = SocketAddr::from((DNS_SERVER, dns::server::PORT));
        let dns = dns::serve(api.clone(), self.namespace(), at, shutdown.clone()).await?;
        let outside = outside::serve(self.namespace(), shutdown.clone()).await?;
        let services = services::run(api.clone(), self.namespace().clone(), shutdown.clone());
        let policies = policies::run(api, self.clone(), shutdown);
        let (served, (), (), ()) = tokio::join!(dns, outside, services, policies);
        served
    }

    /// Unmounts every namespace of this cluster; goes on after errors and returns them all.
    ///
    /// Interfaces, routes and rules go with the namespaces, once no process is left in them.
    pub async fn destroy(self) -> Vec<Error> {
        self.shared.state.lock().pods.clear();
        let directory = self.shared.directory.clone();
        blocking(move || Ok(crate::sweep::sweep(&directory))).await.unwrap_or_else(|error| vec![error])
    }

    fn release(&self, address: Ipv4Addr) {
        if let Some(node) = NodeIndex::of_pod(address)
            && let Some(pool) = self.shared.state.lock().pools.get_mut(&node)
        {
            pool.release(address);
        }
    }
}

impl Shared {
    fn set_up_pod(&self, pod: &PodAttachment, node: NodeIndex) -> Result<NetNs> {
        let index = veth_index(pod.address);
        let cluster = self.namespace.file();
        let (namespace, ()) = NetNs::create(&pod.netns, || {
            sysctl(POD_SYSCTLS)?;
            let mut socket = RouteSocket::open()?;
            socket.set_up(LOOPBACK)?;
            let eth0 = index + INSIDE_OFFSET;
            let inside = VethEnd { name: "eth0", index: eth0, mac: pod_mac(pod.address) };
            let outside = VethEnd { name: &veth_name(pod.address), index, mac: GATEWAY_MAC };
            socket.add_veth(&inside, &outside, cluster.as_fd())?;
            socket.add_address(eth0, pod.address)?;
            socket.add_neighbour(eth0, POD_GATEWAY, GATEWAY_MAC)?;
            socket.add_default_route(POD_GATEWAY, eth0)
        })?;
        let mut socket = self.socket.lock();
        let reachable = socket
            .set_up(index)
            .and_then(|()| socket.add_neighbour(index, pod.address, pod_mac(pod.address)))
            .and_then(|()| socket.add_link_route((pod.address, 32), index, node.address()));
        if let Err(error) = reachable {
            // The first error is the one to report; the sweep finds what this leaves.
            let _ = netns::remove(&pod.netns);
            return Err(error);
        }
        Ok(namespace)
    }
}

/// `ip_forward` first: writing it resets some of the others.
const CLUSTER_SYSCTLS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    // Services send packets back the way they came; that is no reason to tell anyone.
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/default/disable_ipv6", "1"),
];

/// As containerd sets them: any user may bind any port and ping. The loopback interface keeps `::1`.
const POD_SYSCTLS: &[(&str, &str)] = &[
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
    ("ipv6/conf/default/disable_ipv6", "1"),
];

/// Sets up the namespace of the calling thread as a cluster's.
fn set_up_cluster() -> Result<RouteSocket> {
    sysctl(CLUSTER_SYSCTLS)?;
    let mut socket = RouteSocket::open()?;
    socket.set_up(LOOPBACK)?;
    for address in [CONTROL_PLANE, DNS_SERVER, OUTSIDE, METADATA] {
        socket.add_address(LOOPBACK, address)?;
    }
    // Without a route, local packets to Services would be refused before they reach the rules that redirect them.
    socket.add_link_route((SERVICE_NETWORK, SERVICE_PREFIX), LOOPBACK, CONTROL_PLANE)?;
    Ok(socket)
}

/// Sets `net` kernel parameters of the calling thread's namespace. What the kernel was built without is skipped.
fn sysctl(settings: &[(&str, &str)]) -> Result<()> {
    for (name, value) in settings {
        let path = format!("/proc/sys/net/{name}");
        match fs::write(&path, value) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            written => written.doing(|| format!("write {value:?} to {path}"))?,
        }
    }
    Ok(())
}

fn veth_name(pod: Ipv4Addr) -> String {
    let [_, _, node, host] = pod.octets();
    format!("pod{node}-{host}")
}

fn veth_index(pod: Ipv4Addr) -> u32 {
    let [_, _, node, host] = pod.octets();
    FIRST_VETH_INDEX + u32::from(u16::from_be_bytes([node, host]))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(std::io::Error::other).doing(|| "finish network work")?
}
