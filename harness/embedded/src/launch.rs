//! Starting a cluster in processes of its own, and ending it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Config;
use crate::error::{Doing, Error, Result};
use crate::protocol::{Report, SUBCOMMAND};
use crate::state::{ClusterInfo, last_words};

const LAST_WORDS: usize = 12;

/// Starts a cluster and waits until its API answers.
///
/// The program must call [`crate::dispatch`] first thing in `main`: the server is the same program again. `deadline`
/// counts from now; a cluster that is not ready by then is ended.
pub async fn launch(config: Config, deadline: Duration) -> Result<Handle> {
    config.check()?;
    let until = Instant::now() + deadline;
    let program = std::env::current_exe().doing(|| "find this program")?;
    let mut supervisor = Command::new(program)
        .arg(SUBCOMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C is the launcher's to handle, which then ends the cluster in order.
        .process_group(0)
        .spawn()
        .doing(|| "start the cluster's server")?;
    let (Some(mut lifeline), Some(output)) = (supervisor.stdin.take(), supervisor.stdout.take()) else {
        return Err(Error::failed("start the cluster's server", "it has no standard input or output"));
    };
    let mut line = serde_json::to_string(&config).doing(|| "write the cluster's configuration")?;
    line.push('\n');
    // A supervisor that ends at once does not read; its last line says why.
    let _ = lifeline.write_all(line.as_bytes()).await;
    let mut reports = BufReader::new(output).lines();
    match timeout_at(until, next_report(&mut reports)).await {
        Ok(Some(Report::Ready(info))) => Ok(Handle { info, detached: config.detached, lifeline, reports, supervisor }),
        Ok(Some(Report::Failed(error))) => Err(error),
        Ok(Some(Report::Ended) | None) => {
            let status = supervisor.wait().await.doing(|| "wait for the cluster's server")?;
            Err(Error::Died { how: format!("ended before it was ready ({status})"), last_words: Vec::new() })
        }
        Err(_) => {
            let last_words = last_words(&config.paths().log(), LAST_WORDS);
            drop(lifeline);
            if config.detached {
                signal_end(&supervisor);
            }
            // The directory is gone, or will be reported as dead: either way the deadline is what failed.
            let _ = timeout(deadline, supervisor.wait()).await;
            Err(Error::NotReady { seconds: deadline.as_secs(), last_words })
        }
    }
}

/// A cluster that this process launched. Dropping it ends the cluster too, unless it is detached, but nobody waits.
#[must_use = "the cluster ends when its handle is dropped"]
pub struct Handle {
    info: ClusterInfo,
    detached: bool,
    lifeline: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    supervisor: Child,
}

impl Handle {
    pub fn info(&self) -> &ClusterInfo {
        &self.info
    }

    /// An administrator's access to the API.
    pub fn kubeconfig(&self) -> &Path {
        &self.info.kubeconfig
    }

    /// Where node-level faults are asked for: JSON lines, see [`crate::admin`].
    pub fn admin_socket(&self) -> &Path {
        &self.info.admin_socket
    }

    /// The supervisor's process, the server's parent.
    pub fn supervisor(&self) -> Option<u32> {
        self.supervisor.id()
    }

    /// Ends the cluster and waits until nothing of it is left.
    pub async fn stop(self, deadline: Duration) -> Result<()> {
        let Self { detached, lifeline, reports, supervisor, .. } = self;
        drop(lifeline);
        if detached {
            signal_end(&supervisor);
        }
        finish(reports, supervisor, deadline).await
    }

    /// Waits until the cluster ends by itself, however that happens.
    pub async fn ended(mut self) -> Result<()> {
        let result = last_error(&mut self.reports).await;
        self.supervisor.wait().await.doing(|| "wait for the cluster's server")?;
        result
    }
}

async fn finish(mut reports: Lines<BufReader<ChildStdout>>, mut supervisor: Child, deadline: Duration) -> Result<()> {
    let ended = async {
        let result = last_error(&mut reports).await;
        supervisor.wait().await.doing(|| "wait for the cluster's server")?;
        result
    };
    timeout(deadline, ended).await.unwrap_or(Err(Error::NotStopped { seconds: deadline.as_secs() }))
}

/// Asks a supervisor to end its cluster: the lifeline means nothing to a detached one.
fn signal_end(supervisor: &Child) {
    if let Some(pid) = supervisor.id() {
        let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
        // One that is gone has ended its cluster.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    }
}

/// Reads reports to their end; an error when one says so, or when the supervisor died without a word.
async fn last_error(reports: &mut Lines<BufReader<ChildStdout>>) -> Result<()> {
    let mut result = Err(Error::Died { how: "was killed together with its supervisor".into(), last_words: Vec::new() });
    while let Some(report) = next_report(reports).await {
        match report {
            Report::Failed(error) => result = Err(error),
            Report::Ended => return Ok(()),
            Report::Ready(_) => {}
        }
    }
    result
}

/// The next report; `None` at the end. Lines that are no reports are not ours.
async fn next_report(reports: &mut Lines<BufReader<ChildStdout>>) -> Option<Report> {
    loop {
        let line = reports.next_line().await.ok()??;
        if let Ok(report) = serde_json::from_str(&line) {
            return Some(report);
        }
    }
}
