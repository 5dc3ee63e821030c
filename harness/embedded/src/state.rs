//! The state directory of a cluster: who holds it, and what is written there for others.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::config::{Paths, check_id, clusters_in};
use crate::error::{Doing, Error, Result};

/// How to reach a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    pub id: String,
    /// The URL of the API server.
    pub server: String,
    pub kubeconfig: PathBuf,
    pub admin_socket: PathBuf,
    pub nodes: Vec<String>,
    /// The server's process, as the host sees it.
    pub pid: i32,
    /// When it became ready, RFC 3339.
    pub ready_at: String,
    /// Hosts that are not the cluster's, which its pods reach where policies allow it.
    #[serde(default)]
    pub outside: Vec<OutsideHost>,
}

/// A host outside the cluster, played by the cluster's network itself: nothing leaves the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideHost {
    /// `outside`, or `metadata` for the cloud's metadata service.
    pub name: String,
    pub address: Ipv4Addr,
    /// The ports that answer.
    pub tcp: Vec<u16>,
    pub udp: Vec<u16>,
}

/// A cluster as the state directory shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterState {
    pub id: String,
    pub status: ClusterStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterStatus {
    /// Somebody holds it; how to reach it, once it is ready.
    Running(Option<ClusterInfo>),
    /// Its processes died without cleaning up: `clean` removes what they left.
    Dead,
}

/// The right to a cluster's directory. Nobody else has it, until this is dropped or its process dies.
pub(crate) struct Claim {
    _lock: Flock<File>,
}

impl Claim {
    /// Makes the directory if it is missing and takes it; [`Error::Running`] when somebody else has it.
    pub fn take(id: &str, paths: &Paths) -> Result<Self> {
        loop {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(paths.directory()).map_err(|error| cannot(paths, &error))?;
            match Self::try_take(id, paths)? {
                Some(claim) => return Ok(claim),
                // The directory was removed by who had it before: make it anew.
                None => continue,
            }
        }
    }

    /// Takes a directory that exists. `None` when it is gone, [`Error::Running`] when somebody else has it.
    pub fn try_take(id: &str, paths: &Paths) -> Result<Option<Self>> {
        let path = paths.lock();
        let file = match OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot(paths, &error)),
        };
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Err(Error::Running { id: id.to_owned() }),
            Err((_, errno)) => return Err(Error::failed(format!("lock {}", path.display()), errno)),
        };
        // The file may have been removed, with everything else, between opening and locking it.
        let same = |held: &File| {
            let (held, named) = (held.metadata().ok()?, fs::metadata(&path).ok()?);
            Some((held.dev(), held.ino()) == (named.dev(), named.ino()))
        };
        Ok((same(&lock) == Some(true)).then_some(Self { _lock: lock }))
    }
}

fn cannot(paths: &Paths, error: &std::io::Error) -> Error {
    Error::StateDir { path: paths.directory().to_owned(), reason: error.to_string() }
}

/// All clusters that the state directory knows, by id.
pub fn list(state_dir: &Path) -> Result<Vec<ClusterState>> {
    let directory = clusters_in(state_dir);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("list {}", directory.display())),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter(|name| check_id(name).is_ok()).collect();
    ids.sort_unstable();
    let locks = fs::read_to_string("/proc/locks").doing(|| "read /proc/locks")?;
    Ok(ids.into_iter().map(|id| state_of(state_dir, id, &locks)).collect())
}

fn state_of(state_dir: &Path, id: String, locks: &str) -> ClusterState {
    let paths = Paths::new(state_dir, &id);
    let held = fs::metadata(paths.lock()).is_ok_and(|file| is_locked(file.ino(), locks));
    if !held {
        return ClusterState { id, status: ClusterStatus::Dead };
    }
    let info = fs::read(paths.info()).ok().and_then(|text| serde_json::from_slice(&text).ok());
    ClusterState { id, status: ClusterStatus::Running(info) }
}

/// Looks a file up in the text of `/proc/locks`. Trying the lock would disturb who wants it.
fn is_locked(inode: u64, locks: &str) -> bool {
    let suffix = format!(":{inode}");
    locks.lines().any(|line| line.contains("FLOCK") && line.split_whitespace().any(|word| word.ends_with(&suffix)))
}

/// Writes a file that only its owner reads, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&partial, path)
    };
    write().doing(|| format!("write {}", path.display()))
}

/// The last lines of a log.
pub(crate) fn last_words(log: &Path, lines: usize) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut last: Vec<String> = text.lines().rev().take(lines).map(str::to_owned).collect();
    last.reverse();
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(directory: &tempfile::TempDir) -> Paths {
        Paths::new(directory.path(), "a")
    }

    #[test]
    fn one_cluster_has_one_holder() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(&directory);
        let claim = Claim::take("a", &paths).unwrap();
        assert_eq!(Claim::take("a", &paths).err(), Some(Error::Running { id: "a".into() }));
        drop(claim);
        assert!(Claim::take("a", &paths).is_ok());
    }

    #[test]
    fn a_removed_directory_is_not_held_by_its_old_lock() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(&directory);
        let old = Claim::take("a", &paths).unwrap();
        fs::remove_dir_all(paths.directory()).unwrap();
        assert!(Claim::try_take("a", &paths).unwrap().is_none());
        assert!(Claim::take("a", &paths).is_ok());
        drop(old);
    }

    #[test]
    fn clusters_are_listed_as_running_or_dead() {
        let directory = tempfile::tempdir().unwrap();
        let held = Claim::take("held", &Paths::new(directory.path(), "held")).unwrap();
        drop(Claim::take("dead", &Paths::new(directory.path(), "dead")).unwrap());
        let listed = list(directory.path()).unwrap();
        let status = |id: &str| listed.iter().find(|cluster| cluster.id == id).map(|cluster| cluster.status.clone());
        assert_eq!(status("held"), Some(ClusterStatus::Running(None)));
        assert_eq!(status("dead"), Some(ClusterStatus::Dead));
        assert_eq!(listed.len(), 2);
        drop(held);
    }

    #[test]
    fn no_state_directory_means_no_clusters() {
        assert_eq!(list(Path::new("/nonexistent/gauntlet")), Ok(Vec::new()));
    }
}
