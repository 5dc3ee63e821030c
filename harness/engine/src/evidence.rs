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
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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

/// Collects evidence into a run's folder.
#[derive(Clone)]
pub struct Collector {
    emitter: Emitter,
    redactor: Redactor,
    system: System,
    /// The run's folder.
    run: PathBuf,
    bounds: Bounds,
}

impl Collector {
    pub fn new(emitter: Emitter, redactor: Redactor, system: System, run: PathBuf, bounds: Bounds) -> Self {
        Self { emitter, redactor, system, run, bounds }
    }

    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Collects into `folder`, relative to the run's folder. What could not be had is a note, and so is anything else
    /// that goes wrong: evidence never changes a verdict.
    ///
    /// Boxed, since scenarios heal in the middle of futures of their own, which have to be sendable.
    pub fn collect<'a>(
        &'a self,
        cluster: &'a dyn Cluster,
        folder: &'a Path,
        scenario: Option<&'a str>,
    ) -> BoxFuture<'a, ()> {
        self.collected(cluster, folder, scenario).boxed()
    }

    async fn collected(&self, cluster: &dyn Cluster, folder: &Path, scenario: Option<&str>) {
        let stages = Stages { emitter: &self.emitter };
        let work = async {
            let Some(deployment) = self.system.deployment() else { return Err(Trouble::harness("no such overlay")) };
            let mut namespaces = namespaces(&self.system);
            let ours = evidence::namespaces_of_runs(cluster.access()).await;
            let mut problems: Vec<String> = ours.as_ref().err().cloned().into_iter().collect();
            namespaces.extend(ours.unwrap_or_default());
            let scope = Scope { cluster, deployment, namespaces: &namespaces, redactor: &self.redactor };
            problems.extend(evidence::collect(scope, &self.run.join(folder), self.bounds).await);
            self.tell(folder, scenario, &problems);
            Ok(())
        };
        // Trouble is told by the stage.
        let _ = stages.stage(Stage::Evidence, folder.display().to_string(), work).await;
    }

    /// What is deployed: the contract, the objects as they are applied, and the list of the system's files.
    pub fn system(&self, objects: &[Value], listing: &str) {
        const FOLDER: &str = "system";
        let folder = self.run.join(FOLDER);
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
        for file in excerpt::files(&self.run, folder) {
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
