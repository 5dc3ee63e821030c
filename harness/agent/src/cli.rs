//! The command line and the way from it into each part.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::{cluster_view, exporter, idle, keep, lifecycle, nats_cli, node, output, probe, standin, workload};

/// What this program was asked as the agent: it was started as `PROGRAM agent …`, or under the name of a tool that the
/// agent is. Every program that starts itself again inside a cluster looks here first.
pub fn asked() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os();
    let program = arguments.next()?;
    let rest: Vec<OsString> = arguments.collect();
    match std::path::Path::new(&program).file_name()?.to_str()? {
        "nats" => Some(std::iter::once("nats".into()).chain(rest).collect()),
        _ if rest.first()? == "agent" => Some(rest.into_iter().skip(1).collect()),
        _ => None,
    }
}

/// Clients, stand-ins and small tools that run inside a cluster under test.
#[derive(Parser)]
#[command(name = "agent")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stand in for one service of a system whose images are not at hand.
    Standin {
        /// The service to be.
        service: standin::Service,
        /// Of a listener: the ports to answer on.
        ports: Vec<u16>,
        /// Of a listener: end at once, as work does that is done.
        #[arg(long)]
        ends: bool,
    },
    /// Use a system and record what came of it.
    Workload(workload::WorkloadArgs),
    /// Tell a running workload what to do.
    Control(workload::ControlArgs),
    /// Print what every node of the Redis Cluster says of it, and what writes come to, as JSON.
    RedisClusterView {
        /// How long one question to one node may take, in milliseconds.
        #[arg(long, default_value_t = 2000)]
        timeout_ms: u64,
    },
    /// Tell Prometheus of a Redis server.
    RedisExporter(exporter::ExporterArgs),
    /// Save, restore and look at JetStream streams.
    Nats(nats_cli::NatsArgs),
    /// Stay, so that probes can be run here.
    Idle(idle::IdleArgs),
    /// Write known data and tell what of it is there.
    #[command(subcommand)]
    Keep(keep::KeepCommand),
    /// Have powers over the pods of this node, while somebody renews the lease.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Print whether targets can be reached, as JSON.
    Probe(probe::ProbeArgs),
}

impl Command {
    /// Whether it runs until TERM, rather than until it is done.
    fn serves(&self) -> bool {
        match self {
            Self::Standin { .. } | Self::Workload(_) | Self::RedisExporter(_) | Self::Idle(_) => true,
            Self::Node(command) => command.serves(),
            _ => false,
        }
    }
}

/// Runs `agent ARGS…` (without the program's name) to its end. Errors go to standard error; the exit code is 0 on
/// success, 2 for a bad command line, 1 for everything else.
pub fn dispatch(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = std::iter::once(OsString::from("agent")).chain(args);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Printing fails only where there is nobody to read it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    lifecycle::init_logging(if command.serves() { "info" } else { "warn" });
    lifecycle::init_crypto();
    // Pods are many and small: one thread each is enough and keeps them so.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime could not be started")?;
    runtime.block_on(async {
        match command {
            Command::Standin { ends: true, .. } => {
                println!("a stand-in: nothing is done here, and that is done");
                Ok(ExitCode::SUCCESS)
            }
            Command::Standin { service, ports, .. } => standin::run(service, &ports).await.map(|()| ExitCode::SUCCESS),
            Command::Workload(args) => workload::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Control(args) => workload::say(args).await,
            Command::RedisClusterView { timeout_ms } => {
                let view = cluster_view::view(Duration::from_millis(timeout_ms)).await?;
                output::json(&view).map(|()| ExitCode::SUCCESS)
            }
            Command::RedisExporter(args) => exporter::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Nats(args) => nats_cli::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Idle(args) => idle::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Keep(command) => keep::run(command).await.map(|()| ExitCode::SUCCESS),
            Command::Node(command) => node::run(command).await.map(|()| ExitCode::SUCCESS),
            Command::Probe(args) => output::json(&probe::probe(&args).await).map(|()| ExitCode::SUCCESS),
        }
    })
}
