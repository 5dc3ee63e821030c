//! From an overlay to a system in its steady state on a cluster of its own.

use crate::bus::Emitter;
use crate::excerpt;
use crate::lab::Told;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::render::Rendered;
use gauntlet_cluster::view::View;
use gauntlet_cluster::{Cluster, Provider, apply, evidence, prerequisites, ready, render};
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::{Event, Stage};
use gauntlet_core::{Contract, Trouble};
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

    fn known_deployment(&self) -> Result<Deployment<'_>, Trouble> {
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
    /// Where evidence goes when something fails after the cluster is up.
    pub evidence: Place<'a>,
    pub interrupted: &'a CancellationToken,
}

impl Order<'_> {
    /// Brings up a cluster and the system on it. When something fails after the cluster is up, its evidence is
    /// collected and the cluster is taken down, unless it is to be kept.
    ///
    /// # Errors
    /// The first stage that failed, or the interruption.
    pub async fn deploy(&self, wanted: Wanted) -> Result<Deployed, Trouble> {
        let stages = Stages { emitter: self.emitter };
        let keep = wanted.detached;
        // Never broken off: a launch that is under way has to be known to be undone. It has a deadline of its own.
        let detail = format!("{} {}", self.provider.name(), wanted.id);
        let launched = stages.stage(Stage::Cluster, detail, self.provider.launch(wanted)).await?;
        let cluster: Arc<dyn Cluster> = Arc::from(launched);
        self.emitter.emit(Event::ClusterReady {
            cluster: cluster.id().to_owned(),
            provider: self.provider.name().to_owned(),
            kubernetes: cluster.access().version().await.unwrap_or_else(|_| "unknown".to_owned()),
            nodes: cluster.workers().to_vec(),
        });
        let view = Arc::new(View::of(cluster.access()));
        let installed = tokio::select! {
            installed = install(&stages, cluster.as_ref(), &view, self.system, self.objects, self.run) => installed,
            () = self.interrupted.cancelled() => Err(Trouble::harness("interrupted")),
        };
        let Err(trouble) = installed else { return Ok(Deployed { cluster, view, used: false }) };
        if !self.interrupted.is_cancelled() {
            let _ = collect(self.emitter, cluster.as_ref(), self.system, self.evidence).await;
        }
        if !keep {
            tear_down(&stages, cluster.as_ref()).await;
        }
        Err(trouble)
    }
}

async fn install(
    stages: &Stages<'_>,
    cluster: &dyn Cluster,
    view: &View,
    system: &System,
    objects: &[Value],
    run: &str,
) -> Result<(), Trouble> {
    let deployment = system.known_deployment()?;
    let told = Told { emitter: stages.emitter.clone(), scenario: None };
    let access = cluster.access();
    let first = prerequisites::create(access, run, deployment, &system.folder, &told);
    stages.stage(Stage::Prerequisites, "namespaces, kinds, certificates, secrets", first).await?;
    let apply = apply::apply(access, run, objects.to_vec());
    stages.stage(Stage::Apply, format!("{} objects", objects.len()), apply).await?;
    let within = system.contract.steady_state.within;
    let steady = async {
        let condition = |snapshot: &gauntlet_cluster::view::Snapshot| match ready::lacking(deployment, snapshot) {
            lacking if lacking.is_empty() => Ok(()),
            lacking => Err(lacking.join("; ")),
        };
        let waited = view.until("the steady state", within.0, &told, condition).await;
        match waited {
            Ok(()) => Ok(()),
            Err(trouble) => {
                let words = evidence::last_words(access, &view.snapshot().pods, 5).await;
                Err(words.into_iter().fold(trouble, |mut trouble, words| {
                    trouble.message = format!("{}\n  {words}", trouble.message);
                    trouble
                }))
            }
        }
    };
    stages.stage(Stage::SteadyState, format!("within {within}"), steady).await
}

/// Where evidence goes, and whose it is.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The run's folder.
    pub run: &'a Path,
    /// Relative to the run's folder.
    pub folder: &'a Path,
    pub scenario: Option<&'a str>,
}

/// Collects evidence; what could not be had is a note.
pub(crate) async fn collect(
    emitter: &Emitter,
    cluster: &dyn Cluster,
    system: &System,
    place: Place<'_>,
) -> Result<(), Trouble> {
    let stages = Stages { emitter };
    let folder = &place.run.join(place.folder);
    let work = async {
        let mut namespaces: BTreeSet<String> =
            system.contract.prerequisites.namespaces.iter().map(|namespace| namespace.value.clone()).collect();
        let ours = evidence::namespaces_of_runs(cluster.access()).await;
        let mut problems: Vec<String> = ours.as_ref().err().cloned().into_iter().collect();
        namespaces.extend(ours.unwrap_or_default());
        problems.extend(evidence::collect(cluster.access(), &namespaces, folder).await);
        if let Some(log) = cluster.log().await
            && let Err(error) = std::fs::write(folder.join("cluster.log"), log)
        {
            problems.push(format!("cannot write the cluster's log: {error}"));
        }
        let scenario = place.scenario.map(str::to_owned);
        for file in excerpt::files(place.run, place.folder) {
            emitter.emit(Event::EvidenceCollected { scenario: scenario.clone(), file });
        }
        for problem in problems {
            let scenario = scenario.clone();
            emitter.emit(Event::Note { scenario, text: format!("evidence is incomplete: {problem}") });
        }
        Ok(())
    };
    stages.stage(Stage::Evidence, place.folder.display().to_string(), work).await
}

/// Takes a cluster down; trouble is told to the events. Whether nothing is left.
pub(crate) async fn tear_down(stages: &Stages<'_>, cluster: &dyn Cluster) -> bool {
    stages.stage(Stage::Cleanup, cluster.id().to_owned(), cluster.shutdown()).await.is_ok()
}
