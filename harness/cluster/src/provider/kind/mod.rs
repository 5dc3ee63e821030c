//! Clusters of kind: real ones, whose nodes are containers of Docker on this machine. To the rest of the harness such a
//! cluster is one that a kubeconfig leads to, but ours alone: created for a run, deleted with it.
//!
//! - [`topology`]: the nodes and their images; [`load`]: the images on them; [`base`]: what the agent's is built on
//! - [`ingress`]: how an ingress controller is reached from this machine
//! - [`programs`]: what this machine must have; [`command`]: how it is told what to do
//! - [`maker`]: powers over a cluster that runs; [`outage`]: nodes that are stopped, frozen, disconnected and brought back;
//!   [`shaping`]: what they send
//! - [`record`]: what is remembered of a cluster, so that it is deleted whatever happens; [`containers`]: what Docker has;
//!   [`creator`]: who creates it
//! - [`lost`]: clusters that Docker has and of which nothing is remembered

pub mod base;
mod command;
mod containers;
mod creator;
mod ingress;
pub mod load;
pub mod lost;
mod maker;
mod outage;
mod programs;
mod record;
mod shaping;
pub mod topology;

use super::kubeconfig::nodes;
use super::real::Real;
use super::{Cluster, Provider, Wanted, discovery, run_of};
use crate::access::Access;
use crate::images;
use crate::node_agent::NodeAgents;
use crate::progress::Logged;
use crate::view::View;
use async_trait::async_trait;
use command::Call;
use creator::Ending;
use gauntlet_core::Trouble;
use gauntlet_core::contract::workload::Image;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use load::Agent;
use maker::Made;
use programs::{Programs, Version};
use record::Record;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use topology::Topology;

/// How long kind may take to create a cluster; the node image may have to be pulled.
const CREATED_WITHIN: Duration = Duration::from_secs(900);

/// How long all nodes may take to be ready once kind is done, where nobody says otherwise.
const READY_WITHIN: Duration = Duration::from_secs(300);

const DELETED_WITHIN: Duration = Duration::from_secs(180);

/// Clusters of kind.
#[derive(Debug, Clone)]
pub struct Kind {
    pub state_dir: PathBuf,
    pub topology: Topology,
    pub agent: Agent,
    /// Archives of images that are loaded to every node.
    pub archives: Vec<PathBuf>,
    /// How long the nodes may take to be ready, and then the agents on them.
    pub ready_within: Duration,
    /// Where programs are looked for.
    pub path: OsString,
    /// Records and built images change together: one cluster's end must not remove what another's start relies on.
    changing: Arc<Mutex<()>>,
}

impl Kind {
    pub fn new(state_dir: PathBuf, topology: Topology, agent: Agent, archives: Vec<PathBuf>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self { state_dir, topology, agent, archives, ready_within: READY_WITHIN, path, changing: Arc::default() }
    }

    async fn programs(&self, oldest_kind: Version) -> Result<Programs, Trouble> {
        programs::find(&self.path, oldest_kind).await
    }

    /// What the programs say of their versions.
    ///
    /// # Errors
    /// Something is missing.
    pub async fn versions(&self) -> Result<BTreeMap<String, String>, Trouble> {
        Ok(self.programs(self.topology.oldest_kind).await?.versions)
    }

    /// The images of the objects that neither are built here nor are in the local engine: nodes will pull them, unless
    /// an archive has them.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn to_be_pulled(&self, objects: &[Value]) -> Result<Vec<String>, Trouble> {
        let programs = self.programs(self.topology.oldest_kind).await?;
        let mut pulled = Vec::new();
        for image in self.images(objects) {
            let is_built = matches!(&self.agent, Agent::Built { name, .. } if *name == image);
            if !is_built && load::local(&programs.docker, &image).await.is_none() {
                pulled.push(image);
            }
        }
        Ok(pulled)
    }

    /// All images that the nodes need.
    fn images(&self, objects: &[Value]) -> BTreeSet<String> {
        let mut images = load::named(objects);
        images.insert(self.agent.name().to_owned());
        images
    }

    async fn bring_up(&self, programs: &Programs, wanted: &Wanted) -> Result<Real, Trouble> {
        let record = Record::of(&self.state_dir, &wanted.id);
        let name = cluster_name(&wanted.id);
        let (config, node_count) = self.topology.cluster(&name, wanted.workers);
        {
            let _changing = self.changing.lock().await;
            record.create(&config)?;
            self.ensure_agent(programs, &record, run_of(&wanted.id)).await?;
        }
        create(programs, &record, &name).await?;
        let access = Access::from_kubeconfig(&record.kubeconfig()).await?;
        // kind's own wait ends well when its time is over, and looks at the control plane only.
        let what = format!("the nodes of {name}");
        let ready = |snapshot: &crate::view::Snapshot| nodes::all_ready(&snapshot.nodes, node_count);
        View::of(&access).until(&what, self.ready_within, &Logged, ready).await?;
        let onto = load::Nodes { programs, cluster: &name };
        for archive in &self.archives {
            onto.load_archive(archive).await?;
        }
        for image in self.images(&wanted.objects) {
            match load::local(&programs.docker, &image).await {
                Some(local) => onto.load_image(&image, &local, &record.archive()).await?,
                None => tracing::info!(image, cluster = name, "not in the local engine: left to the nodes to pull"),
            }
        }
        let agents = NodeAgents::deploy_within(&access, &wanted.run, self.agent.name(), self.ready_within).await;
        let agents = agents.map_err(|trouble| trouble.doing("cannot bring agents to the nodes"))?;
        self.running(programs, wanted.id.clone(), access, Some(agents)).await
    }

    async fn ensure_agent(&self, programs: &Programs, record: &Record, run: &str) -> Result<(), Trouble> {
        let Agent::Built { name, base } = &self.agent else { return Ok(()) };
        if load::local(&programs.docker, name).await.is_some() {
            return Ok(());
        }
        let program = std::env::current_exe().or_trouble(|| "cannot find this program")?;
        load::build(&programs.docker, &record.build_context(), &program, name, base, run).await
    }

    async fn running(
        &self,
        programs: &Programs,
        id: String,
        access: Access,
        agents: Option<NodeAgents>,
    ) -> Result<Real, Trouble> {
        let api: Api<Node> = Api::all(access.client.clone());
        let list = api.list(&ListParams::default()).await.or_trouble(|| "cannot list the cluster's nodes")?;
        let nodes = nodes::choose_of_own(&list.items);
        let found = discovery::discover(&access, &nodes).await;
        Ok(Real {
            id,
            access,
            nodes,
            found,
            agent_image: self.agent.name().to_owned(),
            may_drain: true,
            agents,
            maker: Box::new(Made { by: self.clone(), docker: programs.docker.clone() }),
        })
    }

    /// Deletes a cluster and what was made for it; goes on whatever fails.
    async fn delete(&self, programs: &Programs, id: &str) -> Result<(), Trouble> {
        let record = Record::of(&self.state_dir, id);
        let name = cluster_name(id);
        let ending = creator::end(&record.lock_file()).await;
        let still_for = if ending == Ok(Ending::Done) { Duration::ZERO } else { containers::STILL_FOR };
        let mut troubles: Vec<Trouble> = ending.err().into_iter().collect();
        let kubeconfig = record.kubeconfig();
        let arguments = ["delete", "cluster", "--name", &name, "--kubeconfig"];
        let deleted = Call::new(&programs.kind, arguments, DELETED_WITHIN).with([&kubeconfig]);
        let deleted = deleted.run().await;
        // What kind could not or did not delete goes by its label; only what is left then is trouble.
        if let Err(trouble) = containers::remove(&programs.docker, &name, still_for).await {
            troubles.extend(deleted.err());
            troubles.push(trouble);
        }
        let _changing = self.changing.lock().await;
        let run = run_of(id);
        let is_last = Record::ids(&self.state_dir)?.iter().all(|other| other == id || run_of(other) != run);
        if is_last {
            troubles.extend(load::remove_built(&programs.docker, run).await.err());
        }
        if troubles.is_empty() {
            return record.remove();
        }
        let messages: Vec<&str> = troubles.iter().map(|trouble| trouble.message.as_str()).collect();
        let trouble = Trouble::harness(format!("cannot delete the cluster {name}: {}", messages.join("; ")));
        let trouble = troubles.iter().flat_map(|trouble| &trouble.hints).fold(trouble, Trouble::hint);
        Err(trouble.hint("try again with `gauntlet clean --cluster kind`"))
    }
}

/// Clusters are named after the run that they are for.
const NAMED: &str = "gauntlet-";

fn cluster_name(id: &str) -> String {
    format!("{NAMED}{id}")
}

async fn create(programs: &Programs, record: &Record, name: &str) -> Result<(), Trouble> {
    let arguments = ["create", "cluster", "--name", name, "--config"];
    let call = Call::new(&programs.kind, arguments, CREATED_WITHIN).with([record.config()]);
    let call = call.with(["--kubeconfig"]).with([record.kubeconfig()]).holding(record.lock()?);
    call.run().await.map(drop).map_err(|trouble| trouble.doing("cannot create the cluster"))
}

#[async_trait]
impl Provider for Kind {
    fn name(&self) -> &'static str {
        "kind"
    }

    fn adapt(&self, objects: Vec<Value>, images: &[Image]) -> Vec<Value> {
        images::replaced(objects, images, self.agent.name())
    }

    async fn check(&self) -> Result<(), Trouble> {
        load::check_archives(&self.archives)?;
        self.programs(self.topology.oldest_kind).await.map(drop)
    }

    async fn launch(&self, wanted: Wanted) -> Result<Box<dyn Cluster>, Trouble> {
        let interrupted = || Trouble::harness("interrupted");
        let programs = tokio::select! {
            biased;
            () = wanted.interrupted.cancelled() => return Err(interrupted()),
            programs = self.programs(self.topology.oldest_kind) => programs?,
        };
        let brought_up = tokio::select! {
            biased;
            () = wanted.interrupted.cancelled() => Err(interrupted()),
            brought_up = self.bring_up(&programs, &wanted) => brought_up,
        };
        match brought_up {
            Ok(running) => Ok(Box::new(running)),
            Err(mut trouble) => {
                if let Err(left) = self.delete(&programs, &wanted.id).await {
                    trouble.message = format!("{}; and then: {}", trouble.message, left.message);
                    trouble.hints.extend(left.hints);
                }
                Err(trouble)
            }
        }
    }

    fn ids(&self) -> Result<Vec<String>, Trouble> {
        Record::ids(&self.state_dir)
    }

    async fn find(&self, id: &str) -> Result<Option<Box<dyn Cluster>>, Trouble> {
        let record = Record::of(&self.state_dir, id);
        if !record.exists() {
            return Ok(None);
        }
        let programs = self.programs(topology::ANY_KIND).await?;
        let name = cluster_name(id);
        let found = containers::of(&programs.docker, &name).await?;
        if found.is_empty() {
            return Ok(None);
        }
        containers::can_answer(&name, &found)?;
        if !record.kubeconfig().is_file() {
            lost::export_kubeconfig(&programs, &record, &name).await?;
        }
        let access = Access::from_kubeconfig(&record.kubeconfig()).await?;
        let agents = NodeAgents::find(&access, run_of(id)).await?;
        Ok(Some(Box::new(self.running(&programs, id.to_owned(), access, agents).await?)))
    }

    async fn discard(&self, id: &str) -> Result<(), Trouble> {
        if !Record::of(&self.state_dir, id).exists() {
            return Ok(());
        }
        let programs = self.programs(topology::ANY_KIND).await?;
        self.delete(&programs, id).await
    }
}
