//! Clients that use a system from within the cluster and record what came of it.
//!
//! `agent workload redis|nats|pipeline`. The servers and credentials come from the same environment that the system's
//! services have (`REDIS_URL`, `NATS_URL`, …; see [`crate::standin`]); what to do comes as JSON ([`Config`]) from
//! `--config FILE` or `GAUNTLET_WORKLOAD`. Each line of the history is in the file before the operation that it tells
//! of leaves the process; standard output carries a copy for whoever watches, and may break or lag without harm.
//!
//! A workload is `idle`, `running`, `stopped`, `verifying` or `verified`. Control ([`control`]) is HTTP on port 7070:
//! `POST /start` (answers once the system was reached), `POST /stop`, `POST /verify` (reads the final state back),
//! `GET /status`, `GET /history` (all of it, JSON lines), `GET /peers` (of the store used, where it has peers that vote); `agent control COMMAND` says the same through exec. TERM
//! stops the workload, prints a summary and ends with 0.

mod config;
mod control;
mod nats;
mod nats_consumer;
mod nats_dump;
mod nats_peers;
mod pipeline;
mod recorder;
mod redis;
mod redis_dump;
pub(crate) mod router;
mod runner;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

pub use config::Config;
pub use control::ControlArgs;

use crate::standin::env;
use crate::{lifecycle, output};
use recorder::Recorder;
use runner::{Runner, Workload};

/// What to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Redis,
    Nats,
    Pipeline,
}

#[derive(Args)]
pub struct WorkloadArgs {
    /// What to use.
    kind: Kind,
    /// A JSON file that says how; else GAUNTLET_WORKLOAD does, else everything is as by default.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Runs a workload until TERM.
///
/// # Errors
/// Bad configuration, a port that is taken, or a history that cannot be written.
pub async fn run(args: WorkloadArgs) -> Result<()> {
    let config = read_config(args.config)?;
    let recorder = Arc::new(Recorder::create(&config.history_dir, &config.client, config.stream)?);
    let workload = match args.kind {
        Kind::Redis => Workload::Redis(Arc::new(redis::RedisWorkload::new(&config)?)),
        Kind::Nats => Workload::Nats(Arc::new(nats::NatsWorkload::new(&config)?)),
        Kind::Pipeline => Workload::Pipeline(Arc::new(pipeline::PipelineWorkload::new(&config)?)),
    };
    let shutdown = lifecycle::shutdown_on_signal()?;
    let runner = Arc::new(Runner::new(workload, recorder, &config));
    if config.autostart {
        let starting = runner.clone();
        tokio::spawn(async move {
            if let Err(error) = starting.start().await {
                tracing::error!("the workload did not start: {error:#}");
            }
        });
    }
    let served = control::serve(config.control, runner.clone(), shutdown).await;
    runner.stop().await;
    // Whoever read along may be gone; the history is what counts.
    if let Err(error) = output::line(serde_json::json!({"summary": runner.status()})) {
        tracing::warn!("{error:#}");
    }
    served
}

/// Says one word to a workload and prints its answer; the exit code is 0 where it agreed.
///
/// # Errors
/// Nobody answers.
pub async fn say(args: ControlArgs) -> Result<ExitCode> {
    control::say(args).await
}

fn read_config(path: Option<PathBuf>) -> Result<Config> {
    let (text, origin) = match path {
        Some(path) => {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("{} could not be read", path.display()))?;
            (text, path.display().to_string())
        }
        None => (env("GAUNTLET_WORKLOAD").unwrap_or_else(|| "{}".into()), "GAUNTLET_WORKLOAD".into()),
    };
    serde_json::from_str(&text).with_context(|| format!("{origin} is no configuration of a workload"))
}
