//! The embedded Kubernetes as a provider.

use super::machines::Machines;
use super::{Cluster, Provider, Wanted};
use crate::access::Access;
use crate::images::{self, AGENT_IMAGE, PROGRAM, without_tag};
use crate::traffic::{Counters, Dialled, OutsideHost, TrafficFault};
use async_trait::async_trait;
use gauntlet_core::contract::workload::{Image, ImageSource};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Capability, Trouble};
use gauntlet_embedded::{ClusterInfo, ClusterStatus, Config, Error, Handle, ImageRecipe, RecipeFile, admin};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;

/// Programs that launch such clusters call it first thing in `main`.
pub use gauntlet_embedded::dispatch;

/// How long a cluster may take until its API answers. It takes about a second; a loaded machine takes longer.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a cluster may take to end: its pods are killed, not asked.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// A request to a node concerns processes of this machine; it is done at once or not at all.
const NODE_REPLIES_WITHIN: Duration = Duration::from_secs(30);

/// The node that nothing disturbs, as the embedded cluster names it.
const QUIET_NODE: &str = "control-plane";

/// Clusters of the embedded Kubernetes.
#[derive(Debug, Clone)]
pub struct Embedded {
    pub state_dir: PathBuf,
}

impl Default for Embedded {
    fn default() -> Self {
        Self { state_dir: gauntlet_embedded::default_state_dir() }
    }
}

#[async_trait]
impl Provider for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn adapt(&self, objects: Vec<Value>, images: &[Image]) -> Vec<Value> {
        images::listening(objects, images)
    }

    async fn check(&self) -> Result<(), Trouble> {
        let config = Config { state_dir: self.state_dir.clone(), ..Config::new("check", 1) };
        gauntlet_embedded::preflight::check(&config).map_err(trouble)
    }

    async fn launch(&self, wanted: Wanted) -> Result<Box<dyn Cluster>, Trouble> {
        let program =
            std::env::current_exe().map_err(|error| Trouble::harness(format!("cannot find this program: {error}")))?;
        let mut config = Config::new(&wanted.id, wanted.workers).with_control_plane();
        config.state_dir.clone_from(&self.state_dir);
        config.detached = wanted.detached;
        config.port = wanted.port;
        config.images = recipes(&wanted.images, &program)?;
        gauntlet_embedded::preflight::check(&config).map_err(trouble)?;
        let handle = gauntlet_embedded::launch(config, READY_WITHIN).await.map_err(trouble)?;
        let info = handle.info().clone();
        let access = match Access::from_kubeconfig(&info.kubeconfig).await {
            Ok(access) => access,
            Err(trouble) => {
                self.discard(&wanted.id).await?;
                return Err(trouble);
            }
        };
        Ok(Box::new(Running { handle: Mutex::new(Some(handle)), ..self.running(info, access) }))
    }

    fn ids(&self) -> Result<Vec<String>, Trouble> {
        Ok(self.list()?.into_iter().map(|cluster| cluster.id).collect())
    }

    async fn find(&self, id: &str) -> Result<Option<Box<dyn Cluster>>, Trouble> {
        let clusters = gauntlet_embedded::list(&self.state_dir).map_err(trouble)?;
        let found = clusters.into_iter().find(|cluster| cluster.id == id).map(|cluster| cluster.status);
        match found {
            Some(ClusterStatus::Running(Some(info))) => {
                let access = Access::from_kubeconfig(&info.kubeconfig).await?;
                Ok(Some(Box::new(self.running(info, access))))
            }
            Some(ClusterStatus::Running(None)) => {
                Err(Trouble::harness(format!("cluster {id} is only starting")).hint("try again in a moment"))
            }
            Some(ClusterStatus::Dead) | None => Ok(None),
        }
    }

    async fn discard(&self, id: &str) -> Result<(), Trouble> {
        match gauntlet_embedded::stop(&self.state_dir, id, ENDED_WITHIN).await {
            Ok(()) | Err(Error::Unknown { .. }) => Ok(()),
            Err(error) => Err(trouble(error)),
        }
    }
}

/// A cluster as `gauntlet cluster list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    pub state: String,
}

impl Embedded {
    /// All clusters on this machine.
    ///
    /// # Errors
    /// The state directory cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Trouble> {
        let clusters = gauntlet_embedded::list(&self.state_dir).map_err(trouble)?;
        let state = |status: ClusterStatus| match status {
            ClusterStatus::Running(Some(info)) => format!("running  KUBECONFIG={}", info.kubeconfig.display()),
            ClusterStatus::Running(None) => "starting".to_owned(),
            ClusterStatus::Dead => "dead     remove what is left with `gauntlet clean`".to_owned(),
        };
        Ok(clusters.into_iter().map(|cluster| Listed { id: cluster.id, state: state(cluster.status) }).collect())
    }

    /// Removes what dead clusters left; goes on whatever fails. Their ids, and what could not be removed.
    pub fn clean_dead(&self) -> (Vec<String>, Vec<Trouble>) {
        let (cleaned, errors) = gauntlet_embedded::clean_dead(&self.state_dir);
        (cleaned, errors.into_iter().map(trouble).collect())
    }

    fn running(&self, info: ClusterInfo, access: Access) -> Running {
        let workers = info.nodes.iter().filter(|node| *node != QUIET_NODE).cloned().collect();
        let outside = info.outside.iter().map(outside_host).collect();
        Running { info, access, workers, outside, handle: Mutex::new(None), state_dir: self.state_dir.clone() }
    }
}

/// Recipes for the system's images and for the tools that our own images are.
fn recipes(images: &[Image], program: &Path) -> Result<Vec<ImageRecipe>, Trouble> {
    let agent = |name: &str, command: &[&str]| ImageRecipe {
        images: vec![format!("{name}:*")],
        entrypoint: std::iter::once(PROGRAM)
            .chain(["agent"])
            .chain(command.iter().copied())
            .map(str::to_owned)
            .collect(),
        user: "65532:65532".to_owned(),
        files: vec![RecipeFile { host: program.to_owned(), container: PROGRAM.into() }],
        ..ImageRecipe::default()
    };
    let mut recipes = vec![
        agent(without_tag(AGENT_IMAGE), &[]),
        agent("oliver006/redis_exporter", &["redis-exporter"]),
        // Its scripts call `nats`: this program, which knows itself by that name. It has a folder of its own, since no
        // file can be put among the host's, which are mounted read-only.
        ImageRecipe {
            entrypoint: vec![],
            cmd: vec!["sh".to_owned()],
            env: vec![("PATH".to_owned(), "/nats-box:/usr/local/bin:/usr/bin:/bin".to_owned())],
            files: vec![RecipeFile { host: program.to_owned(), container: "/nats-box/nats".into() }],
            ..agent("natsio/nats-box", &[])
        },
    ];
    for image in images {
        match &image.runs {
            ImageSource::Standin(standin) => recipes.push(agent(&image.name.value, &["standin", standin])),
            ImageSource::Listener(ports) => {
                let words = images::listener(ports);
                recipes.push(agent(&image.name.value, &words.iter().map(String::as_str).collect::<Vec<&str>>()));
            }
            ImageSource::Image(real) => {
                return Err(Trouble::input(format!(
                    "the contract wants the image {real} for {}, which the embedded cluster cannot pull",
                    image.name.value
                ))
                .hint("name a stand-in, or use a cluster that pulls images"));
            }
        }
    }
    Ok(recipes)
}

/// Its remedy becomes a hint; a machine that cannot run a cluster is bad input.
fn trouble(error: Error) -> Trouble {
    let remedy = error.remedy();
    let message = error.to_string();
    let trouble = match error {
        Error::NotRoot
        | Error::MissingProgram { .. }
        | Error::StateDir { .. }
        | Error::Port { .. }
        | Error::InvalidConfig { .. }
        | Error::Unknown { .. }
        | Error::Running { .. } => Trouble::input(message),
        _ => Trouble::harness(message),
    };
    remedy.into_iter().fold(trouble, Trouble::hint)
}

/// A running embedded cluster.
struct Running {
    info: ClusterInfo,
    access: Access,
    workers: Vec<String>,
    outside: Vec<OutsideHost>,
    /// There when this process launched it.
    handle: Mutex<Option<Handle>>,
    state_dir: PathBuf,
}

fn outside_host(host: &gauntlet_embedded::OutsideHost) -> OutsideHost {
    OutsideHost {
        name: host.name.clone(),
        address: IpAddr::V4(host.address),
        tcp: host.tcp.clone(),
        udp: host.udp.clone(),
    }
}

impl Running {
    async fn container(&self, op: &str, namespace: &str, pod: &str, container: &str) -> Result<(), Trouble> {
        let request = json!({"op": op, "namespace": namespace, "pod": pod, "container": container});
        self.ask(format!("cannot {op} {namespace}/{pod} {container}"), &request).await.map(drop)
    }

    async fn node(&self, op: &str, node: &str) -> Result<(), Trouble> {
        self.ask(format!("cannot {op} {node}"), &json!({"op": op, "node": node})).await.map(drop)
    }

    async fn ask(&self, doing: String, request: &Value) -> Result<Value, Trouble> {
        match tokio::time::timeout(NODE_REPLIES_WITHIN, admin::request(&self.info.admin_socket, request)).await {
            Ok(reply) => reply.map_err(|error| trouble(error).doing(doing)),
            Err(_) => Err(Trouble::harness(format!("{doing}: the cluster does not answer"))),
        }
    }
}

#[async_trait]
impl Machines for Running {
    async fn stop(&self, node: &str) -> Result<(), Trouble> {
        self.node("stop-node", node).await
    }

    async fn freeze(&self, node: &str) -> Result<(), Trouble> {
        self.node("freeze-node", node).await
    }

    async fn bring_back(&self, node: &str) -> Result<(), Trouble> {
        self.node("return-node", node).await
    }
}

#[async_trait]
impl Cluster for Running {
    fn id(&self) -> &str {
        &self.info.id
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        use Capability::{DrainNodes, EnforcePolicies, EnterPods, HoldContainer, RestoreData, ShapeNetwork, StopNode};
        BTreeSet::from([HoldContainer, StopNode, DrainNodes, ShapeNetwork, EnforcePolicies, EnterPods, RestoreData])
    }

    fn workers(&self) -> &[String] {
        &self.workers
    }

    fn quiet_node(&self) -> Option<&str> {
        self.info.nodes.iter().find(|node| *node == QUIET_NODE).map(String::as_str)
    }

    async fn hold_container(&self, namespace: &str, pod: &str, container: &str) -> Result<(), Trouble> {
        self.container("hold-container", namespace, pod, container).await
    }

    async fn release_container(&self, namespace: &str, pod: &str, container: &str) -> Result<(), Trouble> {
        self.container("release-container", namespace, pod, container).await
    }

    fn machines(&self) -> Result<&dyn Machines, Trouble> {
        Ok(self)
    }

    fn outside_hosts(&self) -> &[OutsideHost] {
        &self.outside
    }

    async fn disturb_traffic(&self, id: &str, fault: &TrafficFault) -> Result<(), Trouble> {
        let doing = || format!("cannot {fault}");
        let mut request = serde_json::to_value(fault).or_trouble(doing)?;
        request["op"] = "disturb-network".into();
        request["id"] = id.into();
        self.ask(doing(), &request).await.map(drop)
    }

    async fn restore_traffic(&self, id: &str) -> Result<(), Trouble> {
        self.ask(format!("cannot restore traffic ({id})"), &json!({"op": "restore-network", "id": id})).await.map(drop)
    }

    async fn traffic_counters(&self, id: &str) -> Result<Counters, Trouble> {
        let doing = || format!("cannot read the counters of fault {id}");
        let mut reply = self.ask(doing(), &json!({"op": "network-counters", "id": id})).await?;
        serde_json::from_value(reply["counters"].take()).or_trouble(doing)
    }

    async fn dial(&self, namespace: &str, pod: &str, to: SocketAddr, within: Duration) -> Result<Dialled, Trouble> {
        let doing = || format!("cannot dial {to} from {namespace}/{pod}");
        let request = json!({"op": "dial", "namespace": namespace, "pod": pod, "to": to,
            "within-ms": u64::try_from(within.as_millis()).unwrap_or(u64::MAX)});
        let mut reply = self.ask(doing(), &request).await?;
        serde_json::from_value(reply["dialled"].take()).or_trouble(doing)
    }

    async fn log(&self) -> Option<String> {
        let paths = gauntlet_embedded::config::Paths::new(&self.state_dir, &self.info.id);
        tokio::fs::read_to_string(paths.log()).await.ok()
    }

    async fn network_rules(&self) -> Result<Option<String>, Trouble> {
        let doing = || "cannot read the rules of the cluster's network".to_owned();
        let reply = self.ask(doing(), &json!({"op": "network-rules"})).await?;
        Ok(reply["rules"].as_str().map(str::to_owned))
    }

    async fn shutdown(&self) -> Result<(), Trouble> {
        let launched = self.handle.lock().await.take();
        let stopped = match launched {
            Some(handle) => handle.stop(ENDED_WITHIN).await,
            None => gauntlet_embedded::stop(&self.state_dir, &self.info.id, ENDED_WITHIN).await,
        };
        match stopped {
            Ok(()) | Err(Error::Unknown { .. }) => Ok(()),
            Err(error) => Err(trouble(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(runs: &str) -> Vec<Image> {
        let text = include_str!("../../../../scenarios/systems/cordum/system.yaml").replacen(
            "runs: {standin: gateway}",
            &format!("runs: {runs}"),
            1,
        );
        gauntlet_core::Contract::parse("c", &text).unwrap().images
    }

    #[test]
    fn a_stand_in_runs_this_program() {
        let recipes = recipes(&images("{standin: gateway}"), Path::new("/p")).unwrap();
        let gateway = recipes.iter().find(|r| r.images == ["cordum-api-gateway:*"]).unwrap();
        assert_eq!(gateway.entrypoint, ["/gauntlet", "agent", "standin", "gateway"]);
        assert_eq!(gateway.files, [RecipeFile { host: "/p".into(), container: "/gauntlet".into() }]);
    }

    #[test]
    fn an_image_that_would_have_to_be_pulled_is_bad_input() {
        let trouble = recipes(&images("{image: example.com/gateway:v1}"), Path::new("/p")).unwrap_err();
        assert!(trouble.message.contains("example.com/gateway:v1"), "{trouble}");
    }

    #[test]
    fn a_machine_that_cannot_run_a_cluster_is_told_what_to_do() {
        let trouble = trouble(Error::MissingProgram { program: "nft".into(), package: "nftables".into() });
        assert_eq!(trouble.exit_code(), gauntlet_core::ExitCode::BadInput);
        assert_eq!(trouble.hints, ["apt-get install nftables"]);
    }
}
