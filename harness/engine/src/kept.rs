//! Why a cluster is still there: a note beside the records of runs, for whoever finds it later.

use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which clusters outlive their run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Never,
    /// Those on which something did not pass.
    Failed,
    Always,
}

impl Keep {
    /// Whether a cluster stays on which everything went as it should, or did not.
    pub fn keeps(self, clean: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Failed => !clean,
            Self::Always => true,
        }
    }
}

fn file(state_dir: &Path, cluster: &str) -> PathBuf {
    state_dir.join("kept").join(cluster)
}

/// Writes down why a cluster is there, in one line.
///
/// # Errors
/// It cannot be written.
pub fn note(state_dir: &Path, cluster: &str, why: &str) -> Result<(), Trouble> {
    let doing = || format!("cannot write down why cluster {cluster} is kept");
    std::fs::create_dir_all(state_dir.join("kept")).or_trouble(doing)?;
    std::fs::write(file(state_dir, cluster), why.replace('\n', " ")).or_trouble(doing)
}

/// Why a cluster is there; `None` where nobody keeps it.
pub fn why(state_dir: &Path, cluster: &str) -> Option<String> {
    std::fs::read_to_string(file(state_dir, cluster)).ok()
}

/// Everything that is kept, by id, and why.
///
/// # Errors
/// It cannot be listed.
pub fn all(state_dir: &Path) -> Result<BTreeMap<String, String>, Trouble> {
    let folder = state_dir.join("kept");
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries.or_trouble(|| format!("cannot list {}", folder.display()))?,
    };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(ids.filter_map(|id| why(state_dir, &id).map(|why| (id, why))).collect())
}

/// Forgets whatever a run kept, since it is gone.
///
/// # Errors
/// It cannot be listed.
pub fn forget_run(state_dir: &Path, run: &str) -> Result<(), Trouble> {
    let is_of = |id: &&String| id.strip_prefix(run).is_some_and(|rest| rest.starts_with('-'));
    all(state_dir)?.keys().filter(is_of).for_each(|id| forget(state_dir, id));
    Ok(())
}

/// Forgets a cluster that is gone.
pub fn forget(state_dir: &Path, cluster: &str) {
    // What was never noted is forgotten.
    let _ = std::fs::remove_file(file(state_dir, cluster));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_known_until_it_is_gone() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(why(state.path(), "a"), None);
        note(state.path(), "a", "drain.quorum failed\nin run r").unwrap();
        assert_eq!(why(state.path(), "a").as_deref(), Some("drain.quorum failed in run r"));
        forget(state.path(), "a");
        assert_eq!(why(state.path(), "a"), None);
    }

    #[test]
    fn everything_that_is_kept_is_listed_wherever_it_is() {
        let state = tempfile::tempdir().unwrap();
        assert!(all(state.path()).unwrap().is_empty());
        for id in ["r1-1-1", "r1-1-2", "r10-1-1"] {
            note(state.path(), id, "why").unwrap();
        }
        forget_run(state.path(), "r1").unwrap();
        assert_eq!(all(state.path()).unwrap(), [("r10-1-1".to_owned(), "why".to_owned())].into());
    }

    #[test]
    fn only_failures_are_kept_where_only_failures_are_wanted() {
        for (keep, clean, kept) in [
            (Keep::Never, false, false),
            (Keep::Failed, false, true),
            (Keep::Failed, true, false),
            (Keep::Always, true, true),
        ] {
            assert_eq!(keep.keeps(clean), kept, "{keep:?} {clean}");
        }
    }
}
