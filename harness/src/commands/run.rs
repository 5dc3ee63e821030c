//! `gauntlet run`: checks everything that can be checked before anything is started, then leaves the rest to the engine.

use super::again::again;
use super::{Source, baseline, consent};
use crate::cli::{Evidence, Kept, RunArgs};
use crate::console::say;
use crate::{console, interrupt};
use gauntlet_cluster::Provider;
use gauntlet_cluster::evidence::Bounds;
use gauntlet_cluster::provider::kubeconfig::Kubeconfig;
use gauntlet_cluster::{host, ownership};
use gauntlet_core::event::Consumer;
use gauntlet_core::{ExitCode, RunId, Seed, Selection, Trouble};
use gauntlet_engine::evidence;
use gauntlet_engine::folder::Folder;
use gauntlet_engine::kept::Keep;
use gauntlet_engine::plan::{self, Planned};
use gauntlet_engine::setup::System;
use gauntlet_engine::{Options, run as engine_run};
use gauntlet_report::stream::Stream;
use gauntlet_report::terminal::{Style, Terminal};
use gauntlet_report::{junit, markdown, page};
use scenarios::{registry, systems};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// # Errors
/// Bad input, found before anything was started; or reports that could not be written.
pub async fn run(arguments: RunArgs, verbose: bool) -> Result<ExitCode, Trouble> {
    let planned = planned(&arguments)?;
    if arguments.list {
        planned.iter().for_each(|planned| say(format!("{}: test", planned.name())));
        return Ok(ExitCode::Passed);
    }
    let details = super::Details {
        agent_image: arguments.agent_image.as_deref(),
        node_faults: arguments.allow_node_faults,
        kind: Some(&arguments.kind),
    };
    let source = super::source(&arguments.cluster, &details)?;
    let baseline = arguments.baseline.as_ref();
    let baseline =
        baseline.map(|file| baseline::read(file, arguments.level, arguments.fail_on_regression)).transpose()?;
    let summary = arguments.summary.clone().map(markdown::Writer::open).transpose().map_err(Trouble::input)?;
    let system = system(&arguments)?;
    let interrupted = interrupt::token()?;
    tokio::select! {
        prepared = prepare(&arguments, &system, &source) => prepared?,
        () = interrupted.cancelled() => return Ok(ExitCode::Interrupted),
    }
    let versions = versions(&system, &source).await?;
    let entropy = uuid::Uuid::new_v4().as_u64_pair();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // Sixteen bits tell apart runs of one second.
    let id = RunId::new(i64::try_from(seconds).unwrap_or(0), entropy.0 as u16);
    let seed = arguments.seed.map_or(Seed::short(entropy.1), Seed);
    let folder = Folder::create(&arguments.report, &id)?;
    let streams = arguments.events.is_some();
    let style = Style { live: console::is_watched(), colour: console::wants_colour(), verbose };
    let terminal = Terminal::new(style, folder.path().to_owned(), streams);
    let mut consumers: Vec<Box<dyn Consumer>> = vec![
        Box::new(junit::Writer::new(folder.junit())),
        Box::new(page::Writer::new(folder.page())),
        Box::new(terminal),
    ];
    consumers.extend(summary.map(|writer| Box::new(writer) as Box<dyn Consumer>));
    if streams {
        consumers.push(Box::new(Stream::new(std::io::stdout())));
    }
    let redactor = gauntlet_engine::redactor(&system.contract);
    console::redact_with(redactor.clone());
    let options = Options {
        run: id,
        again: again(&arguments, &system.overlay),
        baseline,
        expected: arguments.expect_digest.clone().unwrap_or_default(),
        versions,
        system,
        parallel: parallel(&arguments, &source),
        provider: source.provider(),
        scenarios: planned,
        seed,
        workers: arguments.nodes,
        keep: keep(&arguments),
        until_fail: arguments.until_fail,
        evidence: evidence::Wanted {
            all: arguments.evidence == Evidence::All,
            bounds: Bounds::of_bytes(arguments.evidence_limit << 20),
        },
        folder,
        redactor,
        state_dir: gauntlet_embedded::default_state_dir(),
    };
    engine_run(options, consumers, interrupted).await
}

/// More clusters than this at once only wait for each other's disk.
const MOST_AT_ONCE: usize = 8;

/// How many clusters there are at once.
fn parallel(arguments: &RunArgs, source: &Source) -> usize {
    match (arguments.parallel, source) {
        (Some(wanted), _) => usize::from(wanted),
        // A cluster of kind takes gigabytes.
        (None, Source::Kubeconfig(_) | Source::Kind(_)) => 1,
        (None, Source::Embedded(_)) => std::thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE),
    }
}

/// Of a run that ends when something fails.
const MOST_ROUNDS: u32 = 1000;

fn keep(arguments: &RunArgs) -> Keep {
    match arguments.keep {
        None => Keep::Never,
        Some(Kept::Failed) => Keep::Failed,
        Some(Kept::All) => Keep::Always,
    }
}

pub fn planned(arguments: &RunArgs) -> Result<Vec<Planned>, Trouble> {
    let selection =
        Selection { filters: arguments.filters.clone(), exact: arguments.exact, skip: arguments.skip.clone() };
    let rounds = arguments.repeat.unwrap_or(if arguments.until_fail { MOST_ROUNDS } else { 1 });
    plan::plan(&registry::all(), &selection, rounds)
}

fn system(arguments: &RunArgs) -> Result<System, Trouble> {
    let found = systems::load(&arguments.system.system)?;
    let overlay = super::deployment(&found.contract, arguments.overlay.as_deref())?.overlay_name.to_owned();
    let mutant = arguments.mutant.as_deref().map(|name| systems::mutant(&found.folder, name)).transpose()?;
    Ok(System { contract: Arc::new(found.contract), folder: found.folder, overlay, mutant })
}

/// Everything that can be checked or agreed to before anything is started.
async fn prepare(arguments: &RunArgs, system: &System, source: &Source) -> Result<(), Trouble> {
    match source {
        Source::Embedded(embedded) => {
            host::ensure(&system.contract, arguments.no_install).await?;
            embedded.check().await
        }
        Source::Kind(kind) => {
            kind.check().await?;
            let objects = kind.adapt(system.render().await?.objects, &system.contract.images);
            let pulled = kind.to_be_pulled(&objects).await?;
            if !pulled.is_empty() {
                eprintln!("not in the local engine, so nodes pull it unless an archive has it: {}", pulled.join(", "));
            }
            Ok(())
        }
        Source::Kubeconfig(cluster) => {
            if arguments.parallel.is_some_and(|wanted| wanted > 1) {
                let trouble = Trouble::input("an existing cluster has room for the system once");
                return Err(trouble.hint("leave out --parallel"));
            }
            cluster.access().await?;
            let objects = system.render().await?.objects;
            consent::ask(disturbances(arguments, system, cluster, &objects)?, arguments.cluster.yes)
        }
    }
}

/// What a run will do to a cluster that has other users.
fn disturbances<'a>(
    arguments: &RunArgs,
    system: &System,
    cluster: &'a Kubeconfig,
    objects: &'a [serde_json::Value],
) -> Result<consent::Plan<'a>, Trouble> {
    let prerequisites = &system.contract.prerequisites;
    let deployment = system.deployment();
    let applies = |planned: &Planned| deployment.is_none_or(|deployment| planned.scenario.applies(deployment).is_ok());
    let planned: Vec<Planned> = planned(arguments)?.into_iter().filter(|p| p.round == 1 && applies(p)).collect();
    let tries = |name: &str| planned.iter().any(|planned| planned.scenario.info().name == name);
    let peers = system.contract.network.iter().flat_map(|network| &network.peers);
    let mut namespaces = ownership::namespaces(objects);
    namespaces.extend(prerequisites.namespaces.iter().map(|name| name.value.clone()));
    let needs = deployment.map(|deployment| plan::needs(&planned, deployment)).unwrap_or_default();
    Ok(consent::Plan {
        cluster,
        powers: cluster.powers(&needs),
        namespaces,
        objects,
        kinds: prerequisites.crds.iter().map(|file| format!("the kinds of {}", file.path.value)).collect(),
        beside: peers.filter(|_| tries("network.matrix")).map(|peer| peer.namespace.clone()).collect(),
        scenarios: planned
            .iter()
            .map(|planned| (planned.scenario.info().name.to_owned(), planned.scenario.info().summary))
            .collect(),
        keep: arguments.keep.is_some(),
    })
}

/// What decides how the run goes, besides the system.
async fn versions(system: &System, source: &Source) -> Result<BTreeMap<String, String>, Trouble> {
    let of_gauntlet = ("gauntlet".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    match source {
        Source::Embedded(_) => Ok(host::programs::versions(&system.contract).await),
        Source::Kind(kind) => Ok(kind.versions().await?.into_iter().chain([of_gauntlet]).collect()),
        Source::Kubeconfig(cluster) => {
            let kubernetes = ("kubernetes".to_owned(), cluster.access().await?.version().await?);
            Ok(BTreeMap::from([of_gauntlet, kubernetes]))
        }
    }
}
