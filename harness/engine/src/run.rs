//! One run from its contract to its last event.

use crate::bus::{Bus, Emitter};
use crate::evidence::{self, Collector};
use crate::folder::{Folder, RunRecord};
use crate::kept::Keep;
use crate::lane;
use crate::plan::Planned;
use crate::setup::{Stages, System, elapsed_ms};
use gauntlet_chaos::Journal;
use gauntlet_cluster::Provider;
use gauntlet_core::Contract;
use gauntlet_core::contract::model::Promise;
use gauntlet_core::contract::prerequisites::SecretValue;
use gauntlet_core::contract::workload::Image;
use gauntlet_core::event::{Consumer, Event, Promised, RunHeader, Stage};
use gauntlet_core::{ExitCode, Redactor, RunId, Seed, Trouble, Verdict};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Everything a run needs to know.
pub struct Options {
    pub run: RunId,
    pub system: System,
    pub provider: Arc<dyn Provider>,
    pub scenarios: Vec<Planned>,
    pub seed: Seed,
    /// How many clusters at once.
    pub parallel: usize,
    /// Nodes for the system on each cluster.
    pub workers: u8,
    /// Clusters that stay when the run ends.
    pub keep: Keep,
    /// Nothing more is begun once something did not pass.
    pub until_fail: bool,
    pub folder: Folder,
    pub state_dir: PathBuf,
    pub versions: BTreeMap<String, String>,
    /// The command that runs all this again, without the names of scenarios.
    pub again: String,
    pub evidence: evidence::Wanted,
}

/// What lanes share.
pub(crate) struct Shared {
    pub run: RunId,
    pub system: System,
    pub provider: Arc<dyn Provider>,
    pub seed: Seed,
    pub workers: u8,
    pub keep: Keep,
    pub until_fail: bool,
    pub state_dir: PathBuf,
    pub folder: Folder,
    pub again: String,
    pub objects: Vec<Value>,
    pub emitter: Emitter,
    pub collector: Collector,
    pub evidence: evidence::Wanted,
    pub journal: Arc<Journal>,
    pub interrupted: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Planned>,
    verdicts: Vec<Verdict>,
    /// The set-up does not work: nothing else is tried.
    trouble: Option<Trouble>,
    left_something: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn next(&self) -> Option<Planned> {
        self.state().queue.pop_front()
    }

    /// Why nothing more is to be tried.
    pub fn hopeless(&self) -> Option<String> {
        if self.interrupted.is_cancelled() {
            return Some("interrupted before it started".to_owned());
        }
        self.state().trouble.as_ref().map(|trouble| format!("the system could not be set up: {trouble}"))
    }

    /// Why nothing more is begun although everything could go on.
    pub fn enough(&self) -> Option<String> {
        let open = |verdict: &Verdict| matches!(verdict, Verdict::Failed { .. } | Verdict::Inconclusive { .. });
        let found = self.until_fail && self.state().verdicts.iter().any(open);
        found.then(|| "something did not pass, which is what was waited for".to_owned())
    }

    pub fn applies(&self, planned: &Planned) -> Result<(), String> {
        self.system.deployment().map_or(Ok(()), |deployment| planned.scenario.applies(deployment))
    }

    pub fn give_up(&self, trouble: Trouble) {
        self.state().trouble.get_or_insert(trouble);
    }

    pub fn left_something(&self) {
        self.state().left_something = true;
    }

    pub fn judged(&self, verdict: Verdict) {
        self.state().verdicts.push(verdict);
    }

    fn exit(&self) -> ExitCode {
        let state = self.state();
        // A run in which nothing is promised has not passed, also where everything was skipped.
        let open = state.left_something || self.system.contract.is_all_guessed();
        let exit = ExitCode::of(&state.verdicts, open, self.interrupted.is_cancelled());
        match (&state.trouble, exit) {
            (Some(trouble), ExitCode::Inconclusive) => trouble.exit_code(),
            _ => exit,
        }
    }
}

/// Runs to the end, whatever happens on the way. Cancelling `interrupted` ends it early, cleaned up and reported.
///
/// # Errors
/// The run could not even begin to be recorded.
pub async fn run(
    options: Options,
    consumers: Vec<Box<dyn Consumer>>,
    interrupted: CancellationToken,
) -> Result<ExitCode, Trouble> {
    let started = Instant::now();
    let record =
        RunRecord::create(&options.state_dir, &options.run, &options.provider.key(), options.keep == Keep::Always)?;
    let redactor = Redactor::sparing(public(&options.system.contract));
    let bus = Bus::start(&options.folder.events(), consumers, redactor.clone())?;
    let emitter = bus.emitter();
    emitter.emit(Event::RunStarted(header(&options)));
    let exit = conduct(options, &emitter, redactor, record.journal.clone(), interrupted.clone()).await;
    if interrupted.is_cancelled() {
        emitter.emit(Event::Interrupted);
    }
    if let Err(trouble) = record.close() {
        emitter.emit(Event::Trouble { stage: Stage::Cleanup, message: trouble.message, hints: trouble.hints });
    }
    emitter.emit(Event::RunFinished { exit, took_ms: elapsed_ms(started) });
    let problems = bus.close();
    if problems.is_empty() {
        return Ok(exit);
    }
    Err(Trouble::harness(format!("the run ended ({exit:?}), but its reports are incomplete: {}", problems.join("; "))))
}

fn header(options: &Options) -> RunHeader {
    RunHeader {
        run: options.run.clone(),
        seed: options.seed,
        system: options.system.contract.name.value.clone(),
        overlay: options.system.overlay.clone(),
        provider: options.provider.name().to_owned(),
        versions: options.versions.clone(),
        // How often they will run until something fails, nobody knows.
        scenarios: options
            .scenarios
            .iter()
            .filter(|p| !options.until_fail || p.round == 1)
            .map(Planned::name)
            .collect(),
        again: options.again.clone(),
        promises: options.system.contract.promises.iter().map(promised).collect(),
        stand_ins: stand_ins(&options.system.contract),
    }
}

fn stand_ins(contract: &Contract) -> BTreeMap<String, String> {
    let name = |image: &Image| Some((image.name.value.clone(), image.stand_in()?));
    contract.images.iter().filter_map(name).collect()
}

/// What a Secret may hold and is none: names, without which no report could be read, and values of which the contract says
/// so.
fn public(contract: &Contract) -> Vec<String> {
    let workloads = contract.workloads.iter().flat_map(|workload| {
        let name = Some(workload.name.value.clone());
        [name, workload.service.clone(), workload.container.clone()].into_iter().flatten()
    });
    let namespaces = contract.prerequisites.namespaces.iter().map(|namespace| namespace.value.clone());
    let endpoints = contract.stores.iter().flat_map(|store| &store.endpoints).flat_map(|endpoint| {
        let host = endpoint.value.split(':').next().unwrap_or_default();
        [endpoint.value.clone(), host.to_owned()]
    });
    let values = contract.prerequisites.secrets.iter().flat_map(|secret| secret.values.values());
    let literals = values.filter_map(|value| match value {
        SecretValue::Literal(text) => Some(text.clone()),
        SecretValue::RandomHex(_) => None,
    });
    let all = workloads.chain(namespaces).chain(endpoints).chain(literals);
    all.chain([contract.name.value.clone()]).collect()
}

fn promised(promise: &Promise) -> Promised {
    Promised {
        id: promise.id.value.clone(),
        says: promise.says.clone(),
        reference: promise.reference.clone(),
        guessed: promise.guessed,
    }
}

async fn conduct(
    options: Options,
    emitter: &Emitter,
    redactor: Redactor,
    journal: Arc<Journal>,
    interrupted: CancellationToken,
) -> ExitCode {
    let stages = Stages { emitter };
    let render = stages.stage(Stage::Render, options.system.overlay.clone(), options.system.render());
    let (objects, trouble) = match render.await {
        Ok(rendered) => {
            emitter.emit(Event::Note { scenario: None, text: format!("rendered by {}", rendered.by) });
            (options.provider.adapt(rendered.objects, &options.system.contract.images), None)
        }
        Err(trouble) => (vec![], Some(trouble)),
    };
    redactor.learn(&objects);
    let folder = options.folder.path().to_owned();
    let collector = Collector::new(emitter.clone(), redactor, options.system.clone(), folder, options.evidence.bounds);
    collector.system(&objects);
    let lanes = options.parallel.clamp(1, options.scenarios.len().max(1));
    let shared = Arc::new(Shared {
        run: options.run,
        system: options.system,
        provider: options.provider,
        seed: options.seed,
        workers: options.workers,
        keep: options.keep,
        until_fail: options.until_fail,
        state_dir: options.state_dir,
        folder: options.folder,
        again: options.again,
        objects,
        emitter: emitter.clone(),
        collector,
        evidence: options.evidence,
        journal,
        interrupted,
        state: Mutex::new(State { queue: options.scenarios.into(), trouble, ..State::default() }),
    });
    futures::future::join_all((1..=lanes).map(|lane| lane::work(shared.clone(), lane))).await;
    shared.exit()
}
