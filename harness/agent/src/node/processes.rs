//! Which processes of a node belong to which container.
//!
//! Container runtimes name their cgroups as they like. The kubelet mounts a termination log into every container, from
//! `…/pods/UID/containers/NAME/…`, whatever the runtime; a process shows that in its `mountinfo`.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use gauntlet_core::node_agent::Container;

/// A process of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub container: Container,
    /// As in `/proc/PID/stat`: `T` stands still, `Z` is dead.
    pub state: char,
}

impl Process {
    pub fn is_still(&self) -> bool {
        self.state == 'T'
    }

    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// All processes of containers.
pub fn all(proc: &Path) -> Vec<Process> {
    pids(proc).filter_map(|pid| look(proc, pid)).collect()
}

/// How long a process may take from its first instruction to the program of its container.
const GROWS_UP_WITHIN: Duration = Duration::from_secs(10);

/// Finds processes of containers soon after they were started, at little cost: who has been seen for long enough to be
/// somebody else's is not looked at again. On a node with many processes and mounts a look at all of them takes longer
/// than a program takes to begin its work.
#[derive(Default)]
pub struct Newcomers {
    /// When each of those that are there was first seen; `None` for who was there before anybody looked for newcomers.
    first_seen: HashMap<i32, Option<Instant>>,
}

impl Newcomers {
    /// Whoever is there and was not yet seen is no newcomer.
    pub fn know(&mut self, proc: &Path) {
        for pid in pids(proc) {
            self.first_seen.entry(pid).or_insert(None);
        }
    }

    /// The processes of containers among those that have not been there for long.
    pub fn look(&mut self, proc: &Path) -> Vec<Process> {
        let now = Instant::now();
        let there: HashMap<i32, Option<Instant>> =
            pids(proc).map(|pid| (pid, self.first_seen.get(&pid).copied().unwrap_or(Some(now)))).collect();
        let is_young = |seen: &Option<Instant>| seen.is_some_and(|seen| now.duration_since(seen) < GROWS_UP_WITHIN);
        let young = there.iter().filter(|(_, seen)| is_young(seen));
        let found = young.filter_map(|(pid, _)| look(proc, *pid)).collect();
        self.first_seen = there;
        found
    }
}

fn pids(proc: &Path) -> impl Iterator<Item = i32> + use<> {
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `None` for one that is no container's, or gone.
fn look(proc: &Path, pid: i32) -> Option<Process> {
    let folder = proc.join(pid.to_string());
    let container = container_of(&std::fs::read_to_string(folder.join("mountinfo")).ok()?)?;
    let (name, state) = name_and_state(&std::fs::read_to_string(folder.join("stat")).ok()?)?;
    (!is_runtime(&name)).then_some(Process { pid, container, state })
}

/// A runtime that prepares a container is already within it; one that is stopped there is never done.
fn is_runtime(name: &str) -> bool {
    ["runc", "crun", "youki"].iter().any(|runtime| name.starts_with(runtime))
}

/// From `PID (NAME) STATE …`; names may hold anything, parentheses too.
fn name_and_state(stat: &str) -> Option<(String, char)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((name.to_owned(), after.trim_start().chars().next()?))
}

/// The container whose termination log is mounted here.
fn container_of(mountinfo: &str) -> Option<Container> {
    // ID PARENT MAJOR:MINOR ROOT MOUNTPOINT …
    let roots = mountinfo.lines().filter_map(|line| line.split(' ').nth(3));
    roots.filter_map(container_in).next()
}

fn container_in(path: &str) -> Option<Container> {
    let (_, rest) = path.split_once("/pods/")?;
    let mut parts = rest.split('/');
    let (pod, folder, container) = (parts.next()?, parts.next()?, parts.next()?);
    let is_log = folder == "containers" && parts.next().is_some() && parts.next().is_none();
    (is_log && !pod.is_empty()).then(|| Container { pod: pod.to_owned(), container: container.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_termination_log() {
        let of =
            |root: &str| container_of(&format!("22 1 0:5 / /proc rw\n30 22 8:1 {root} /dev/x rw - ext4 /dev/sda rw"));
        let expected = Some(Container { pod: "uid-1".into(), container: "redis".into() });
        assert_eq!(of("/var/lib/kubelet/pods/uid-1/containers/redis/0a1b"), expected);
        assert_eq!(of("/docker/volumes/v/_data/lib/kubelet/pods/uid-1/containers/redis/0a1b"), expected);
        // Of the kubelet, which has the pods' folders mounted; of volumes; of other folders.
        assert_eq!(of("/var/lib/kubelet/pods"), None);
        assert_eq!(of("/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~empty-dir/data"), None);
        assert_eq!(of("/pods/uid-1/containers/redis"), None);
        assert_eq!(of("/"), None);
    }

    #[test]
    fn who_was_there_before_is_no_newcomer() {
        let proc = tempfile::tempdir().unwrap();
        let starts = |pid: i32| {
            let folder = proc.path().join(pid.to_string());
            std::fs::create_dir(&folder).unwrap();
            let mounts = "22 1 8:1 /var/lib/kubelet/pods/u/containers/redis/0a /dev/x rw - ext4 /dev/sda rw";
            std::fs::write(folder.join("mountinfo"), mounts).unwrap();
            std::fs::write(folder.join("stat"), format!("{pid} (redis-server) S 1")).unwrap();
        };
        let seen = |newcomers: &mut Newcomers| -> Vec<i32> {
            newcomers.look(proc.path()).iter().map(|process| process.pid).collect()
        };
        let mut newcomers = Newcomers::default();
        starts(1);
        newcomers.know(proc.path());
        assert_eq!(seen(&mut newcomers), Vec::<i32>::new());
        starts(2);
        assert_eq!(seen(&mut newcomers), [2]);
        // Another container is held: who is being looked at still is.
        newcomers.know(proc.path());
        assert_eq!(seen(&mut newcomers), [2]);
        assert_eq!(seen(&mut Newcomers::default()).len(), 2);
    }

    #[test]
    fn names_with_parentheses_do_not_hide_the_state() {
        assert_eq!(name_and_state("7 (a) b) T 1 7"), Some(("a) b".into(), 'T')));
        assert_eq!(name_and_state("7 (runc:[2:INIT]) S 1"), Some(("runc:[2:INIT]".into(), 'S')));
        assert_eq!(name_and_state("nonsense"), None);
        assert!(is_runtime("runc:[2:INIT]"));
        assert!(!is_runtime("redis-server"));
    }
}
