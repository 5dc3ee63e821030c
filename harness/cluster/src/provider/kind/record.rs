//! What this machine remembers of a cluster, from before it is created until nothing of it is left: by this it is found
//! again after a run that was killed.

use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The folder of one cluster.
#[derive(Debug, Clone)]
pub struct Record {
    folder: PathBuf,
}

impl Record {
    pub fn of(state_dir: &Path, id: &str) -> Self {
        Self { folder: folder(state_dir).join(id) }
    }

    /// Ids of all clusters that are remembered.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn ids(state_dir: &Path) -> Result<Vec<String>, Trouble> {
        let folder = folder(state_dir);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(error).or_trouble(|| format!("cannot list {}", folder.display())),
        };
        let mut ids: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    pub fn exists(&self) -> bool {
        self.folder.is_dir()
    }

    /// # Errors
    /// It cannot be written.
    pub fn create(&self, config: &Value) -> Result<(), Trouble> {
        let doing = || format!("cannot write the record of the cluster {}", self.folder.display());
        std::fs::create_dir_all(&self.folder).or_trouble(doing)?;
        // JSON is YAML.
        std::fs::write(self.config(), config.to_string()).or_trouble(doing)
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Where the agent's image is built.
    pub fn build_context(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// Where images lie on their way to the nodes.
    pub fn archive(&self) -> PathBuf {
        self.folder.join("image.tar")
    }

    /// A lock for the program that creates the cluster to hold: it tells whether that still lives.
    ///
    /// # Errors
    /// The lock is held already, or cannot be made.
    pub fn lock(&self) -> Result<File, Trouble> {
        let doing = || format!("cannot lock {}", self.lock_file().display());
        let file = OpenOptions::new().create(true).truncate(true).write(true).read(true).open(self.lock_file());
        let file = file.or_trouble(doing)?;
        file.try_lock().or_trouble(doing)?;
        Ok(file)
    }

    /// Remembers who holds the lock.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn held_by(&self, process: u32) -> Result<(), Trouble> {
        std::fs::write(self.lock_file(), process.to_string())
            .or_trouble(|| format!("cannot write {}", self.lock_file().display()))
    }

    /// Ends the program that creates the cluster and what it has started, where they outlived the run: what they create
    /// after this could not be found.
    ///
    /// # Errors
    /// The lock cannot be looked at.
    pub async fn end_creator(&self) -> Result<(), Trouble> {
        let doing = || format!("cannot wait for who creates {}", self.folder.display());
        let Ok(file) = File::open(self.lock_file()) else { return Ok(()) };
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).or_trouble(doing),
        }
        // Nobody but the process that is on record holds the lock, so the number means that process.
        let holder = std::fs::read_to_string(self.lock_file()).ok().and_then(|text| text.trim().parse().ok());
        if let Some(holder) = holder {
            let holder = Pid::from_raw(holder);
            // Either may end by itself in this very moment.
            let _ = killpg(holder, Signal::SIGKILL).or_else(|_| kill(holder, Signal::SIGKILL));
        }
        tokio::task::spawn_blocking(move || file.lock()).await.or_trouble(doing)?.or_trouble(doing)
    }

    /// Forgets the cluster.
    ///
    /// # Errors
    /// The record cannot be removed.
    pub fn remove(&self) -> Result<(), Trouble> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).or_trouble(|| format!("cannot remove {}", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    fn lock_file(&self) -> PathBuf {
        self.folder.join("lock")
    }
}

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("kind")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn clusters_are_remembered_until_they_are_forgotten() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(Record::ids(state.path()).unwrap(), Vec::<String>::new());
        let record = Record::of(state.path(), "r-1-1");
        record.create(&Value::Null).unwrap();
        assert_eq!(Record::ids(state.path()).unwrap(), ["r-1-1"]);
        record.remove().unwrap();
        record.remove().unwrap();
        assert_eq!(Record::ids(state.path()).unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_creator_that_outlived_its_run_is_ended_and_nobody_else() {
        let state = tempfile::tempdir().unwrap();
        let record = Record::of(state.path(), "r-1-1");
        record.create(&Value::Null).unwrap();
        let lock = record.lock().unwrap();
        let mut creator = Command::new("sleep").arg("600").stdin(Stdio::from(lock)).spawn().unwrap();
        record.held_by(creator.id()).unwrap();
        record.end_creator().await.unwrap();
        assert!(!creator.wait().unwrap().success(), "it was not ended");

        // The number on record now belongs to nobody, or to somebody else.
        let mut other = Command::new("sleep").arg("600").spawn().unwrap();
        record.held_by(other.id()).unwrap();
        record.end_creator().await.unwrap();
        assert!(other.try_wait().unwrap().is_none(), "a stranger was ended");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
