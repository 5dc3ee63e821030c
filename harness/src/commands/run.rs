//! `gauntlet run`: checks everything that can be checked before anything is started, then leaves the rest to the engine.

use super::{Source, consent};
use crate::cli::RunArgs;
use crate::{console, interrupt};
use gauntlet_cluster::Provider;
use gauntlet_cluster::host;
use gauntlet_core::event::Consumer;
use gauntlet_core::{ExitCode, RunId, Seed, Selection, Trouble};
use gauntlet_engine::folder::Folder;
use gauntlet_engine::plan::{self, Planned};
use gauntlet_engine::setup::System;
use gauntlet_engine::{Options, run as engine_run};
use gauntlet_report::stream::Stream;
use gauntlet_report::terminal::{Style, Terminal};
use gauntlet_report::{junit, markdown, page};
use scenarios::{registry, systems};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// # Errors
/// Bad input, found before anything was started; or reports that could not be written.
pub async fn run(arguments: RunArgs, verbose: bool) -> Result<ExitCode, Trouble> {
    let planned = planned(&arguments)?;
    if arguments.list {
        planned.iter().for_each(|planned| println!("{}: test", planned.name()));
        return Ok(ExitCode::Passed);
    }
    let source = super::source(&arguments.cluster, &arguments.agent_image, arguments.allow_node_faults)?;
    let summary = arguments.summary.clone().map(markdown::Writer::open).transpose().map_err(Trouble::input)?;
    let system = system(&arguments)?;
    let interrupted = interrupt::token()?;
    tokio::select! {
        prepared = prepare(&arguments, &system, &source) => prepared?,
        () = interrupted.cancelled() => return Ok(ExitCode::Interrupted),
    }
    let provider = source.provider();
    let entropy = uuid::Uuid::new_v4().as_u64_pair();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // Sixteen bits tell apart runs of one second.
    let id = RunId::new(i64::try_from(seconds).unwrap_or(0), entropy.0 as u16);
    // Short enough to type again.
    let seed = Seed(arguments.seed.unwrap_or(entropy.1 % 1_000_000));
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
    let options = Options {
        run: id,
        again: again(&arguments, &system, seed),
        versions: host::programs::versions(&system.contract).await,
        system,
        provider,
        scenarios: planned,
        seed,
        parallel: usize::from(arguments.parallel),
        workers: arguments.nodes,
        keep: arguments.keep,
        folder,
        state_dir: gauntlet_embedded::default_state_dir(),
    };
    engine_run(options, consumers, interrupted).await
}

fn planned(arguments: &RunArgs) -> Result<Vec<Planned>, Trouble> {
    let selection =
        Selection { filters: arguments.filters.clone(), exact: arguments.exact, skip: arguments.skip.clone() };
    plan::plan(&registry::all(), &selection, arguments.repeat)
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
            embedded.check()
        }
        Source::Kubeconfig(cluster) => {
            if arguments.parallel > 1 {
                let trouble = Trouble::input("an existing cluster has room for the system once");
                return Err(trouble.hint("leave out --parallel"));
            }
            cluster.access().await?;
            let objects = system.render().await?.objects;
            let prerequisites = &system.contract.prerequisites;
            let namespaces: Vec<String> = prerequisites.namespaces.iter().map(|name| name.value.clone()).collect();
            let kinds: Vec<String> =
                prerequisites.crds.iter().map(|file| format!("the kinds of {}", file.path.value)).collect();
            consent::ask(&consent::plan(cluster, &namespaces, &objects, &kinds, arguments.keep), arguments.cluster.yes)
        }
    }
}

/// The command that repeats this run, without the names of scenarios.
fn again(arguments: &RunArgs, system: &System, seed: Seed) -> String {
    let mut command = format!(
        "gauntlet run --system {} --overlay {} --cluster {} --nodes {} --seed {seed}",
        arguments.system.system, system.overlay, arguments.cluster.cluster, arguments.nodes
    );
    if let Some(context) = &arguments.cluster.context {
        let _ = write!(command, " --context {context}");
        if arguments.allow_node_faults {
            command.push_str(" --allow-node-faults");
        }
    }
    if let Some(mutant) = &arguments.mutant {
        let _ = write!(command, " --mutant {mutant}");
    }
    command
}
