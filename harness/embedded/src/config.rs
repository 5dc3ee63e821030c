//! What kind of cluster is wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use embedded_network::NodeIndex;
use embedded_node::image::ImageRecipe;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Names the directory that holds the state of all clusters.
pub const STATE_DIR_VARIABLE: &str = "GAUNTLET_STATE_DIR";

/// The cgroup that holds one cgroup per cluster, in every hierarchy.
const CGROUP_PARENT: &str = "gauntlet";

const DEFAULT_STATE_DIR: &str = "/var/lib/gauntlet";

/// Shorter than this, a busy machine would lose nodes that are well. In seconds.
const SHORTEST_NODE_GRACE: u32 = 4;

/// Ids become names of directories and cgroups, and parts of socket paths, which are short.
const ID_LIMIT: usize = 40;

/// An embedded cluster to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Unique on the machine: lower-case letters, digits and dashes.
    pub id: String,
    /// The directory of all clusters' state; this one's is `clusters/<id>` below it.
    pub state_dir: PathBuf,
    pub nodes: Vec<NodeConfig>,
    /// The port of the API server on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// Whether the cluster outlives the process that launched it.
    pub detached: bool,
    /// After how many seconds of silence a node counts as lost; its heartbeats come five times as often.
    #[serde(default = "default_node_grace")]
    pub node_grace_seconds: u32,
    /// What image names stand for besides the built-in ones, and before them.
    #[serde(default)]
    pub images: Vec<ImageRecipe>,
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    pub name: String,
    /// Tainted `node-role.kubernetes.io/control-plane:NoSchedule`: only pods that tolerate it come here.
    pub control_plane: bool,
    pub capacity: Capacity,
}

/// What a node claims to have, as Kubernetes quantities.
///
/// Nodes share the machine, so this is what the scheduler reckons with, not what there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    pub cpu: String,
    pub memory: String,
    pub ephemeral_storage: String,
    pub pods: u16,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { cpu: "8".into(), memory: "16Gi".into(), ephemeral_storage: "100Gi".into(), pods: 110 }
    }
}

impl Config {
    /// A cluster of plain nodes, `node-1` and so on, on a port that the system chooses, which ends with its launcher.
    pub fn new(id: impl Into<String>, workers: u8) -> Self {
        let worker =
            |n: u8| NodeConfig { name: format!("node-{n}"), control_plane: false, capacity: Capacity::default() };
        Self {
            id: id.into(),
            state_dir: default_state_dir(),
            nodes: (1..=workers).map(worker).collect(),
            port: 0,
            detached: false,
            node_grace_seconds: default_node_grace(),
            images: Vec::new(),
        }
    }

    /// How long a node may be silent.
    pub(crate) fn node_grace(&self) -> Duration {
        Duration::from_secs(self.node_grace_seconds.into())
    }

    /// How often nodes give a sign of life.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.node_grace() / 5
    }

    /// Adds a tainted node for what must not be disturbed.
    pub fn with_control_plane(mut self) -> Self {
        let name = "control-plane".to_owned();
        self.nodes.push(NodeConfig { name, control_plane: true, capacity: Capacity::default() });
        self
    }

    /// The files of this cluster.
    pub fn paths(&self) -> Paths {
        Paths::new(&self.state_dir, &self.id)
    }

    /// Refuses what could not work.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |what: String| Err(Error::InvalidConfig { what });
        check_id(&self.id)?;
        if self.nodes.is_empty() || self.nodes.len() > usize::from(NodeIndex::MAX) {
            return invalid(format!("{} nodes wanted, 1 to {} are possible", self.nodes.len(), NodeIndex::MAX));
        }
        if self.node_grace_seconds < SHORTEST_NODE_GRACE {
            return invalid(format!("nodes count as lost after {} s, which is too soon", self.node_grace_seconds));
        }
        for (n, node) in self.nodes.iter().enumerate() {
            if !is_name(&node.name) {
                return invalid(format!("node name {:?} is not made of a-z, 0-9 and -", node.name));
            }
            if self.nodes[..n].iter().any(|other| other.name == node.name) {
                return invalid(format!("two nodes are named {:?}", node.name));
            }
        }
        Ok(())
    }
}

/// `--node-monitor-grace-period` of kube-controller-manager, since Kubernetes 1.32.
fn default_node_grace() -> u32 {
    50
}

/// Refuses an id that could not name a directory of ours.
pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    if is_name(id) && id.len() <= ID_LIMIT {
        return Ok(());
    }
    let what = format!("cluster id {id:?} is not made of 1 to {ID_LIMIT} of a-z, 0-9 and -");
    Err(Error::InvalidConfig { what })
}

fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// `GAUNTLET_STATE_DIR`, or `/var/lib/gauntlet`.
pub fn default_state_dir() -> PathBuf {
    std::env::var_os(STATE_DIR_VARIABLE).map_or_else(|| DEFAULT_STATE_DIR.into(), PathBuf::from)
}

/// Where a cluster keeps what.
#[derive(Clone, Debug)]
pub struct Paths {
    directory: PathBuf,
    cgroup: String,
}

impl Paths {
    pub fn new(given: &Path, id: &str) -> Self {
        // Mount tables show paths without links. A directory that is not there yet has none of ours mounted.
        let state_dir = fs::canonicalize(given).or_else(|_| std::path::absolute(given));
        let state_dir = state_dir.unwrap_or_else(|_| given.to_owned());
        let directory = clusters_in(&state_dir).join(id);
        let digest = Sha256::digest(directory.as_os_str().as_encoded_bytes());
        let cgroup = format!("{CGROUP_PARENT}/{id}-{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
        Self { directory, cgroup }
    }

    /// Everything of the cluster is below this.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The cgroup, in every hierarchy, that holds all of the cluster's. Different for clusters of one name in
    /// different state directories.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Held (`flock`) while the cluster lives.
    pub fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// An administrator's access to the API.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// [`crate::ClusterInfo`] as JSON, written when the cluster is ready.
    pub fn info(&self) -> PathBuf {
        self.directory.join("cluster.json")
    }

    /// The socket for node-level faults.
    pub fn admin_socket(&self) -> PathBuf {
        self.directory.join("admin.sock")
    }

    /// What the server has to say.
    pub fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// Network namespaces.
    pub fn network(&self) -> PathBuf {
        self.directory.join("network")
    }

    /// Pods, their containers and their ephemeral volumes.
    pub fn nodes(&self) -> PathBuf {
        self.directory.join("nodes")
    }

    /// Persistent volumes.
    pub fn volumes(&self) -> PathBuf {
        self.directory.join("volumes")
    }
}

/// The directory that holds one directory per cluster.
pub(crate) fn clusters_in(state_dir: &Path) -> PathBuf {
    state_dir.join("clusters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_clusters_are_refused_with_the_reason() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::new("a", 2);
            change(&mut config);
            config.check().map_err(|error| error.to_string()).err().unwrap_or_default()
        };
        assert_eq!(with(|_| {}), "");
        assert!(with(|c| c.id = "../a".into()).contains("cluster id \"../a\""));
        assert!(with(|c| c.id = "a".repeat(41)).contains("cluster id"));
        assert!(with(|c| c.node_grace_seconds = 1).contains("after 1 s"));
        assert!(with(|c| c.nodes.clear()).contains("0 nodes wanted"));
        assert!(with(|c| c.nodes[1].name = "node-1".into()).contains("two nodes are named \"node-1\""));
        assert!(with(|c| c.nodes[1].name = "a/b".into()).contains("node name \"a/b\""));
    }

    #[test]
    fn one_directory_by_two_names_is_one_cluster() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        let (real, linked) = (Paths::new(directory.path(), "a"), Paths::new(&link, "a"));
        assert_eq!(real.cgroup(), linked.cgroup());
        assert_eq!(real.directory(), linked.directory());
    }

    #[test]
    fn configurations_survive_their_way_to_the_server() {
        let config = Config::new("a", 2).with_control_plane();
        let text = serde_json::to_string(&config).unwrap();
        let read: Config = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(read.nodes[2].control_plane);
    }
}
