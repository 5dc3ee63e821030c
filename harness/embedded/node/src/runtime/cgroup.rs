//! Control groups of containers, on hosts with version 1, version 2 or both.
//!
//! The runtime makes them; this module finds where they are, reads whether the kernel killed for memory, and removes
//! them. Where they cannot be written (a restricted host), containers run without limits.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MOUNT: &str = "/sys/fs/cgroup";

/// How long processes may take to stand still: one that waits for a disk goes on until it has been served.
const FROZEN_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);

/// The hierarchies of this host.
#[derive(Clone, Debug)]
pub struct Cgroups {
    /// One directory per hierarchy; a single one on version 2.
    roots: Vec<PathBuf>,
    /// The cluster's cgroup, absolute within each hierarchy: `/gauntlet/<cluster>`.
    parent: String,
}

impl Cgroups {
    /// `None` when the host's cgroups cannot be written.
    pub fn detect(parent: &str) -> Option<Self> {
        let mount = Path::new(MOUNT);
        let roots: Vec<PathBuf> = if mount.join("cgroup.controllers").exists() {
            vec![mount.to_owned()]
        } else {
            fs::read_dir(mount).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
        };
        let usable = roots.iter().any(|root| fs::create_dir_all(root.join(parent.trim_start_matches('/'))).is_ok());
        usable.then(|| Self { roots, parent: format!("/{}", parent.trim_matches('/')) })
    }

    /// The path that the runtime is given.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.parent)
    }

    fn directories(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let relative = self.path(name).trim_start_matches('/').to_owned();
        self.roots.iter().map(move |root| root.join(&relative)).filter(|path| path.is_dir())
    }

    /// The membership files of a cgroup, open for a process that is to join it.
    pub fn procs(&self, name: &str) -> Vec<File> {
        let files = self.directories(name).map(|directory| directory.join("cgroup.procs"));
        files.filter_map(|path| OpenOptions::new().write(true).open(path).ok()).collect()
    }

    /// Whether the kernel killed a process of this cgroup for want of memory.
    pub fn was_oom_killed(&self, name: &str) -> bool {
        self.directories(name).any(|directory| {
            ["memory.events", "memory.oom_control"].iter().any(|file| {
                let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
                let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
                count.is_some_and(|count| count.trim() != "0")
            })
        })
    }

    /// Freezes every process of a cgroup; blocks until they stand still. Frozen processes can still be killed.
    ///
    /// This takes the hierarchy of version 2, which a host may have beside those of version 1: the latter keep even
    /// SIGKILL from what they froze, and with it the end of the whole cluster.
    pub fn freeze(&self, name: &str) -> io::Result<()> {
        let frozen = self.unified(name).ok_or_else(|| {
            io::Error::other("this host has no control groups of version 2, without which nothing can be frozen")
        })?;
        fs::create_dir_all(&frozen)?;
        fs::write(frozen.join("cgroup.freeze"), "1")?;
        let start = Instant::now();
        loop {
            // A runtime that knows version 1 only puts processes there only. What is forked meanwhile is seen next time.
            let elsewhere = self.directories(name).filter(|directory| *directory != frozen);
            let outside: BTreeSet<String> = elsewhere.flat_map(|directory| members(&directory)).collect();
            let outside: Vec<String> = outside.difference(&members(&frozen)).cloned().collect();
            for pid in &outside {
                // One that is gone by now needs no freezing.
                let _ = fs::write(frozen.join("cgroup.procs"), pid);
            }
            let events = fs::read_to_string(frozen.join("cgroup.events"))?;
            if outside.is_empty() && events.lines().any(|line| line == "frozen 1") {
                return Ok(());
            }
            if start.elapsed() > FROZEN_WITHIN {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Lets the processes of a cgroup go on. One that is not frozen, or gone, is no error.
    pub fn thaw(&self, name: &str) -> io::Result<()> {
        let Some(frozen) = self.unified(name).filter(|directory| directory.is_dir()) else { return Ok(()) };
        fs::write(frozen.join("cgroup.freeze"), "0")
    }

    /// Where a cgroup is, or would be, in the hierarchy of version 2.
    fn unified(&self, name: &str) -> Option<PathBuf> {
        let root = self.roots.iter().find(|root| root.join("cgroup.controllers").exists())?;
        Some(root.join(self.path(name).trim_start_matches('/')))
    }

    /// Removes the cluster's own cgroup and all below it, as far as no process is left there.
    pub fn remove_own(&self) {
        self.directories("").for_each(|directory| remove_tree(&directory));
    }

    /// Removes an empty cgroup and its now empty parents below the cluster's own. One that is still busy stays, and is
    /// removed with the cluster.
    pub fn remove(&self, name: &str) {
        for directory in self.directories(name).collect::<Vec<_>>() {
            let mut at = directory.as_path();
            for _ in Path::new(name).components() {
                if fs::remove_dir(at).is_err() {
                    break;
                }
                let Some(parent) = at.parent() else { break };
                at = parent;
            }
        }
    }
}

fn members(directory: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn remove_tree(directory: &Path) {
    let children = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    children.filter(|path| path.is_dir()).for_each(|path| remove_tree(&path));
    let _ = fs::remove_dir(directory);
}
