//! Asking the nodes of a Redis Cluster, one by one: what one of them says is a view, not the truth.

use super::topology::{Node, Topology};
use futures::future::join_all;
use gauntlet_cluster::exec::{self, Output, Place};
use gauntlet_cluster::ready;
use gauntlet_core::Trouble;
use gauntlet_core::contract::store::Store;
use gauntlet_core::contract::workload::Workload;
use gauntlet_engine::Lab;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// The members of one store.
pub struct Members<'a> {
    lab: &'a Lab,
    store: &'a Store,
    pub workload: &'a Workload,
}

impl<'a> Members<'a> {
    /// # Errors
    /// The store has no workload in this overlay, or the contract says no way to ask it.
    pub fn of(lab: &'a Lab, store: &'a Store) -> Result<Self, Trouble> {
        let workload = lab.deployment().workload(&store.workload.value);
        let workload = workload.ok_or_else(|| Trouble::harness(format!("{} has no workload", store.name.value)))?;
        Ok(Self { lab, store, workload })
    }

    pub fn container(&self) -> &str {
        self.workload.container.as_deref().unwrap_or(&self.workload.name.value)
    }

    pub fn pods(&self) -> Vec<Arc<Pod>> {
        ready::pods_of(self.workload, &self.lab.view().snapshot())
    }

    /// Asks one node for something that it knows. `redis-cli` ends with 0 also on an error reply, so the answer has to be
    /// judged by its reader.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn ask(&self, pod: &str, question: &[&str]) -> Result<String, String> {
        answer(exec::ask(self.lab.access(), self.place(pod), &self.command(question), ANSWERS_WITHIN).await)
    }

    /// Tells one node to do something, once. The answer is that of [`Members::ask`].
    ///
    /// # Errors
    /// It does not answer, and may have done it.
    pub async fn tell(&self, pod: &str, order: &[&str]) -> Result<String, String> {
        answer(exec::exec(self.lab.access(), self.place(pod), &self.command(order), ANSWERS_WITHIN).await)
    }

    fn command<'b>(&'b self, words: &[&'b str]) -> Vec<&'b str> {
        self.store.cli.iter().map(String::as_str).chain(words.iter().copied()).collect()
    }

    fn place<'b>(&'b self, pod: &'b str) -> Place<'b> {
        Place { namespace: &self.workload.namespace.value, pod, container: self.container() }
    }

    /// The views of all nodes that answer, except `but`.
    pub async fn views(&self, but: Option<&str>) -> Vec<Topology> {
        let names: Vec<String> =
            self.pods().iter().map(|pod| pod.name_any()).filter(|name| Some(name.as_str()) != but).collect();
        let answers = join_all(names.iter().map(async |name| self.ask(name, &["CLUSTER", "NODES"]).await)).await;
        answers.into_iter().filter_map(|answer| Topology::parse(&answer.ok()?).ok()).collect()
    }

    /// The pod that a node is, by its address.
    pub fn pod_of(&self, node: &Node) -> Option<String> {
        let has_address =
            |pod: &&Arc<Pod>| pod.status.as_ref().and_then(|s| s.pod_ip.as_deref()) == Some(&node.address);
        self.pods().iter().find(has_address).map(|pod| pod.name_any())
    }

    /// The live `cluster-node-timeout`.
    ///
    /// # Errors
    /// The node did not tell.
    pub async fn node_timeout(&self, pod: &str) -> Result<Duration, Trouble> {
        let answer = self.ask(pod, &["CONFIG", "GET", "cluster-node-timeout"]).await;
        let answer = answer.map_err(|why| Trouble::harness(format!("{pod} does not tell its configuration: {why}")))?;
        let value = answer.split_whitespace().last().and_then(|word| word.parse().ok());
        value.map(Duration::from_millis).ok_or_else(|| Trouble::harness(format!("{pod} told no timeout: {answer}")))
    }

    /// What keeps a node from being a replica whose data is in sync; `None` when it is one.
    pub async fn not_in_sync(&self, pod: &str) -> Option<String> {
        let answer = match self.ask(pod, &["INFO", "replication"]).await {
            Ok(answer) => answer,
            Err(why) => return Some(format!("{pod} does not answer: {why}")),
        };
        sync_trouble(&answer).map(|why| format!("{pod}: {why}"))
    }
}

/// Reads `INFO replication` of a node that is to be a replica in sync.
fn sync_trouble(info: &str) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    match (field("role"), field("master_link_status"), field("master_sync_in_progress")) {
        (Some("slave"), Some("up"), Some("0")) => None,
        (Some("slave"), link, sync) => {
            Some(format!("link {}, sync in progress {}", link.unwrap_or("?"), sync.unwrap_or("?")))
        }
        (Some(role), ..) => Some(format!("its role is {role}")),
        (None, ..) => Some(format!("no answer to INFO: {}", info.trim())),
    }
}

fn answer(output: Result<Output, Trouble>) -> Result<String, String> {
    match output {
        Ok(output) if output.success() => Ok(output.stdout),
        Ok(output) => Err(output.stderr.trim().to_owned()),
        Err(trouble) => Err(trouble.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_replica_with_its_link_up_is_in_sync() {
        let info = |role: &str, link: &str| {
            format!("# Replication\r\nrole:{role}\r\nmaster_link_status:{link}\r\nmaster_sync_in_progress:0\r\n")
        };
        assert_eq!(sync_trouble(&info("slave", "up")), None);
        assert!(sync_trouble(&info("slave", "down")).is_some());
        assert_eq!(sync_trouble(&info("master", "up")).as_deref(), Some("its role is master"));
        assert!(sync_trouble("NOAUTH Authentication required.").is_some());
    }
}
