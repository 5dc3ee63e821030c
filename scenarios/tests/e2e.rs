//! Every scenario as a test, from the same registry as the command line: it passes on the bundled systems, fails on
//! each mutant that it exists to catch, and is inconclusive when its fault is made ineffective.
//!
//! Each of them is a whole run on a cluster of its own. Without `--include-ignored` only the healthy systems run.

mod ineffective;

use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::{Provider, host};
use gauntlet_core::digest::Expected;
use gauntlet_core::event::{Consumer, Event, Record};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Capability, RunId, Seed, Trouble, Verdict};
use gauntlet_engine::evidence::Wanted as Evidence;
use gauntlet_engine::folder::Folder;
use gauntlet_engine::kept::Keep;
use gauntlet_engine::plan::Planned;
use gauntlet_engine::setup::System;
use gauntlet_engine::{Again, Options, Scenario, run};
use libtest_mimic::{Arguments, Failed, Trial};
use scenarios::{registry, systems};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Clusters at once, unless the command line says otherwise: each runs some twenty processes with time limits, and mostly
/// waits. As many as `gauntlet run` has on a machine with two cores.
const AT_ONCE: usize = 2;

fn main() -> std::process::ExitCode {
    // This program is the cluster's server and the agent inside it too.
    gauntlet_embedded::dispatch();
    if let Some(arguments) = gauntlet_agent::asked() {
        return gauntlet_agent::dispatch(arguments);
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let unable = prepare().err().map(|trouble| trouble.to_string());
    if let Some(reason) = &unable {
        eprintln!("SKIPPED: no scenario can run on this machine: {reason}");
    }
    let asked_for_all = arguments.include_ignored || arguments.ignored;
    if unable.is_none() && !asked_for_all {
        eprintln!(
            "SKIPPED: mutants and ineffective faults take more than an hour; add `-- --include-ignored` to run them"
        );
    }
    let runs_by_default = |trial: &Trial| unable.is_none() && trial.name().ends_with("::passes");
    let trials = trials().into_iter().map(|trial| {
        let ignored = !runs_by_default(&trial);
        trial.with_ignored_flag(ignored)
    });
    let trials = trials.collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Installs what the bundled systems need and this machine lacks, as `gauntlet run` does.
fn prepare() -> Result<(), Trouble> {
    let runtime = tokio::runtime::Runtime::new().or_trouble(|| "cannot start".to_owned())?;
    for system in systems::names() {
        runtime.block_on(host::ensure(&systems::load(&system)?.contract, false))?;
    }
    runtime.block_on(Embedded::default().check())
}

fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for system in systems::names() {
        let Ok(found) = systems::load(&system) else { continue };
        let mutants = systems::mutants(&found.folder);
        let Some(deployment) = found.contract.deployment(None) else { continue };
        for scenario in registry::all() {
            let name = scenario.info().name;
            // What a system never had is left out; where it has mutants, being skipped is a failure.
            if scenario.applies(deployment).is_err() && !mutants.iter().any(|(catches, _)| catches == name) {
                continue;
            }
            trials.push(trial(&system, scenario, None, Embedded::default(), "passed"));
            for (_, mutant) in mutants.iter().filter(|(catches, _)| catches == name) {
                let path = found.folder.join("mutants").join(name).join(mutant);
                trials.push(trial(&system, scenario, Some((mutant.clone(), path)), Embedded::default(), "failed"));
            }
            let provider = ineffective::Ineffective::default();
            trials.push(trial(&system, scenario, None, provider, "inconclusive"));
            if name == "network.matrix" {
                let provider = ineffective::Ineffective::without(Capability::EnforcePolicies);
                trials.push(trial(&system, scenario, None, provider, "skipped"));
            }
        }
    }
    trials
}

fn trial(
    system: &str,
    scenario: &'static dyn Scenario,
    mutant: Option<(String, PathBuf)>,
    provider: impl Provider + 'static,
    expected: &'static str,
) -> Trial {
    let name = scenario.info().name;
    let what = match (&mutant, expected) {
        (Some((mutant, _)), _) => format!("fails_on::{mutant}"),
        (None, "passed") => "passes".to_owned(),
        (None, "skipped") => "is_skipped_where_only_a_try_tells_that_the_fault_is_ineffective".to_owned(),
        (None, _) => "is_inconclusive_when_the_fault_is_ineffective".to_owned(),
    };
    let system = system.to_owned();
    Trial::test(format!("{system}::{name}::{what}"), move || {
        let mutant = mutant.map(|(_, path)| path);
        let verdict = verdict_of(&system, scenario, mutant, Arc::new(provider))?;
        if verdict.word() == expected {
            return Ok(());
        }
        Err(format!("expected {expected}, got {}:\n  {}", verdict.word(), verdict.reasons().join("\n  ")).into())
    })
}

/// Remembers the verdict.
struct Listen(Arc<Mutex<Option<Verdict>>>);

impl Consumer for Listen {
    fn consume(&mut self, record: &Record) {
        if let Event::ScenarioFinished { verdict, .. } = &record.event {
            *self.0.lock().expect("nobody panics while holding it") = Some(verdict.clone());
        }
    }
}

fn verdict_of(
    system: &str,
    scenario: &'static dyn Scenario,
    mutant: Option<PathBuf>,
    provider: Arc<dyn Provider>,
) -> Result<Verdict, Failed> {
    let found = systems::load(system)?;
    let overlay = found.contract.deployment(None).ok_or("no default overlay")?.overlay_name.to_owned();
    let id = run_id();
    let reports = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    let folder = Folder::create(&reports, &id)?;
    eprintln!("report of {}: {}", scenario.info().name, folder.path().display());
    let again = again(system, &overlay, mutant.as_deref());
    let redactor = gauntlet_engine::redactor(&found.contract);
    let heard = Arc::new(Mutex::new(None));
    let options = Options {
        run: id,
        system: System { contract: Arc::new(found.contract), folder: found.folder, overlay, mutant },
        provider,
        scenarios: vec![Planned { scenario, round: 1 }],
        seed: Seed(1),
        parallel: 1,
        workers: 3,
        keep: Keep::Never,
        until_fail: false,
        folder,
        redactor,
        state_dir: gauntlet_embedded::default_state_dir(),
        versions: BTreeMap::new(),
        evidence: Evidence::default(),
        again,
        expected: Expected::default(),
        baseline: None,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run(options, vec![Box::new(Listen(heard.clone()))], CancellationToken::new()))?;
    let verdict = heard.lock().expect("nobody panics while holding it").take();
    verdict.ok_or_else(|| "the run ended without a verdict".into())
}

/// What repeats it from the command line.
fn again(system: &str, overlay: &str, mutant: Option<&Path>) -> Again {
    let last = |path: &Path| path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let mutant = mutant.map(|path| format!(" --mutant {}/{}", path.parent().map_or(String::new(), last), last(path)));
    let command = format!("gauntlet run --system {system} --overlay {overlay}{}", mutant.unwrap_or_default());
    Again { command, selection: String::new() }
}

/// Unique among runs of this process and of others.
fn run_id() -> RunId {
    static COUNT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let process = u16::try_from(std::process::id() % 4096).unwrap_or(0);
    RunId::new(i64::try_from(now.as_secs()).unwrap_or(0), process.wrapping_mul(16).wrapping_add(count))
}
