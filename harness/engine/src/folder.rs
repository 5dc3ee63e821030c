//! Where a run keeps what: its folder of reports, and a record outside of it by which `gauntlet clean` finds what a
//! dead run left.

use gauntlet_chaos::Journal;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{RunId, Trouble};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `reports/<run-id>/`.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// # Errors
    /// It cannot be made.
    pub fn create(reports: &Path, run: &RunId) -> Result<Self, Trouble> {
        let path = reports.join(run.as_str());
        std::fs::create_dir_all(&path).map_err(|error| {
            Trouble::harness(format!("cannot make the folder of reports {}: {error}", path.display()))
                .hint("name another place with --report DIR")
        })?;
        Ok(Self { path })
    }

    /// The folder of a run that has been.
    pub fn existing(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    pub fn junit(&self) -> PathBuf {
        self.path.join("junit.xml")
    }

    pub fn page(&self) -> PathBuf {
        self.path.join("index.html")
    }

    /// Histories and the like of one scenario.
    pub fn scenario(&self, name: &str) -> PathBuf {
        self.path.join("scenarios").join(file_name(name))
    }

    /// Evidence of one scenario, relative to the run's folder.
    pub fn evidence(name: &str) -> PathBuf {
        Path::new("evidence").join(file_name(name))
    }
}

fn file_name(scenario: &str) -> String {
    scenario.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-")
}

/// The record of a run that is under way: its lock is held while the run lives.
pub struct RunRecord {
    path: PathBuf,
    pub journal: Arc<Journal>,
    _lock: File,
}

impl RunRecord {
    /// `provider` is the key of what gives the run its clusters; `keep` says that these are to outlive it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(state_dir: &Path, run: &RunId, provider: &str, keep: bool) -> Result<Self, Trouble> {
        let path = runs(state_dir).join(run.as_str());
        let doing = || format!("cannot make the record of this run {}", path.display());
        std::fs::create_dir_all(&path).or_trouble(doing)?;
        let lock = File::create(path.join("lock")).or_trouble(doing)?;
        lock.try_lock().or_trouble(doing)?;
        std::fs::write(path.join(PROVIDER), provider).or_trouble(doing)?;
        if keep {
            File::create(path.join(KEEP)).or_trouble(doing)?;
        }
        let journal = Arc::new(Journal::open(&path.join("journal.jsonl"))?);
        Ok(Self { path, journal, _lock: lock })
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The key of the provider of its clusters.
    pub fn provider(&self) -> String {
        std::fs::read_to_string(self.path.join(PROVIDER)).unwrap_or_else(|_| "embedded".to_owned())
    }

    /// Whether its clusters are to outlive the run.
    pub fn keeps(&self) -> bool {
        self.path.join(KEEP).exists()
    }

    /// Forgets the run, unless it left faults open.
    ///
    /// # Errors
    /// The record cannot be read or removed.
    pub fn close(self) -> Result<(), Trouble> {
        if !self.journal.still_open()?.is_empty() {
            return Ok(());
        }
        let path = &self.path;
        std::fs::remove_dir_all(path).or_trouble(|| format!("cannot remove {}", path.display()))
    }

    /// Records of runs that died; holding one keeps others from cleaning after it too.
    ///
    /// # Errors
    /// The folder of records cannot be read.
    pub fn dead(state_dir: &Path) -> Result<Vec<Self>, Trouble> {
        Ok(entries(state_dir)?.into_iter().filter_map(Self::claim).collect())
    }

    /// Ids of the runs that live.
    ///
    /// # Errors
    /// The folder of records cannot be read.
    pub fn alive(state_dir: &Path) -> Result<Vec<String>, Trouble> {
        let dead = Self::dead(state_dir)?;
        let is_dead = |run: &String| dead.iter().any(|dead| dead.run() == run);
        Ok(entries(state_dir)?
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .filter(|run| !is_dead(run))
            .collect())
    }

    /// `None` while its run lives.
    fn claim(path: PathBuf) -> Option<Self> {
        let lock = File::create(path.join("lock")).ok()?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
        }
        let journal = Arc::new(Journal::open(&path.join("journal.jsonl")).ok()?);
        Some(Self { path, journal, _lock: lock })
    }
}

/// The file that says whose clusters the run uses.
const PROVIDER: &str = "provider";

/// The file that says that clusters are to outlive their run.
const KEEP: &str = "keep";

/// The records there are.
fn entries(state_dir: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let runs = runs(state_dir);
    match std::fs::read_dir(&runs) {
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(error).or_trouble(|| format!("cannot list {}", runs.display())),
    }
}

fn runs(state_dir: &Path) -> PathBuf {
    state_dir.join("runs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_chaos::Disturbance;

    #[test]
    fn a_run_is_dead_only_when_nobody_holds_it() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::new(0, 1);
        let record = RunRecord::create(state.path(), &run, "embedded", false).unwrap();
        record.journal.begin("c", &Disturbance::Cordon { node: "n".into() }).unwrap();
        assert!(RunRecord::dead(state.path()).unwrap().is_empty());
        drop(record);
        let dead = RunRecord::dead(state.path()).unwrap();
        assert_eq!(dead[0].journal.still_open().unwrap().len(), 1);
    }

    #[test]
    fn a_healed_run_is_forgotten_and_an_open_one_is_not() {
        let state = tempfile::tempdir().unwrap();
        let record = RunRecord::create(state.path(), &RunId::new(0, 1), "embedded", false).unwrap();
        let id = record.journal.begin("c", &Disturbance::Cordon { node: "n".into() }).unwrap();
        record.close().unwrap();
        let again = RunRecord::dead(state.path()).unwrap().pop().unwrap();
        again.journal.healed(id).unwrap();
        again.close().unwrap();
        assert!(RunRecord::dead(state.path()).unwrap().is_empty());
    }

    #[test]
    fn names_of_repeated_scenarios_are_good_file_names() {
        assert_eq!(file_name("redis.failover#2"), "redis.failover-2");
    }
}
