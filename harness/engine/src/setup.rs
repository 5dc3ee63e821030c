//! From an overlay to a system in its steady state on a cluster of its own.

use crate::bus::Emitter;
use crate::evidence::{self, Collector, Target};
use crate::lab::Told;
use gauntlet_cluster::evidence::{last_words, learn_secrets};
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::render::Rendered;
use gauntlet_cluster::view::{Snapshot, View};
use gauntlet_cluster::{Access, Cluster, Provider, apply, prerequisites, ready, render};
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::{Event, Stage};
use gauntlet_core::{Contract, Trouble};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is deployed, and from where.
#[derive(Clone)]
pub struct System {
    pub contract: Arc<Contract>,
    /// The folder of the contract; paths in it are relative to this.
    pub folder: PathBuf,
    pub overlay: String,
    /// A kustomization to deploy in place of the overlay's own: the overlay broken in one way.
    pub mutant: Option<PathBuf>,
}

impl System {
    pub fn deployment(&self) -> Option<Deployment<'_>> {
        self.contract.deployment(Some(&self.overlay))
    }

    pub(crate) fn known_deployment(&self) -> Result<Deployment<'_>, Trouble> {
        self.deployment().ok_or_else(|| Trouble::input(format!("no overlay is called `{}`", self.overlay)))
    }

    /// Renders what is to be deployed.
    ///
    /// # Errors
    /// It does not render.
    pub async fn render(&self) -> Result<Rendered, Trouble> {
        let overlay = self.known_deployment()?.overlay;
        match &self.mutant {
            Some(mutant) => render::render(mutant, None).await,
            None => {
                let copy = overlay.rendered.as_ref().map(|copy| self.folder.join(&copy.value));
                render::render(&self.folder.join(&overlay.path.value), copy.as_deref()).await
            }
        }
    }
}

/// A cluster with the system on it.
pub struct Deployed {
    pub cluster: Arc<dyn Cluster>,
    pub view: Arc<View>,
    /// A scenario has run on it.
    pub used: bool,
}

/// Tells when a stage begins and ends, and what went wrong in it.
pub struct Stages<'a> {
    pub emitter: &'a Emitter,
}

impl Stages<'_> {
    /// # Errors
    /// What the stage's work came to, told to the events too.
    pub async fn stage<T>(
        &self,
        stage: Stage,
        detail: impl Into<String>,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let started = Instant::now();
        self.emitter.emit(Event::StageStarted { stage, detail: detail.into() });
        match work.await {
            Ok(value) => {
                self.emitter.emit(Event::StageFinished { stage, took_ms: elapsed_ms(started) });
                Ok(value)
            }
            Err(trouble) => {
                let (message, hints) = (trouble.message.clone(), trouble.hints.clone());
                self.emitter.emit(Event::Trouble { stage, message, hints });
                Err(trouble)
            }
        }
    }
}

pub(crate) fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What a deployment needs besides the cluster that is wanted.
pub struct Order<'a> {
    pub provider: &'a dyn Provider,
    pub system: &'a System,
    pub objects: &'a [Value],
    pub run: &'a str,
    pub emitter: &'a Emitter,
    pub collector: &'a Collector,
    /// Where evidence goes when something fails after the cluster is up, relative to the run's folder.
    pub evidence: &'a Path,
    pub interrupted: &'a CancellationToken,
}

/// A deployment that did not come to its end.
pub struct Failed {
    pub trouble: Trouble,
    /// The cluster, where it is to be kept.
    pub kept: Option<Arc<dyn Cluster>>,
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, kept: None }
    }
}

impl Order<'_> {
    /// Brings up a cluster and the system on it. When something fails after the cluster is up, its evidence is
    /// collected and the cluster is taken down, unless it is to be kept.
    ///
    /// # Errors
    /// The first stage that failed, or the interruption.
    pub async fn deploy(&self, wanted: Wanted) -> Result<Deployed, Failed> {
        let stages = Stages { emitter: self.emitter };
        let keep = wanted.detached;
        // Not broken off from here: only a launch itself knows what there is of it to be undone, so it is told.
        let detail = format!("{} {}", self.provider.name(), wanted.id);
        let launched = stages.stage(Stage::Cluster, detail, self.provider.launch(wanted)).await?;
        let cluster: Arc<dyn Cluster> = Arc::from(launched);
        self.emitter.emit(Event::ClusterReady {
            cluster: cluster.id().to_owned(),
            provider: self.provider.name().to_owned(),
            kubernetes: cluster.access().version().await.unwrap_or_else(|_| "unknown".to_owned()),
            nodes: cluster.workers().to_vec(),
            found: cluster.found(),
        });
        for text in cluster.remarks().await {
            self.emitter.emit(Event::Note { scenario: None, text });
        }
        let view = Arc::new(View::of(cluster.access()));
        let installed = tokio::select! {
            installed = self.install(&stages, cluster.as_ref(), &view) => installed,
            () = self.interrupted.cancelled() => Err(Trouble::harness("interrupted")),
        };
        let Err(trouble) = installed else { return Ok(Deployed { cluster, view, used: false }) };
        if !self.interrupted.is_cancelled() {
            let target = Target { folder: self.evidence, scenario: None, bounds: self.collector.bounds() };
            self.collector.collect(cluster.as_ref(), target).await;
        }
        if keep {
            return Err(Failed { trouble, kept: Some(cluster) });
        }
        tear_down(&stages, cluster.as_ref()).await;
        Err(trouble.into())
    }

    async fn install(&self, stages: &Stages<'_>, cluster: &dyn Cluster, view: &View) -> Result<(), Trouble> {
        let deployment = self.system.known_deployment()?;
        let told = Told { emitter: stages.emitter.clone(), scenario: None };
        let access = cluster.access();
        let first = prerequisites::create(access, self.run, deployment, &self.system.folder, &told);
        stages.stage(Stage::Prerequisites, "namespaces, kinds, certificates, secrets", first).await?;
        let namespaces = evidence::namespaces(self.system);
        // Before anything of the system can say one of them aloud.
        learn_secrets(access, self.collector.redactor(), &namespaces).await.map_err(Trouble::harness)?;
        let apply = apply::apply(access, self.run, self.objects.to_vec());
        stages.stage(Stage::Apply, format!("{} objects", self.objects.len()), apply).await?;
        let within = self.system.contract.steady_state.within;
        stages.stage(Stage::SteadyState, format!("within {within}"), self.steady(access, view, &told)).await?;
        learn_secrets(access, self.collector.redactor(), &namespaces).await.map_err(Trouble::harness)
    }

    async fn steady(&self, access: &Access, view: &View, told: &Told) -> Result<(), Trouble> {
        let deployment = self.system.known_deployment()?;
        let condition = |snapshot: &Snapshot| match ready::lacking(deployment, snapshot) {
            lacking if lacking.is_empty() => Ok(()),
            lacking => Err(lacking.join("; ")),
        };
        let waited = view.until("the steady state", self.system.contract.steady_state.within.0, told, condition).await;
        match waited {
            Ok(()) => Ok(()),
            Err(trouble) => {
                // What was made meanwhile may hold more of them, and logs may say them.
                let namespaces = evidence::namespaces(self.system);
                let words = match learn_secrets(access, self.collector.redactor(), &namespaces).await {
                    Ok(()) => last_words(access, &of_system(&view.snapshot(), &namespaces), 5).await,
                    Err(problem) => vec![format!("no last words: {problem}")],
                };
                Err(words.into_iter().fold(trouble, |mut trouble, words| {
                    trouble.message = format!("{}\n  {words}", trouble.message);
                    trouble
                }))
            }
        }
    }
}

/// The pods of the system: others may have some on the cluster.
fn of_system(snapshot: &Snapshot, namespaces: &BTreeSet<String>) -> Vec<Arc<Pod>> {
    let is_in = |pod: &&Arc<Pod>| pod.namespace().is_some_and(|of| namespaces.contains(&of));
    snapshot.pods.iter().filter(is_in).cloned().collect()
}

/// Takes a cluster down; trouble is told to the events. Whether nothing is left.
pub(crate) async fn tear_down(stages: &Stages<'_>, cluster: &dyn Cluster) -> bool {
    stages.stage(Stage::Cleanup, cluster.id().to_owned(), cluster.shutdown()).await.is_ok()
}
