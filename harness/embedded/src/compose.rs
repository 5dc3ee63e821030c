//! The parts of a cluster, put together.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use embedded_apimachinery::{Api, Store, timestamp};
use embedded_apiserver::{ApiServer, Options, Pki, Server};
use embedded_controllers::platform;
use embedded_network::address::{CONTROL_PLANE, KUBERNETES_SERVICE};
use embedded_network::outside::{HOSTS, Host};
use embedded_network::{ClusterNetwork, NodeIndex};
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::bootstrap;
use crate::config::Config;
use crate::error::{Doing, Error, Result};
use crate::network_faults::NamedNetwork;
use crate::nodes::Nodes;
use crate::state::{ClusterInfo, OutsideHost, write_private};

/// The API server's port inside the cluster.
const API_PORT: u16 = 6443;

/// Names under which pods reach the API server.
const API_NAMES: [&str; 5] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

const ADMINISTRATOR: &str = "kubernetes-admin";
const ADMINISTRATORS: &str = "system:masters";

/// A cluster whose parts run.
pub(crate) struct Cluster {
    info: ClusterInfo,
    tasks: JoinSet<(&'static str, Result<()>)>,
}

/// Starts everything. The API answers when this returns.
pub(crate) async fn start(config: &Config, host_pid: i32, shutdown: CancellationToken) -> Result<Cluster> {
    let paths = config.paths();
    for directory in [paths.network(), paths.nodes(), paths.volumes()] {
        fs::create_dir_all(&directory).doing(|| format!("create {}", directory.display()))?;
    }
    let outside = listen(config.port)?;
    let port = outside.local_addr().doing(|| "read the API server's port")?.port();
    let network = make_network(config, &paths.network()).await?;
    let inside = network.listen(SocketAddr::from((CONTROL_PLANE, API_PORT))).await;
    let inside = inside.doing(|| "listen for pods' requests to the API server")?;
    let inside = inside.into_std().doing(|| "listen for pods' requests to the API server")?;

    let pki = Pki::generate(&config.id).doing(|| "make the cluster's certificates")?;
    let addresses = [Ipv4Addr::LOCALHOST, KUBERNETES_SERVICE, CONTROL_PLANE].map(IpAddr::V4);
    let tls = pki.server_config(&API_NAMES, &addresses).doing(|| "make the API server's certificate")?;
    let server_url = format!("https://127.0.0.1:{port}");
    write_kubeconfig(config, &pki, &server_url)?;

    let api = ApiServer::new(Arc::new(Store::default()), Options::default());
    bootstrap::run(api.as_ref(), API_PORT).doing(|| "create the cluster's first objects")?;
    let nodes = Nodes::new(config, api.clone(), network.clone())?;
    let server = Arc::new(Server { api: api.clone(), kubelet: nodes.kubelet(), shutdown: shutdown.clone() });

    let info = ClusterInfo {
        id: config.id.clone(),
        server: server_url,
        kubeconfig: paths.kubeconfig(),
        admin_socket: paths.admin_socket(),
        nodes: config.nodes.iter().map(|node| node.name.clone()).collect(),
        pid: host_pid,
        ready_at: timestamp::now(),
        outside: HOSTS.iter().map(outside_host).collect(),
    };
    let socket = UnixListener::bind(paths.admin_socket()).doing(|| "listen on the admin socket")?;
    let dyn_api: Arc<dyn Api> = api;
    let faults = Arc::new(NamedNetwork::new(config, dyn_api.clone(), network.clone()));
    let platform = platform::Config {
        ca_certificate: pki.ca_pem().to_owned(),
        volumes_root: paths.volumes(),
        node_grace: config.node_grace(),
        ..platform::Config::default()
    };

    let mut parts = Parts { tasks: JoinSet::new() };
    parts.add("API server", embedded_apiserver::serve(server, vec![outside, inside], tls));
    parts.add("network", {
        let (api, shutdown) = (dyn_api.clone(), shutdown.clone());
        async move { network.run(api, shutdown).await }
    });
    parts.add("controllers", always_ok(embedded_controllers::run(dyn_api.clone(), platform, shutdown.clone())));
    parts.add("scheduler", always_ok(embedded_scheduler::run(dyn_api, shutdown.clone())));
    let admin = admin::serve(socket, info.clone(), nodes.faults(), faults, shutdown.clone());
    parts.add("admin socket", always_ok(admin));
    parts.add("nodes", nodes.run(shutdown));
    Ok(Cluster { info, tasks: parts.tasks })
}

impl Cluster {
    pub fn info(&self) -> &ClusterInfo {
        &self.info
    }

    /// Runs until `shutdown`, or until a part fails.
    pub async fn run_until(mut self, shutdown: CancellationToken) -> Result<()> {
        loop {
            let ended = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(ended) = self.tasks.join_next() => ended,
            };
            let (part, result) = ended.doing(|| "run a part of the cluster")?;
            result?;
            if !shutdown.is_cancelled() {
                return Err(Error::failed(format!("run the {part}"), "it ended by itself"));
            }
        }
    }
}

struct Parts {
    tasks: JoinSet<(&'static str, Result<()>)>,
}

impl Parts {
    fn add<E: ToString>(&mut self, name: &'static str, part: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.tasks.spawn(async move { (name, part.await.doing(|| format!("run the {name}"))) });
    }
}

async fn always_ok(part: impl Future<Output = ()>) -> Result<()> {
    part.await;
    Ok(())
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| Error::Port { port, reason: error.to_string() })
}

async fn make_network(config: &Config, directory: &Path) -> Result<ClusterNetwork> {
    let network = ClusterNetwork::create(directory).await.doing(|| "make the cluster's network")?;
    for index in (1..).map_while(NodeIndex::new).take(config.nodes.len()) {
        network.add_node(index).await.doing(|| "give a node its address")?;
    }
    Ok(network)
}

fn outside_host(host: &Host) -> OutsideHost {
    OutsideHost { name: host.name.to_owned(), address: host.address, tcp: host.tcp.to_vec(), udp: host.udp.to_vec() }
}

fn write_kubeconfig(config: &Config, pki: &Pki, server: &str) -> Result<()> {
    let administrator =
        pki.client(ADMINISTRATOR, &[ADMINISTRATORS]).doing(|| "make the administrator's certificate")?;
    let text = pki.kubeconfig(&config.id, server, ADMINISTRATOR, &administrator);
    write_private(&config.paths().kubeconfig(), &text)
}
