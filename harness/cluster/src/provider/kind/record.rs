//! What this machine remembers of a cluster, from before it is created until nothing of it is left: by this it is found
//! again after a run that was killed.

use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use serde_json::Value;
use std::fs::{File, OpenOptions};
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

    /// Remembers a cluster that is there and of which nothing else is known any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn adopt(&self) -> Result<(), Trouble> {
        let doing = || format!("cannot write the record of the cluster {}", self.folder.display());
        std::fs::create_dir_all(&self.folder).or_trouble(doing)
    }

    /// # Errors
    /// It cannot be written.
    pub fn create(&self, config: &Value) -> Result<(), Trouble> {
        self.adopt()?;
        let doing = || format!("cannot write the record of the cluster {}", self.folder.display());
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

    /// A lock for who creates the cluster to hold: it tells whether anybody of them still lives.
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

    pub fn lock_file(&self) -> PathBuf {
        self.folder.join("lock")
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
}

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("kind")
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
