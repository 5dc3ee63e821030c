//! The process between launcher and server: it holds the cluster's directory, makes the server the first process of a
//! PID namespace, ends it when it should end, and cleans up after it however it ended.
//!
//! It does little, so that it does not fail. Should it be killed, the server sees its own standard input end, and ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::{Config, Paths};
use crate::error::{Doing, Error, Result};
use crate::protocol::{INSIDE, Report, SUBCOMMAND};
use crate::state::{Claim, last_words};
use crate::{preflight, sweep};

/// How long the server may take to end by itself. There is nothing to save: its data goes with it.
const GRACE: Duration = Duration::from_secs(5);

/// How many lines of the server's log are quoted when it dies.
const LAST_WORDS: usize = 12;

/// Runs a cluster to its end. Called before anything else in the process, as long as it has one thread.
pub(crate) fn main() -> ExitCode {
    match supervise() {
        Ok(()) => {
            Report::Ended.send();
            ExitCode::SUCCESS
        }
        Err(error) => {
            Report::Failed(error).send();
            ExitCode::FAILURE
        }
    }
}

fn supervise() -> Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).doing(|| "read the cluster's configuration from standard input")?;
    let config: Config =
        serde_json::from_str(&line).map_err(|error| Error::InvalidConfig { what: error.to_string() })?;
    preflight::check(&config)?;
    let paths = config.paths();
    let _claim = Claim::take(&config.id, &paths)?;
    let ended = match clean_remains(&config, &paths) {
        Ok(()) => run(&config, &paths, &line),
        Err(error) => Err(error),
    };
    // The log goes with the directory: its last words are quoted by now.
    let mut left = sweep::sweep(&paths);
    left.extend(sweep::remove_directory(&paths));
    match (ended, left.is_empty()) {
        (ended, true) => ended,
        (Ok(()), false) => Err(Error::Leftovers { id: config.id, what: left }),
        (Err(error), false) => {
            Report::Failed(error).send();
            Err(Error::Leftovers { id: config.id, what: left })
        }
    }
}

/// Removes what a cluster of the same name left when it died: it must not meet its successor.
fn clean_remains(config: &Config, paths: &Paths) -> Result<()> {
    let mut left = sweep::sweep(paths);
    left.extend(sweep::empty_directory(paths));
    if left.is_empty() { Ok(()) } else { Err(Error::Leftovers { id: config.id.clone(), what: left }) }
}

fn run(config: &Config, paths: &Paths, line: &str) -> Result<()> {
    let mut server = spawn_server(paths)?;
    let mut lifeline = server.stdin.take();
    if let Some(input) = &mut lifeline {
        // A server that ends at once does not read; its exit says why.
        let _ = input.write_all(line.as_bytes());
    }
    let (exited, exit) = oneshot::channel();
    let pid = nix::unistd::Pid::from_raw(server.id().cast_signed());
    thread("wait", move || drop(exited.send(server.wait())))?;
    let (closed, launcher_gone) = oneshot::channel();
    thread("lifeline", move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.doing(|| "start the supervisor")?.block_on(async move {
        let mut exit = exit;
        tokio::select! {
            status = &mut exit => return judge(status, paths),
            () = asked_to_end() => {}
            _ = launcher_gone, if !config.detached => {}
        }
        drop(lifeline);
        if let Ok(status) = tokio::time::timeout(GRACE, &mut exit).await {
            return judge(status, paths);
        }
        // Everything in its PID namespace dies with it.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        exit.await.doing(|| "wait for the cluster's server")?.doing(|| "wait for the cluster's server")?;
        Ok(())
    })
}

/// Starts the server as the first process of a new PID namespace.
fn spawn_server(paths: &Paths) -> Result<Child> {
    let program = std::env::current_exe().doing(|| "find this program")?;
    let own = File::open("/proc/self/ns/pid").doing(|| "open this process's PID namespace")?;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(paths.log());
    let log = log.doing(|| format!("create {}", paths.log().display()))?;
    unshare(CloneFlags::CLONE_NEWPID).doing(|| "make a PID namespace")?;
    let server = Command::new(program)
        .args([SUBCOMMAND, INSIDE])
        .stdin(Stdio::piped())
        .stdout(Stdio::inherit())
        .stderr(log)
        .spawn()
        .doing(|| "start the cluster's server");
    // Threads cannot be started while children would be born elsewhere.
    setns(own, CloneFlags::CLONE_NEWPID).doing(|| "return to this process's PID namespace")?;
    server
}

async fn asked_to_end() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

type Exit = Result<io::Result<ExitStatus>, oneshot::error::RecvError>;

fn judge(exit: Exit, paths: &Paths) -> Result<()> {
    let status = exit.doing(|| "wait for the cluster's server")?.doing(|| "wait for the cluster's server")?;
    if status.success() {
        return Ok(());
    }
    let how = match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("was killed by signal {signal}"),
        (code, None) => format!("ended with exit code {}", code.unwrap_or_default()),
    };
    Err(Error::Died { how, last_words: last_words(&paths.log(), LAST_WORDS) })
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = std::thread::Builder::new().name(name.into()).stack_size(128 << 10).spawn(work);
    started.map(drop).doing(|| "start a thread")
}
