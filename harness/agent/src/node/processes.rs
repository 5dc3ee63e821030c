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
    let whose = pids(proc).filter_map(|pid| whose(proc, pid));
    let of_container = |whose| if let Whose::Container(process) = whose { Some(process) } else { None };
    whose.filter_map(of_container).collect()
}

/// How long a process may take from its first instruction into its container.
const GROWS_UP_WITHIN: Duration = Duration::from_secs(10);

/// Finds processes of containers as soon as they run a program, at little cost: nobody is looked at again whose place is
/// known. On a node with many processes and mounts a look at all of them takes longer than a program takes to begin its
/// work.
#[derive(Default)]
pub struct Newcomers {
    /// When each of those that are there was first seen; `None` for whose place is known.
    first_seen: HashMap<i32, Option<Instant>>,
}

impl Newcomers {
    /// Whoever is there and was not yet seen is no newcomer.
    pub fn know(&mut self, proc: &Path) {
        for pid in pids(proc) {
            self.first_seen.entry(pid).or_insert(None);
        }
    }

    /// The processes of containers that were not there before, each once.
    pub fn look(&mut self, proc: &Path) -> Vec<Process> {
        let now = Instant::now();
        let before = std::mem::take(&mut self.first_seen);
        let mut found = Vec::new();
        for pid in pids(proc) {
            let Some(seen) = before.get(&pid).copied().unwrap_or(Some(now)) else {
                self.first_seen.insert(pid, None);
                continue;
            };
            let still_young = match whose(proc, pid) {
                None => continue,
                Some(Whose::Container(process)) => {
                    found.push(process);
                    None
                }
                Some(Whose::Runtime) => Some(now),
                Some(Whose::Node) => (now.duration_since(seen) < GROWS_UP_WITHIN).then_some(seen),
            };
            self.first_seen.insert(pid, still_young);
        }
        found
    }
}

fn pids(proc: &Path) -> impl Iterator<Item = i32> + use<> {
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whose a process is.
enum Whose {
    Container(Process),
    /// It prepares a container, and will become a process of it or end.
    Runtime,
    Node,
}

/// `None` for one that is gone.
fn whose(proc: &Path, pid: i32) -> Option<Whose> {
    let folder = proc.join(pid.to_string());
    let (name, state) = name_and_state(&std::fs::read_to_string(folder.join("stat")).ok()?)?;
    if is_runtime(&name) {
        return Some(Whose::Runtime);
    }
    let container = container_of(&std::fs::read_to_string(folder.join("mountinfo")).ok()?);
    Some(container.map_or(Whose::Node, |container| Whose::Container(Process { pid, container, state })))
}

/// Whether a process is the one that the container was started with.
pub fn is_first_of_its_container(proc: &Path, pid: i32) -> bool {
    let status = std::fs::read_to_string(proc.join(pid.to_string()).join("status"));
    status.is_ok_and(|status| is_first_in_its_namespace(&status))
}

/// `NSpid:` lists a process's numbers, that in the innermost namespace last.
fn is_first_in_its_namespace(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.split_whitespace().next_back() == Some("1"))
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
    fn a_newcomer_is_found_once_when_it_runs_its_program() {
        let proc = tempfile::tempdir().unwrap();
        let shows = |pid: i32, name: &str, root: &str| {
            let folder = proc.path().join(pid.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            let mounts = format!("22 1 8:1 {root} /dev/x rw - ext4 /dev/sda rw");
            std::fs::write(folder.join("mountinfo"), mounts).unwrap();
            std::fs::write(folder.join("stat"), format!("{pid} ({name}) S 1")).unwrap();
        };
        let seen = |newcomers: &mut Newcomers| -> Vec<i32> {
            newcomers.look(proc.path()).iter().map(|process| process.pid).collect()
        };
        let (none, redis) = (Vec::<i32>::new(), "/var/lib/kubelet/pods/u/containers/redis/0a");
        let mut newcomers = Newcomers::default();
        shows(1, "redis-server", redis);
        newcomers.know(proc.path());
        assert_eq!(seen(&mut newcomers), none, "it was there before");
        shows(2, "containerd-shim", "/");
        shows(3, "runc:[2:INIT]", redis);
        assert_eq!(seen(&mut newcomers), none, "none runs its program yet");
        // Another container is held: who is a newcomer is one still.
        newcomers.know(proc.path());
        shows(2, "sh", redis);
        shows(3, "redis-server", redis);
        let mut found = seen(&mut newcomers);
        found.sort_unstable();
        assert_eq!(found, [2, 3]);
        assert_eq!(seen(&mut newcomers), none, "each is found once");
        assert_eq!(all(proc.path()).len(), 3);
    }

    #[test]
    fn the_first_process_of_a_container_is_number_one_within() {
        for (status, is_first) in [
            ("Name:\tredis-server\nNSpid:\t10732\t1\nState:\tT (stopped)\n", true),
            ("Name:\tsh\nNSpid:\t10867\t31\n", false),
            ("Name:\tsh\n", false),
        ] {
            assert_eq!(is_first_in_its_namespace(status), is_first, "{status}");
        }
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
