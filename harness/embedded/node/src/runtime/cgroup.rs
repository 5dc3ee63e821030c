//! Control groups of containers, on hosts with version 1, version 2 or both.
//!
//! The runtime makes them; this module finds where they are, reads whether the kernel killed for memory, and removes
//! them. Where they cannot be written (a restricted host), containers run without limits.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";

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

fn remove_tree(directory: &Path) {
    let children = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    children.filter(|path| path.is_dir()).for_each(|path| remove_tree(&path));
    let _ = fs::remove_dir(directory);
}
