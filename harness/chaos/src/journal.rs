//! What was about to be done to which cluster, on disk before it is done, so that another process can undo it.

use crate::disturbance::Disturbance;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A disturbance that was begun and not yet healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub id: u64,
    pub cluster: String,
    pub disturbance: Disturbance,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "entry")]
enum Entry {
    Begun { id: u64, cluster: String, disturbance: Disturbance },
    Healed { id: u64 },
}

/// One run's journal.
pub struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    next: u64,
}

impl Journal {
    /// Starts an empty journal, or goes on with one.
    ///
    /// # Errors
    /// The file cannot be opened or is damaged.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let doing = || format!("cannot open the fault journal {}", path.display());
        let next = read(path)?.iter().map(Entry::id).max().map_or(1, |id| id + 1);
        let file = OpenOptions::new().create(true).append(true).open(path).or_trouble(doing)?;
        Ok(Self { path: path.to_owned(), state: Mutex::new(State { file, next }) })
    }

    /// Records what is about to be done; it is on disk when this returns.
    ///
    /// # Errors
    /// It could not be recorded, so it must not be done.
    pub fn begin(&self, cluster: &str, disturbance: &Disturbance) -> Result<u64, Trouble> {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        self.write(&mut state, &Entry::Begun { id, cluster: cluster.to_owned(), disturbance: disturbance.clone() })?;
        Ok(id)
    }

    /// Records that it was healed.
    ///
    /// # Errors
    /// It could not be recorded; healing it again does no harm.
    pub fn healed(&self, id: u64) -> Result<(), Trouble> {
        self.write(&mut self.lock(), &Entry::Healed { id })
    }

    /// What was begun and not healed, the latest first: the order in which to undo it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn still_open(&self) -> Result<Vec<Open>, Trouble> {
        let mut open = BTreeMap::new();
        for entry in read(&self.path)? {
            match entry {
                Entry::Begun { id, cluster, disturbance } => {
                    open.insert(id, Open { id, cluster, disturbance });
                }
                Entry::Healed { id } => {
                    open.remove(&id);
                }
            }
        }
        Ok(open.into_values().rev().collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self, state: &mut State, entry: &Entry) -> Result<(), Trouble> {
        let doing = || format!("cannot write the fault journal {}", self.path.display());
        let line = serde_json::to_string(entry).or_trouble(doing)?;
        state.file.write_all(format!("{line}\n").as_bytes()).or_trouble(doing)?;
        state.file.sync_data().or_trouble(doing)
    }
}

impl Entry {
    fn id(&self) -> u64 {
        match self {
            Self::Begun { id, .. } | Self::Healed { id } => *id,
        }
    }
}

/// All whole lines; a last line that was cut off by a crash was never acted upon.
fn read(path: &Path) -> Result<Vec<Entry>, Trouble> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error).or_trouble(|| format!("cannot read the fault journal {}", path.display())),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |line: &str| {
        serde_json::from_str(line).or_trouble(|| format!("the fault journal {} is damaged", path.display()))
    };
    whole.lines().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cordon(node: &str) -> Disturbance {
        Disturbance::Cordon { node: node.into() }
    }

    #[test]
    fn what_is_not_healed_is_found_by_another_process_latest_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::open(&path).unwrap();
        let ids: Vec<u64> = ["a", "b", "c"].iter().map(|node| journal.begin("k", &cordon(node)).unwrap()).collect();
        journal.healed(ids[1]).unwrap();
        drop(journal);
        let open = Journal::open(&path).unwrap().still_open().unwrap();
        let left: Vec<Disturbance> = open.into_iter().map(|open| open.disturbance).collect();
        assert_eq!(left, [cordon("c"), cordon("a")]);
    }

    #[test]
    fn a_line_cut_off_by_a_crash_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Journal::open(&path).unwrap().begin("k", &cordon("a")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{}", &text[..20])).unwrap();
        assert_eq!(Journal::open(&path).unwrap().still_open().unwrap().len(), 1);
    }
}
