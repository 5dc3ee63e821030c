//! A look at the host before and after a cluster, and what of it a test needs for itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gauntlet_embedded::sweep::cgroups;
use libtest_mimic::Failed;

use super::{DEADLINE, Sandbox};

impl Sandbox {
    /// A file system of its own that has hardly any space.
    pub fn small_disk(&self) -> Result<Disk, Failed> {
        let path = self.directory.path().join("disk");
        fs::create_dir(&path)?;
        let none = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), &path, Some("tmpfs"), none, Some("size=1M"))?;
        Ok(Disk { path })
    }

    /// A copy of a program that every user may run.
    pub fn readable_copy(&self, program: &Path) -> Result<PathBuf, Failed> {
        use std::os::unix::fs::PermissionsExt;
        let copy = self.directory.path().join("program");
        fs::copy(program, &copy)?;
        for path in [self.directory.path(), &copy] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(copy)
    }
}

/// A mounted file system, unmounted when dropped.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(errno) = nix::mount::umount2(&self.path, nix::mount::MntFlags::MNT_DETACH) {
            eprintln!("{} could not be unmounted: {errno}", self.path.display());
        }
    }
}

/// What of the host a cluster may touch. Of processes, mounts and files only those that are the sandbox's: others
/// come and go meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub struct Host {
    /// Whose mounts or command line name the sandbox, or who run below one of those.
    pub processes: BTreeSet<i32>,
    pub mounts: Vec<String>,
    pub cgroups: Vec<PathBuf>,
    pub files: BTreeSet<PathBuf>,
    /// Addresses, routes, packet filter and forwarding of the host.
    pub network: [String; 4],
}

impl Host {
    pub fn look(sandbox: &Sandbox) -> Self {
        let directory = sandbox.directory.path();
        let clusters = fs::read_dir(sandbox.state_dir().join("clusters")).into_iter().flatten();
        let files: BTreeSet<PathBuf> = clusters.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = directory.join("state").display().to_string();
        Self {
            processes: processes(&own),
            mounts: mounts.lines().filter(|line| line.contains(&own)).map(str::to_owned).collect(),
            cgroups: ["a", "b"].iter().flat_map(|id| cgroups(&sandbox.config(id).paths())).collect(),
            files,
            network: [
                said(&["ip", "-o", "address"]),
                said(&["ip", "route", "show", "table", "all"]),
                // Without counters: others may have traffic.
                said(&["nft", "--stateless", "list", "ruleset"]),
                fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default(),
            ],
        }
    }

    pub fn same_as(&self, before: &Self) -> Result<(), Failed> {
        if self == before { Ok(()) } else { Err(format!("before: {before:?}\nnow: {self:?}").into()) }
    }

    pub fn same_processes_as(&self, before: &Self) -> Result<(), Failed> {
        let (before, now) = (&before.processes, &self.processes);
        if before == now { Ok(()) } else { Err(format!("processes before: {before:?}, now: {now:?}").into()) }
    }

    pub fn same_network_as(&self, before: &Self) -> Result<(), Failed> {
        let (before, now) = (&before.network, &self.network);
        if before == now { Ok(()) } else { Err(format!("network before: {before:?}, now: {now:?}").into()) }
    }
}

/// Processes that have mounts below `directory`, with all that share their PID namespace or have them as ancestors.
fn processes(directory: &str) -> BTreeSet<i32> {
    let all: Vec<i32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok())
        .collect();
    let own = fs::read_link("/proc/self/ns/mnt").ok();
    let ours = |pid: &i32| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        mounts.contains(directory) && fs::read_link(format!("/proc/{pid}/ns/mnt")).ok() != own
    };
    let roots: BTreeSet<i32> = all.iter().copied().filter(ours).collect();
    let namespaces: BTreeSet<_> =
        roots.iter().filter_map(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).ok()).collect();
    let within = |pid: &i32| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|ns| namespaces.contains(&ns));
    let mut found: BTreeSet<i32> = all.iter().copied().filter(within).collect();
    found.extend(roots);
    found
}

fn said(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("the program is there");
    assert!(output.status.success(), "{command:?} failed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until `condition` holds; its last refusal when it does not in time.
pub async fn eventually(what: &str, condition: impl Fn() -> Result<(), Failed>) -> Result<(), Failed> {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(()) => return Ok(()),
            Err(failed) if start.elapsed() > DEADLINE => {
                let last = failed.message().unwrap_or_default();
                return Err(format!("not in time: {what}; last: {last}").into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
