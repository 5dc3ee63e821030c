//! A cluster that exists already, reached by a context of a kubeconfig. It has other users: the context is named, never
//! guessed; what does not carry the label of a run is never changed; nodes are disturbed only with leave.
//!
//! - [`permissions`]: what a run must be allowed to do
//! - [`nodes`]: which nodes may be disturbed
//! - [`storage`]: whether there are volumes for the claims

pub mod nodes;
mod permissions;
mod storage;

use super::real::{Maker, Real};
use super::{Cluster, Provider, Wanted, discovery, run_of};
use crate::access::Access;
use crate::images;
use crate::node_agent::{self, NodeAgents};
use crate::ownership;
use async_trait::async_trait;
use gauntlet_core::contract::workload::Image;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Capability, Trouble};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use nodes::Nodes;
use permissions::Denials;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// How long the namespaces of a run may take to go: their pods end in their own time.
const GONE_WITHIN: Duration = Duration::from_secs(180);

/// One cluster that exists already.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    pub file: PathBuf,
    pub context: String,
    /// Nodes may be cordoned and drained, whoever else has pods on them, and get an agent that has power over pods.
    pub node_faults: bool,
    pub agent_image: String,
}

/// Powers over nodes, and over pods from there.
const BY_LEAVE: [Capability; 3] = [Capability::DrainNodes, Capability::HoldContainer, Capability::ShapeNetwork];

/// Where `kubectl` would look: the first file of `KUBECONFIG`, or `~/.kube/config`.
pub fn default_file() -> PathBuf {
    let named = std::env::var_os("KUBECONFIG").and_then(|paths| std::env::split_paths(&paths).next());
    named.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".kube/config"))
}

impl Kubeconfig {
    /// # Errors
    /// The file or the context cannot be used.
    pub async fn access(&self) -> Result<Access, Trouble> {
        Access::from_context(&self.file, &self.context).await
    }

    /// Of the powers that a run needs those that are asked for: some only with leave.
    pub fn powers(&self, needs: &BTreeSet<Capability>) -> BTreeSet<Capability> {
        needs.iter().copied().filter(|power| self.node_faults || !BY_LEAVE.contains(power)).collect()
    }

    /// Not by `kubectl`, which would miss what stands in no namespace of ours, and whose context may be another by then.
    fn ended_by(&self) -> String {
        let file = match &self.file {
            file if *file == default_file() => String::new(),
            file => format!(" --kubeconfig {}", file.display()),
        };
        format!("gauntlet clean --cluster kubeconfig --context {}{file}", self.context)
    }

    async fn nodes(access: &Access) -> Result<Nodes, Trouble> {
        let api: Api<Node> = Api::all(access.client.clone());
        let list = api.list(&ListParams::default()).await.or_trouble(|| "cannot list the cluster's nodes")?;
        Ok(nodes::choose(&list.items))
    }

    async fn running(
        &self,
        id: String,
        access: Access,
        agents: Option<NodeAgents>,
        denials: Denials,
    ) -> Result<Real, Trouble> {
        let nodes = Self::nodes(&access).await?;
        let found = discovery::discover(&access, &nodes).await;
        Ok(Real {
            id,
            access,
            nodes,
            agent_image: self.agent_image.clone(),
            may_drain: self.node_faults,
            agents,
            maker: Box::new(Ruled { denials, ended_by: self.ended_by() }),
            found,
        })
    }
}

#[async_trait]
impl Provider for Kubeconfig {
    fn name(&self) -> &'static str {
        "kubeconfig"
    }

    fn key(&self) -> String {
        format!("kubeconfig {}", self.context)
    }

    fn adapt(&self, objects: Vec<Value>, images: &[Image]) -> Vec<Value> {
        images::replaced(objects, images, &self.agent_image)
    }

    async fn check(&self) -> Result<(), Trouble> {
        Ok(())
    }

    async fn launch(&self, wanted: Wanted) -> Result<Box<dyn Cluster>, Trouble> {
        let access = self.access().await?;
        access.check_version().await?;
        let made: Vec<&Value> = wanted.beforehand.iter().chain(&wanted.objects).collect();
        let mut powers = self.powers(&wanted.needs);
        let denials = permissions::check(&access, &made, &powers).await?;
        powers.retain(|power| !denials.contains_key(power));
        let mut namespaces = ownership::namespaces(&wanted.objects);
        namespaces.extend(wanted.namespaces);
        ownership::check_free(&access, &namespaces).await?;
        storage::check(&access, &made).await?;
        let mut running = self.running(wanted.id, access, None, denials).await?;
        if running.nodes.workers.is_empty() {
            return Err(Trouble::input(format!("no node of context {} takes pods", self.context)));
        }
        if node_agent::GIVE.iter().any(|power| powers.contains(power)) {
            let deployed = tokio::select! {
                biased;
                () = wanted.interrupted.cancelled() => Err(Trouble::harness("interrupted")),
                deployed = NodeAgents::deploy(&running.access, &wanted.run, &self.agent_image) => deployed,
            };
            match deployed {
                Ok(agents) => running.agents = Some(agents),
                Err(trouble) => return Err(given_up(&running, trouble).await),
            }
        }
        Ok(Box::new(running))
    }

    fn ids(&self) -> Result<Vec<String>, Trouble> {
        Ok(vec![])
    }

    async fn find(&self, id: &str) -> Result<Option<Box<dyn Cluster>>, Trouble> {
        let access = self.access().await?;
        let agents = NodeAgents::find(&access, run_of(id)).await?;
        Ok(Some(Box::new(self.running(id.to_owned(), access, agents, Denials::new()).await?)))
    }

    async fn discard(&self, id: &str) -> Result<(), Trouble> {
        remove_run(&self.access().await?, id).await
    }
}

/// Agents that came to some nodes only are of no use, and have power over them.
async fn given_up(running: &Real, trouble: Trouble) -> Trouble {
    let trouble = trouble.doing("cannot bring agents to the nodes");
    match remove_run(&running.access, &running.id).await {
        Ok(()) => trouble,
        Err(left) => trouble.hint(format!("some of them are left: {}", left.message)),
    }
}

async fn remove_run(access: &Access, id: &str) -> Result<(), Trouble> {
    let run = run_of(id);
    let (_, troubles) = ownership::remove(access, |other| other == run, GONE_WITHIN).await;
    troubles.into_iter().next().map_or(Ok(()), Err)
}

/// What others rule over, as far as they let us.
struct Ruled {
    denials: Denials,
    /// The command that removes what is ours.
    ended_by: String,
}

#[async_trait]
impl Maker for Ruled {
    fn denies(&self, power: Capability) -> Option<String> {
        self.denials.get(&power).cloned()
    }

    fn ended_by(&self, _id: &str) -> String {
        self.ended_by.clone()
    }

    async fn shutdown(&self, access: &Access, id: &str) -> Result<(), Trouble> {
        remove_run(access, id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_ended_where_it_is() {
        let cluster = |file: PathBuf| Kubeconfig {
            file,
            context: "c".to_owned(),
            node_faults: false,
            agent_image: "a".to_owned(),
        };
        let command = "gauntlet clean --cluster kubeconfig --context c";
        assert_eq!(cluster(default_file()).ended_by(), command);
        assert_eq!(cluster("other".into()).ended_by(), format!("{command} --kubeconfig other"));
    }

    #[test]
    fn powers_over_nodes_are_asked_for_only_with_leave_and_only_when_needed() {
        use Capability::{DrainNodes, EnterPods, HoldContainer};
        let cluster = |node_faults| Kubeconfig {
            file: "f".into(),
            context: "c".to_owned(),
            node_faults,
            agent_image: "a".to_owned(),
        };
        for (node_faults, needs, powers) in [
            (false, &[DrainNodes, HoldContainer, EnterPods][..], &[EnterPods][..]),
            (true, &[DrainNodes, EnterPods], &[DrainNodes, EnterPods]),
            (true, &[], &[]),
        ] {
            let powers: BTreeSet<Capability> = powers.iter().copied().collect();
            assert_eq!(cluster(node_faults).powers(&needs.iter().copied().collect()), powers, "{needs:?}");
        }
    }
}
