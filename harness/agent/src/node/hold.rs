//! Containers that are kept down: their processes are killed, and what is started in their place stands still until it
//! may go on. So nobody waits longer than the hold for its end: a kubelet whose containers die again and again lets them
//! wait for up to five minutes before it starts them once more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gauntlet_core::node_agent::{Answer, Container};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::processes::{self, Newcomers, Process};

pub struct Holds {
    /// For how long what was started in the place of each may have run before it stood still; `None` before it was.
    held: BTreeMap<Container, Option<Duration>>,
    newcomers: Newcomers,
    /// When newcomers were looked for.
    looked: Instant,
    /// Where the held containers are written down.
    file: PathBuf,
}

impl Holds {
    pub fn new(file: PathBuf) -> Self {
        Self { held: BTreeMap::new(), newcomers: Newcomers::default(), looked: Instant::now(), file }
    }

    /// Holds what is written down, so that it can be released.
    pub fn take_up(&mut self, proc: &Path) {
        let written =
            std::fs::read(&self.file).ok().and_then(|text| serde_json::from_slice::<Vec<Container>>(&text).ok());
        self.held.extend(written.into_iter().flatten().map(|container| (container, None)));
        self.still(proc);
    }

    /// # Errors
    /// No process of the container is here, or one cannot be killed.
    pub fn hold(&mut self, proc: &Path, container: Container) -> Result<()> {
        if self.held.contains_key(&container) {
            return Ok(());
        }
        self.newcomers.know(proc);
        let victims = of(proc, &container);
        if victims.is_empty() {
            bail!("no process of container {} of pod {} is on this node", container.container, container.pod);
        }
        self.held.insert(container, None);
        self.write_down()?;
        self.looked = Instant::now();
        for victim in victims {
            signal(&victim, Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// Lets nothing go on that was started in a held container.
    pub fn still(&mut self, proc: &Path) {
        if self.held.is_empty() {
            return;
        }
        // It did not run yet when it was last looked for.
        let before = std::mem::replace(&mut self.looked, Instant::now());
        let found = self.newcomers.look(proc);
        for process in found.into_iter().filter(|process| !process.is_still() && !process.is_dead()) {
            let Some(ran) = self.held.get_mut(&process.container) else { continue };
            if let Err(error) = signal(&process, Signal::SIGSTOP) {
                tracing::error!(error = format!("{error:#}"), "a held container goes on");
            }
            let at_most = before.elapsed();
            // Others are commands for the container, such as probes, which find nobody who answers.
            if ran.is_none() || processes::is_first_of_its_container(proc, process.pid) {
                *ran = (*ran).max(Some(at_most));
            }
            tracing::info!(pid = process.pid, container = process.container.container, ?at_most, "made to stand still");
        }
    }

    /// For how long its successor may have run while it was held; `None` where it was not.
    ///
    /// # Errors
    /// A process cannot be told to go on; the container stays held.
    pub fn release(&mut self, proc: &Path, container: &Container) -> Result<Option<Duration>> {
        // Whatever was started and not found until now has run all the time since newcomers were looked for.
        self.still(proc);
        let Some(ran) = self.held.get(container).copied() else { return Ok(None) };
        of(proc, container).iter().try_for_each(|one| signal(one, Signal::SIGCONT))?;
        self.held.remove(container);
        if self.held.is_empty() {
            self.newcomers = Newcomers::default();
        }
        self.write_down().map(|()| Some(ran.unwrap_or_default()))
    }

    /// How many were held.
    pub fn release_all(&mut self, proc: &Path) -> usize {
        let held: Vec<Container> = self.held.keys().cloned().collect();
        for container in &held {
            if let Err(error) = self.release(proc, container) {
                tracing::error!(error = format!("{error:#}"), "a container may stand still");
            }
        }
        held.len()
    }

    fn write_down(&self) -> Result<()> {
        let text =
            serde_json::to_vec(&self.held.keys().collect::<Vec<_>>()).context("cannot write down what is held")?;
        std::fs::write(&self.file, text).with_context(|| format!("cannot write {}", self.file.display()))
    }
}

/// What the processes of a container do.
pub fn processes(proc: &Path, container: &Container) -> Answer {
    let (still, running): (Vec<Process>, Vec<Process>) = of(proc, container).into_iter().partition(Process::is_still);
    Answer::Processes { running: running.len(), still: still.len() }
}

fn of(proc: &Path, container: &Container) -> Vec<Process> {
    let all = processes::all(proc).into_iter();
    all.filter(|process| process.container == *container && !process.is_dead()).collect()
}

/// One that is gone needs no signal.
fn signal(process: &Process, signal: Signal) -> Result<()> {
    match kill(Pid::from_raw(process.pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot send {signal} to process {}", process.pid)),
    }
}
