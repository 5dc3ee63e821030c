//! The server's process: isolated from the host, alive until its lifeline ends.
//!
//! It is the first process of its PID namespace, and its mounts are in a namespace of its own: when it ends, in order
//! or not, the kernel ends every process of the cluster and undoes every mount. So ending in order is just ending.

use std::fs;
use std::io;
use std::process::ExitCode;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::compose;
use crate::config::Config;
use crate::error::{Doing, Error, Result};
use crate::protocol::Report;
use crate::state::write_private;

/// Names the filter of the server's log, in the syntax of `tracing`. Warnings are logged without it.
pub const LOG_VARIABLE: &str = "GAUNTLET_EMBEDDED_LOG";

/// Runs the server to its end. Called before anything else in the process, as long as it has one thread.
pub(crate) fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_env_filter(filter).init();
    match isolate().and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the cluster cannot run");
            Report::Failed(error).send();
            ExitCode::FAILURE
        }
    }
}

/// Leaves the host's mounts, and shows `/proc` as the PID namespace is. Returns this process's id on the host.
fn isolate() -> Result<i32> {
    let own = fs::read_link("/proc/self").doing(|| "read /proc/self")?;
    let pid = own.to_string_lossy().parse().doing(|| "read /proc/self")?;
    unshare(CloneFlags::CLONE_NEWNS).doing(|| "make a mount namespace")?;
    // What the host mounts later still appears here; what is mounted here does not appear on the host.
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none).doing(|| "detach from the host's mounts")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, none).doing(|| "mount /proc")?;
    Ok(pid)
}

fn serve(host_pid: i32) -> Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).doing(|| "read the cluster's configuration from standard input")?;
    let config: Config =
        serde_json::from_str(&line).map_err(|error| Error::InvalidConfig { what: error.to_string() })?;
    let shutdown = CancellationToken::new();
    let lifeline = shutdown.clone();
    let watch = move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        lifeline.cancel();
    };
    std::thread::Builder::new().name("lifeline".into()).spawn(watch).doing(|| "start a thread")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().doing(|| "start the server")?;
    let ended = runtime.block_on(async {
        let signals = shutdown.clone();
        tokio::spawn(async move {
            end_on_signals().await;
            signals.cancel();
        });
        run(&config, host_pid, shutdown).await
    });
    // What still runs has nothing to lose.
    runtime.shutdown_background();
    ended
}

async fn run(config: &Config, host_pid: i32, shutdown: CancellationToken) -> Result<()> {
    let cluster = tokio::select! {
        started = compose::start(config, host_pid, shutdown.clone()) => started?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let info = cluster.info().clone();
    let text = serde_json::to_string_pretty(&info).doing(|| "write the cluster's description")?;
    write_private(&config.paths().info(), &text)?;
    Report::Ready(info).send();
    cluster.run_until(shutdown).await
}

/// The first process of a PID namespace is spared signals that it does not handle.
async fn end_on_signals() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
