//! One run from its contract to its last event.

use crate::again::Again;
use crate::bus::{Bus, Emitter};
use crate::evidence::{self, Collector};
use crate::folder::{Folder, RunRecord};
use crate::header::header;
use crate::kept::Keep;
use crate::lane;
use crate::listing;
use crate::plan::{self, Planned};
use crate::setup::{Stages, System, elapsed_ms};
use gauntlet_chaos::Journal;
use gauntlet_cluster::Provider;
use gauntlet_cluster::host::release;
use gauntlet_core::baseline::{Baseline, Measurement, Origin};
use gauntlet_core::digest::{self, Digest, Expected};
use gauntlet_core::event::{Consumer, Event, Stage};
use gauntlet_core::{Capability, ExitCode, Figure, Redactor, RunId, Seed, Trouble, Verdict};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    /// Takes out of everything that is told what must not be.
    pub redactor: Redactor,
    pub state_dir: PathBuf,
    pub versions: BTreeMap<String, String>,
    /// The command that was given.
    pub again: Again,
    /// What is expected to be deployed.
    pub expected: Expected,
    pub evidence: evidence::Wanted,
    /// What the figures are held against when everything is judged.
    pub baseline: Option<Baseline>,
}

/// What lanes share.
pub(crate) struct Shared {
    pub run: RunId,
    pub origin: Origin,
    pub system: System,
    pub provider: Arc<dyn Provider>,
    pub seed: Seed,
    pub workers: u8,
    pub keep: Keep,
    pub until_fail: bool,
    pub state_dir: PathBuf,
    pub folder: Folder,
    pub again: Again,
    pub objects: Vec<Value>,
    /// Powers that its scenarios need.
    pub needs: BTreeSet<Capability>,
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
    measured: Vec<Measurement>,
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

    /// Keeps a verdict, and figures where it says that they can be relied on.
    pub fn judged(&self, scenario: &str, verdict: Verdict, figures: &[Figure]) {
        let mut state = self.state();
        if matches!(verdict, Verdict::Passed(_) | Verdict::Failed { .. }) {
            state.measured.extend(self.origin.measurements(scenario, figures));
        }
        state.verdicts.push(verdict);
    }

    /// Holds the figures against those of earlier runs. A regression that is to fail the run is like a broken promise.
    fn held_against(&self, baseline: &Baseline, exit: ExitCode) -> ExitCode {
        let comparison = baseline.against(&self.state().measured);
        let failed = comparison.has_failed() && matches!(exit, ExitCode::Passed | ExitCode::Inconclusive);
        self.emitter.emit(Event::BaselineCompared(comparison));
        if failed { ExitCode::Failed } else { exit }
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
    let redactor = options.redactor.clone();
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

/// Tells what is deployed and what is not as expected. `None` where it could not be taken.
fn digest(
    emitter: &Emitter,
    listing: &Result<String, Trouble>,
    objects: &[Value],
    expected: &Expected,
) -> Option<Digest> {
    match listing {
        Ok(listing) => {
            let digest = Digest { system: digest::of_bytes(listing.as_bytes()), overlay: digest::of_objects(objects) };
            let differs = expected.differences(&digest);
            emitter.emit(Event::Digested { digest: digest.clone(), differs });
            Some(digest)
        }
        Err(trouble) => {
            emitter.emit(Event::Note { scenario: None, text: format!("no digest of the system: {trouble}") });
            None
        }
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
    let folder = options.folder.path().to_owned();
    let origin = Origin::of(&header(&options));
    let baseline = options.baseline;
    let listing = listing::of(&options.system.folder);
    let mut again = options.again;
    let (objects, trouble) = match render.await {
        Ok(rendered) => {
            emitter.emit(Event::Note { scenario: None, text: format!("rendered by {}", rendered.by) });
            if let Some(digest) = digest(emitter, &listing, &rendered.objects, &options.expected) {
                again.command = format!("{} {}", again.command, digest.option());
            }
            let images = release::others(&rendered.objects, &options.versions);
            if !images.is_empty() {
                emitter.emit(Event::OtherReleases { images });
            }
            (options.provider.adapt(rendered.objects, &options.system.contract.images), None)
        }
        Err(trouble) => (vec![], Some(trouble)),
    };
    redactor.learn(&objects);
    let (run, system, bounds) = (options.run.to_string(), options.system.clone(), options.evidence.bounds);
    let collector = Collector::new(emitter.clone(), redactor, system, run, folder, bounds);
    let collector = collector.with_versions(options.versions);
    collector.system(&objects, listing.as_deref().unwrap_or_default());
    let deployment = options.system.deployment();
    let needs = deployment.map(|deployment| plan::needs(&options.scenarios, deployment)).unwrap_or_default();
    let lanes = options.parallel.clamp(1, options.scenarios.len().max(1));
    let shared = Arc::new(Shared {
        run: options.run,
        origin,
        system: options.system,
        provider: options.provider,
        seed: options.seed,
        workers: options.workers,
        keep: options.keep,
        until_fail: options.until_fail,
        state_dir: options.state_dir,
        folder: options.folder,
        again,
        objects,
        needs,
        emitter: emitter.clone(),
        collector,
        evidence: options.evidence,
        journal,
        interrupted,
        state: Mutex::new(State { queue: options.scenarios.into(), trouble, ..State::default() }),
    });
    futures::future::join_all((1..=lanes).map(|lane| lane::work(shared.clone(), lane))).await;
    let exit = shared.exit();
    baseline.map_or(exit, |baseline| shared.held_against(&baseline, exit))
}
