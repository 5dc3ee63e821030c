//! One run from its contract to its last event.

use crate::bus::{Bus, Emitter};
use crate::folder::{Folder, RunRecord};
use crate::lane;
use crate::plan::Planned;
use crate::setup::{Stages, System, elapsed_ms};
use gauntlet_chaos::Journal;
use gauntlet_cluster::Provider;
use gauntlet_core::contract::model::Promise;
use gauntlet_core::event::{Consumer, Event, Promised, RunHeader, Stage};
use gauntlet_core::{ExitCode, RunId, Seed, Trouble, Verdict};
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
    /// Clusters stay when the run ends.
    pub keep: bool,
    pub folder: Folder,
    pub state_dir: PathBuf,
    pub versions: BTreeMap<String, String>,
    /// The command that runs all this again, without the names of scenarios.
    pub again: String,
}

/// What lanes share.
pub(crate) struct Shared {
    pub run: RunId,
    pub system: System,
    pub provider: Arc<dyn Provider>,
    pub seed: Seed,
    pub workers: u8,
    pub keep: bool,
    pub folder: Folder,
    pub again: String,
    pub objects: Vec<Value>,
    pub emitter: Emitter,
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
        let exit = ExitCode::of(&state.verdicts, state.left_something, self.interrupted.is_cancelled());
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
    let record = RunRecord::create(&options.state_dir, &options.run, &options.provider.key(), options.keep)?;
    let bus = Bus::start(&options.folder.events(), consumers)?;
    let emitter = bus.emitter();
    emitter.emit(Event::RunStarted(header(&options)));
    let exit = conduct(options, &emitter, record.journal.clone(), interrupted.clone()).await;
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
        scenarios: options.scenarios.iter().map(Planned::name).collect(),
        again: options.again.clone(),
        promises: options.system.contract.promises.iter().map(promised).collect(),
    }
}

fn promised(promise: &Promise) -> Promised {
    Promised { id: promise.id.value.clone(), says: promise.says.clone(), reference: promise.reference.clone() }
}

async fn conduct(
    options: Options,
    emitter: &Emitter,
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
    let lanes = options.parallel.clamp(1, options.scenarios.len().max(1));
    let shared = Arc::new(Shared {
        run: options.run,
        system: options.system,
        provider: options.provider,
        seed: options.seed,
        workers: options.workers,
        keep: options.keep,
        folder: options.folder,
        again: options.again,
        objects,
        emitter: emitter.clone(),
        journal,
        interrupted,
        state: Mutex::new(State { queue: options.scenarios.into(), trouble, ..State::default() }),
    });
    futures::future::join_all((1..=lanes).map(|lane| lane::work(shared.clone(), lane))).await;
    shared.exit()
}
