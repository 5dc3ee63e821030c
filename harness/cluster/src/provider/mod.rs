//! What gives us a cluster, and the powers over its nodes that the Kubernetes API does not give.
//!
//! - [`embedded`]: the embedded Kubernetes, the default
//! - [`kubeconfig`]: a cluster that exists already and has other users
//! - [`kind`]: clusters in Docker
//! - [`machines`]: powers over nodes as machines
//! - [`discovery`]: what a cluster that exists already has and lacks
//! - [`real`]: what the latter two have in common once they run

mod discovery;
pub mod embedded;
pub mod kind;
pub mod kubeconfig;
pub mod machines;
pub mod real;

use crate::access::Access;
use crate::images::AGENT_IMAGE;
use crate::traffic::{Counters, Dialled, OutsideHost, TrafficFault};
use async_trait::async_trait;
use gauntlet_core::contract::workload::Image;
use gauntlet_core::{Capability, Trouble};
use machines::{Links, Machines};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A cluster that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Unique on this machine; names it for `cluster list` and `clean`.
    pub id: String,
    /// The run it is for: the value of [`RUN_LABEL`](crate::access::RUN_LABEL) on what is created in it.
    pub run: String,
    /// Namespaces that the run will create.
    pub namespaces: Vec<String>,
    /// What will be deployed.
    pub objects: Vec<Value>,
    /// What the system needs besides that is made before it: kinds and claims.
    pub beforehand: Vec<Value>,
    /// Powers that its scenarios need. A cluster that has to be asked for them is asked for no others.
    pub needs: BTreeSet<Capability>,
    /// Nodes for the system under test. One more is there for what must not be disturbed.
    pub workers: u8,
    /// Where the images of the system come from.
    pub images: Vec<Image>,
    /// It outlives this process.
    pub detached: bool,
    /// The port of the API on this machine; 0 lets the system choose.
    pub port: u16,
    /// Cancelled when nobody wants it any more.
    pub interrupted: CancellationToken,
}

impl Wanted {
    /// A cluster that nothing is deployed on by a run, with that many workers.
    pub fn bare(id: impl Into<String>, workers: u8) -> Self {
        let id = id.into();
        Self {
            run: id.clone(),
            id,
            namespaces: vec![],
            objects: vec![],
            beforehand: vec![],
            needs: BTreeSet::new(),
            workers,
            images: vec![],
            detached: false,
            port: 0,
            interrupted: CancellationToken::new(),
        }
    }
}

/// Gives clusters of one kind.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name that `--cluster` knows it by.
    fn name(&self) -> &'static str;

    /// Tells its clusters from those of others of the same kind, in the records of runs.
    fn key(&self) -> String {
        self.name().to_owned()
    }

    /// The objects as such a cluster can run them. `images` says what runs under the names of the system's images.
    fn adapt(&self, objects: Vec<Value>, _images: &[Image]) -> Vec<Value> {
        objects
    }

    /// Whether this machine can have such a cluster at all; nothing is started.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    async fn check(&self) -> Result<(), Trouble>;

    /// Brings up a cluster. One that takes long is given up when it is interrupted; nothing of it is left then.
    ///
    /// # Errors
    /// Why it could not, and what to do about it.
    async fn launch(&self, wanted: Wanted) -> Result<Box<dyn Cluster>, Trouble>;

    /// Ids of all clusters there are, dead ones too.
    ///
    /// # Errors
    /// They cannot be listed.
    fn ids(&self) -> Result<Vec<String>, Trouble>;

    /// Finds a running cluster again; `None` when there is none of that id.
    ///
    /// # Errors
    /// It is there but cannot be reached.
    async fn find(&self, id: &str) -> Result<Option<Box<dyn Cluster>>, Trouble>;

    /// Removes whatever there is of a cluster, however far its launch had come.
    ///
    /// # Errors
    /// What is left.
    async fn discard(&self, id: &str) -> Result<(), Trouble>;
}

/// One running cluster.
#[async_trait]
pub trait Cluster: Send + Sync {
    fn id(&self) -> &str;
    fn access(&self) -> &Access;
    fn capabilities(&self) -> BTreeSet<Capability>;

    /// Why it has not one of them, where more can be said than that.
    fn lack(&self, _capability: Capability) -> Option<String> {
        None
    }

    /// What a cluster that exists already was found to have and to lack, by what was looked for.
    fn found(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Nodes that scenarios may disturb.
    fn workers(&self) -> &[String];
    /// The node that no scenario disturbs, where there is one.
    fn quiet_node(&self) -> Option<&str>;

    /// The image of the agent, which clients run.
    fn agent_image(&self) -> &str {
        AGENT_IMAGE
    }

    /// Kills the container's process and keeps it from starting again.
    ///
    /// # Errors
    /// Without [`Capability::HoldContainer`], or when the node refuses.
    async fn hold_container(&self, _namespace: &str, _pod: &str, _container: &str) -> Result<(), Trouble> {
        Err(no_verb("kill a container and keep it down"))
    }

    /// Lets a held container start again.
    ///
    /// # Errors
    /// As [`Cluster::hold_container`].
    async fn release_container(&self, _namespace: &str, _pod: &str, _container: &str) -> Result<(), Trouble> {
        Err(no_verb("let a container start again"))
    }

    /// Whether a container that was held and shows as running does nothing: some nodes let what is started in the place
    /// of the killed process stand still.
    ///
    /// # Errors
    /// As [`Cluster::hold_container`].
    async fn stands_still(&self, _namespace: &str, _pod: &str, _container: &str) -> Result<bool, Trouble> {
        Ok(false)
    }

    /// Its nodes as machines.
    ///
    /// # Errors
    /// Without [`Capability::StopNode`].
    fn machines(&self) -> Result<&dyn Machines, Trouble> {
        Err(no_verb("stop, freeze or bring back a node"))
    }

    /// What connects them.
    ///
    /// # Errors
    /// Without [`Capability::NodeNetwork`].
    fn links(&self) -> Result<&dyn Links, Trouble> {
        Err(no_verb("disconnect a node or shape what it sends"))
    }

    /// Hosts that are not the cluster's and that its pods may be allowed to reach. Probing them leaves no machine.
    fn outside_hosts(&self) -> &[OutsideHost] {
        &[]
    }

    /// Puts a fault of the traffic into effect, under an id of the caller's; one with the same id is replaced.
    ///
    /// # Errors
    /// Without [`Capability::ShapeNetwork`], or when a party is not known.
    async fn disturb_traffic(&self, _id: &str, _fault: &TrafficFault) -> Result<(), Trouble> {
        Err(no_verb("disturb traffic"))
    }

    /// Takes such a fault away. One that is not there is no error.
    ///
    /// # Errors
    /// Without [`Capability::ShapeNetwork`], or when the cluster does not answer.
    async fn restore_traffic(&self, _id: &str) -> Result<(), Trouble> {
        Err(no_verb("restore traffic"))
    }

    /// What such a fault has done so far.
    ///
    /// # Errors
    /// As [`Cluster::restore_traffic`], and when there is no such fault.
    async fn traffic_counters(&self, _id: &str) -> Result<Counters, Trouble> {
        Err(no_verb("count traffic"))
    }

    /// Tries a connection from inside a pod's network, as its containers would.
    ///
    /// # Errors
    /// It could not be tried.
    async fn dial(&self, _namespace: &str, _pod: &str, _to: SocketAddr, _within: Duration) -> Result<Dialled, Trouble> {
        Err(no_verb("dial from a pod"))
    }

    /// What a person may want to know who uses it, each a sentence.
    async fn remarks(&self) -> Vec<String> {
        vec![]
    }

    /// What the cluster itself has to say, for the evidence.
    async fn log(&self) -> Option<String> {
        None
    }

    /// How a person ends it when it was kept.
    fn ended_by(&self) -> String {
        format!("gauntlet cluster down {}", self.id())
    }

    /// The rules by which its network passes traffic on, for the evidence; `None` where only its nodes know.
    ///
    /// # Errors
    /// They should be known and could not be had.
    async fn network_rules(&self) -> Result<Option<String>, Trouble> {
        Ok(None)
    }

    /// Takes the cluster down and everything that belongs to it.
    ///
    /// # Errors
    /// What is left, and how to remove it.
    async fn shutdown(&self) -> Result<(), Trouble>;
}

/// A power that Kubernetes itself does not give, and that a cluster has not.
fn no_verb(what: &str) -> Trouble {
    Trouble::harness(format!("the Kubernetes API has no verb to {what}"))
}

/// Ids of clusters are those of their run with two numbers behind.
fn run_of(id: &str) -> &str {
    let run = id.rsplitn(3, '-').nth(2);
    run.unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_belongs_to_its_run() {
        assert_eq!(run_of("20260101-000000-abcd-1-2"), "20260101-000000-abcd");
        assert_eq!(run_of("gauntlet"), "gauntlet");
    }
}
