//! When evidence is collected, and what events tell of it.

use crate::bus::Emitter;
use crate::excerpt;
use crate::setup::{Stages, System};
use futures::FutureExt;
use futures::future::BoxFuture;
use gauntlet_cluster::Cluster;
use gauntlet_cluster::evidence::{self, Bounds, Scope};
use gauntlet_core::event::{Event, Stage};
use gauntlet_core::{Redactor, Trouble};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What evidence is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Of scenarios that passed too.
    pub all: bool,
    pub bounds: Bounds,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { all: false, bounds: Bounds::of_bytes(DEFAULT_MIB << 20) }
    }
}

/// Of evidence of one scenario, unless somebody says otherwise.
pub const DEFAULT_MIB: usize = 64;

/// How long the API may take to tell which namespaces there are, of the time for all.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Collects evidence into a run's folder.
#[derive(Clone)]
pub struct Collector {
    emitter: Emitter,
    redactor: Redactor,
    system: System,
    /// The run's id.
    run: String,
    /// The run's folder.
    folder: PathBuf,
    bounds: Bounds,
    /// Files that the events know.
    told: Arc<Mutex<BTreeSet<String>>>,
    versions: BTreeMap<String, String>,
}

/// What is collected at once.
pub struct Target<'a> {
    /// Relative to the run's folder.
    pub folder: &'a Path,
    pub scenario: Option<&'a str>,
    pub bounds: Bounds,
}

impl Collector {
    /// Of a run, into its folder.
    pub fn new(
        emitter: Emitter,
        redactor: Redactor,
        system: System,
        run: String,
        folder: PathBuf,
        bounds: Bounds,
    ) -> Self {
        Self { emitter, redactor, system, run, folder, bounds, told: Arc::default(), versions: BTreeMap::new() }
    }

    /// Tells these of the run's programs.
    pub fn with_versions(self, versions: BTreeMap<String, String>) -> Self {
        Self { versions, ..self }
    }

    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Of all evidence of one scenario.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Where something is that is told relative to the run's folder.
    pub(crate) fn path(&self, within: &Path) -> PathBuf {
        self.folder.join(within)
    }

    /// Collects evidence. What could not be had is a note, and so is anything else that goes wrong: evidence never changes
    /// a verdict. The bytes that it took.
    ///
    /// Boxed, since scenarios heal in the middle of futures of their own, which have to be sendable.
    pub fn collect<'a>(&'a self, cluster: &'a dyn Cluster, target: Target<'a>) -> BoxFuture<'a, usize> {
        self.collected(cluster, target).boxed()
    }

    async fn collected(&self, cluster: &dyn Cluster, target: Target<'_>) -> usize {
        let Target { folder, scenario, bounds } = target;
        let stages = Stages { emitter: &self.emitter };
        let work = async {
            let Some(deployment) = self.system.deployment() else { return Err(Trouble::harness("no such overlay")) };
            let mut namespaces = namespaces(&self.system);
            let (began, within) = (Instant::now(), ANSWERS_WITHIN.min(bounds.within / 2));
            let ours = tokio::time::timeout(within, evidence::namespaces_of(cluster.access(), &self.run)).await;
            let bounds = Bounds { within: bounds.within.saturating_sub(began.elapsed()), ..bounds };
            let ours = ours.unwrap_or_else(|_| Err("cannot list namespaces: no answer in time".to_owned()));
            let mut problems: Vec<String> = ours.as_ref().err().cloned().into_iter().collect();
            namespaces.extend(ours.unwrap_or_default());
            let scope = Scope {
                cluster,
                deployment,
                run: &self.run,
                namespaces: &namespaces,
                redactor: &self.redactor,
                versions: &self.versions,
            };
            let collected = evidence::collect(scope, &self.folder.join(folder), bounds).await;
            problems.extend(collected.missing);
            self.tell(folder, scenario, &problems);
            Ok(collected.bytes)
        };
        // Trouble is told by the stage.
        stages.stage(Stage::Evidence, folder.display().to_string(), work).await.unwrap_or(0)
    }

    /// What is deployed: the contract, the objects as they are applied, and the list of the system's files.
    pub fn system(&self, objects: &[Value], listing: &str) {
        const FOLDER: &str = "system";
        let folder = self.folder.join(FOLDER);
        let objects: Vec<Value> = objects.iter().map(|object| self.redactor.object(object.clone())).collect();
        let contract = std::fs::read_to_string(self.system.folder.join("system.yaml")).unwrap_or_default();
        let written = std::fs::create_dir_all(&folder).and_then(|()| {
            std::fs::write(folder.join("objects.json"), serde_json::to_string_pretty(&objects)?)?;
            std::fs::write(folder.join("system.yaml"), self.redactor.text(&contract))?;
            std::fs::write(folder.join("files.sha256"), listing)
        });
        let problems: Vec<String> =
            written.err().into_iter().map(|error| format!("cannot write {}: {error}", folder.display())).collect();
        self.tell(Path::new(FOLDER), None, &problems);
    }

    fn tell(&self, folder: &Path, scenario: Option<&str>, problems: &[String]) {
        let scenario = scenario.map(str::to_owned);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for file in excerpt::files(&self.folder, folder, &mut told) {
            self.emitter.emit(Event::EvidenceCollected { scenario: scenario.clone(), file });
        }
        for problem in problems {
            let text = format!("evidence is incomplete: {problem}");
            self.emitter.emit(Event::Note { scenario: scenario.clone(), text });
        }
    }
}

/// Namespaces of a system.
pub fn namespaces(system: &System) -> BTreeSet<String> {
    system.contract.prerequisites.namespaces.iter().map(|namespace| namespace.value.clone()).collect()
}
