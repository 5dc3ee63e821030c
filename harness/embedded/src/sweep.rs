//! Removes what a cluster left: processes, mounts, cgroups, files. Goes on after errors and reports them all.
//!
//! Normally the kernel has done most of it: the server is the first process of a PID namespace and has its mounts in a
//! namespace of its own, so its death ends every container and undoes every mount. This also finds what escaped.
//!
//! - Processes: members of the cluster's cgroups, and those that have a mount of the cluster's directory.
//! - Cgroups: [`Paths::cgroup`] in every hierarchy.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::config::Paths;

/// How long killed processes may take to be gone, on a machine that has much else to do.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// Removes everything of a cluster but its directory and lock; returns what could not be done.
pub(crate) fn sweep(paths: &Paths) -> Vec<String> {
    let mut errors = Vec::new();
    errors.extend(end_processes(paths));
    errors.extend(unmount(paths.directory()));
    for cgroup in cgroups(paths) {
        errors.extend(remove_cgroup(&cgroup).err());
    }
    errors
}

/// Removes a cluster's directory, unless something is still mounted in it: then files would be removed elsewhere.
pub(crate) fn remove_directory(paths: &Paths) -> Vec<String> {
    let directory = paths.directory();
    let mut errors = empty_directory(paths);
    if errors.is_empty() {
        errors.extend(removed(directory, fs::remove_dir_all(directory)));
    }
    errors
}

/// Removes what is in a cluster's directory but for its lock, under the same condition.
pub(crate) fn empty_directory(paths: &Paths) -> Vec<String> {
    let directory = paths.directory();
    if let Some(mounted) = mounts_below(&own_mounts(), directory).first() {
        return vec![format!("{} is still mounted, so {} was not removed", mounted.display(), directory.display())];
    }
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let others = entries.filter(|path| *path != paths.lock());
    let remove = |path: &Path| {
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    };
    others.filter_map(|path| removed(&path, remove(&path))).collect()
}

/// What to say of a removal that failed; one of what is gone did not.
fn removed(path: &Path, result: std::io::Result<()>) -> Option<String> {
    let error = result.err().filter(|error| error.kind() != ErrorKind::NotFound)?;
    Some(format!("remove {}: {error}", path.display()))
}

/// Kills processes until there are none: one that is just being started may be seen late.
fn end_processes(paths: &Paths) -> Option<String> {
    let start = Instant::now();
    loop {
        let processes = processes_of(paths);
        if processes.is_empty() {
            return None;
        }
        if start.elapsed() > DEADLINE {
            return Some(format!("processes {processes:?} do not end"));
        }
        thaw(paths);
        for pid in processes {
            // One that is gone by now is as wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(POLL);
    }
}

/// Frozen processes do not die: cgroup v1 holds the signal back.
fn thaw(paths: &Paths) {
    for cgroup in cgroups(paths).iter().flat_map(|cgroup| tree(cgroup)) {
        for (file, value) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
            let path = cgroup.join(file);
            if path.exists() {
                let _ = fs::write(path, value);
            }
        }
    }
}

fn processes_of(paths: &Paths) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    for cgroup in cgroups(paths).iter().flat_map(|cgroup| tree(cgroup)) {
        let members = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        found.extend(members.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    found.extend(processes_with_mounts(paths.directory()));
    // 0 stands for a process that this PID namespace cannot see; killing it would hit our own group.
    found.retain(|pid| *pid > 1 && !is_zombie(*pid));
    found.remove(&std::process::id().cast_signed());
    found
}

/// Processes in another mount namespace than ours that have something of `directory` mounted.
fn processes_with_mounts(directory: &Path) -> Vec<i32> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = namespace("self");
    let entries =
        fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut seen: Vec<(PathBuf, bool)> = Vec::new();
    let mut found = Vec::new();
    for pid in entries.filter_map(|name| name.parse::<i32>().ok()) {
        let Some(other) = namespace(&pid.to_string()) else { continue };
        if Some(&other) == own.as_ref() {
            continue;
        }
        let ours = match seen.iter().find(|(namespace, _)| *namespace == other) {
            Some((_, ours)) => *ours,
            None => {
                let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
                let ours = mentions(&mounts, directory);
                seen.push((other, ours));
                ours
            }
        };
        if ours {
            found.push(pid);
        }
    }
    found
}

/// Whether a mount's point, root or options are inside `directory`.
fn mentions(mountinfo: &str, directory: &Path) -> bool {
    mountinfo.contains(&format!("{}/", directory.display()))
}

/// A zombie is dead, and is its parent's business.
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain anything.
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn unmount(directory: &Path) -> Vec<String> {
    let mut errors = Vec::new();
    // Later mounts first: they may be on top of earlier ones.
    for path in mounts_below(&own_mounts(), directory).iter().rev() {
        match umount2(path, MntFlags::MNT_DETACH) {
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => errors.push(format!("unmount {}: {errno}", path.display())),
        }
    }
    errors
}

fn own_mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// Mount points below a directory, oldest first.
fn mounts_below(mountinfo: &str, directory: &Path) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(|point| PathBuf::from(unescape(point))).filter(|point| point.starts_with(directory)).collect()
}

/// `mountinfo` writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

/// The cluster's cgroups that exist, one per hierarchy at most.
pub fn cgroups(paths: &Paths) -> Vec<PathBuf> {
    let below = |point: PathBuf| point.join(paths.cgroup());
    cgroup_mounts(&own_mounts()).into_iter().map(below).filter(|path| path.is_dir()).collect()
}

/// Where control groups of either version are mounted.
pub(crate) fn cgroup_mounts(mountinfo: &str) -> Vec<PathBuf> {
    let of_line = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let kind = filesystem.split(' ').next()?;
        matches!(kind, "cgroup" | "cgroup2")
            .then(|| PathBuf::from(unescape(mount.split(' ').nth(4).unwrap_or_default())))
    };
    mountinfo.lines().filter_map(of_line).collect()
}

/// A cgroup and all below it, children first.
fn tree(cgroup: &Path) -> Vec<PathBuf> {
    let children = fs::read_dir(cgroup).into_iter().flatten().filter_map(Result::ok);
    let directories = children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut all: Vec<PathBuf> = directories.flat_map(|entry| tree(&entry.path())).collect();
    all.push(cgroup.to_owned());
    all
}

/// Removes a cgroup with all below it. The kernel may call it busy for a moment after its last process died.
fn remove_cgroup(cgroup: &Path) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let failed = tree(cgroup).into_iter().find_map(|path| Some((fs::remove_dir(&path).err()?, path)));
        match failed {
            None => break,
            Some((error, _)) if error.kind() == ErrorKind::NotFound => {}
            Some((error, path)) if start.elapsed() > DEADLINE => {
                return Err(format!("remove cgroup {}: {error}", path.display()));
            }
            Some(_) => std::thread::sleep(POLL),
        }
    }
    if let Some(parent) = cgroup.parent() {
        // Other clusters may still use it.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw - ext4 /dev/vda rw
30 22 0:4 net:[4026532]  /state/clusters/a/network/cluster rw - nsfs nsfs rw
31 22 0:50 / /state/clusters/a/nodes/pod\\040one rw - overlay overlay rw,upperdir=/state/clusters/a/nodes/upper
32 22 0:51 / /state/clusters/ab/x rw - tmpfs tmpfs rw
40 22 0:30 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
41 22 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

    #[test]
    fn mounts_of_a_cluster_are_told_from_those_of_others() {
        let mounts = MOUNTS.replace("]  /", "] /");
        let below = mounts_below(&mounts, Path::new("/state/clusters/a"));
        let expected = ["/state/clusters/a/network/cluster", "/state/clusters/a/nodes/pod one"];
        assert_eq!(below, expected.map(PathBuf::from));
        assert!(mentions(&mounts, Path::new("/state/clusters/ab")));
        assert!(!mentions(&mounts, Path::new("/state/clusters/b")));
    }

    #[test]
    fn both_versions_of_cgroups_are_found() {
        let expected = ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified"];
        assert_eq!(cgroup_mounts(MOUNTS), expected.map(PathBuf::from));
    }
}
