//! What the workers of all pods share.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use embedded_apimachinery::object::{self, Object};
use embedded_apimachinery::recorder::Recorder;
use embedded_apimachinery::resource::{CONFIG_MAPS, SECRETS, SERVICES};
use embedded_apimachinery::{Actor, Api, ApiExt};
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::env::Lookup;
use super::network::PodNetwork;
use super::power::Power;
use super::worker::Directory;
use crate::image::Catalogue;
use crate::runtime::ContainerRuntime;

/// Issues tokens for service accounts: namespace, account, `TokenRequest` spec; the token, or why there is none.
pub type IssueToken = dyn Fn(&str, &str, &Value) -> Result<String, String> + Send + Sync;

/// The machine that all nodes of the cluster share.
pub struct Machine {
    pub api: Arc<dyn Api>,
    pub runtime: Arc<dyn ContainerRuntime>,
    pub network: Arc<dyn PodNetwork>,
    pub catalogue: Catalogue,
    pub issue_token: Box<IssueToken>,
    /// Pods' files: volumes, logs, termination messages.
    pub directory: PathBuf,
}

/// One node of the cluster.
pub struct Node {
    pub machine: Arc<Machine>,
    pub name: String,
    pub address: IpAddr,
    /// `status.allocatable`.
    pub allocatable: Value,
    pub recorder: Recorder,
    pub actor: Actor,
    pub power: Power,
    /// Held by whoever changes that.
    pub(super) switching: tokio::sync::Mutex<()>,
    /// Of the node's pods.
    pub(super) workers: TaskTracker,
    /// The containers that stand still because the node is frozen, by the runtime's names.
    pub(super) still: Mutex<BTreeSet<String>>,
    /// What a node that is off has of its pods on its disk, by uid.
    pub(super) remains: Mutex<HashMap<String, Directory>>,
}

impl Node {
    pub fn new(machine: Arc<Machine>, name: &str, address: IpAddr, allocatable: Value) -> Self {
        let recorder = Recorder::new(machine.api.clone(), "kubelet", name);
        Self {
            machine,
            name: name.into(),
            address,
            allocatable,
            recorder,
            actor: Actor::system("kubelet"),
            power: Power::default(),
            switching: tokio::sync::Mutex::default(),
            workers: TaskTracker::new(),
            still: Mutex::default(),
            remains: Mutex::default(),
        }
    }

    /// An event about a container.
    pub fn event(&self, kind: &str, pod: &Value, container: &str, reason: &str, message: String) {
        let list =
            |pointer: &str| object::list_at(pod, pointer).iter().any(|c| object::str_at(c, "/name") == container);
        let field = if list("/spec/initContainers") {
            "initContainers"
        } else if list("/spec/ephemeralContainers") {
            "ephemeralContainers"
        } else {
            "containers"
        };
        self.recorder.record(kind, pod, &format!("spec.{field}{{{container}}}"), reason, message);
    }

    /// The files of a pod.
    pub fn directory_of(&self, pod_uid: &str) -> PathBuf {
        self.machine.directory.join(pod_uid)
    }
}

/// Objects of a pod's namespace.
pub struct NamespaceLookup<'a> {
    pub api: &'a dyn Api,
    pub namespace: &'a str,
}

impl Lookup for NamespaceLookup<'_> {
    fn config_map(&self, name: &str) -> Option<Object> {
        self.api.find(&CONFIG_MAPS, self.namespace, name)
    }

    fn secret(&self, name: &str) -> Option<Object> {
        self.api.find(&SECRETS, self.namespace, name)
    }

    fn services(&self) -> Vec<Object> {
        let (mut services, _) = self.api.list(&SERVICES, Some(self.namespace));
        if self.namespace != "default" {
            services.extend(self.api.find(&SERVICES, "default", "kubernetes"));
        }
        services
    }
}
