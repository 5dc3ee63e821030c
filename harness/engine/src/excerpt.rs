//! What events tell of files of evidence: enough that a report can be read without the run's folder, and not more.

use gauntlet_core::timeline::EvidenceFile;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Of one file.
const OF_FILE: u64 = 24 * 1024;

/// Of all files of one scenario.
const OF_ALL: u64 = 1536 * 1024;

/// Every file below `folder`, which is relative to `run`, in order of their names. What cannot be read is told without
/// an excerpt: that it is there is worth knowing.
pub(crate) fn files(run: &Path, folder: &Path) -> Vec<EvidenceFile> {
    let mut left = OF_ALL;
    let mut told = Vec::new();
    for path in below(run, folder) {
        let whole = run.join(&path);
        let bytes = whole.metadata().map_or(0, |metadata| metadata.len());
        let (excerpt, cut) = excerpt(&whole, bytes, OF_FILE.min(left)).unwrap_or_else(|_| (String::new(), true));
        left = left.saturating_sub(excerpt.len() as u64);
        told.push(EvidenceFile { path: path.display().to_string(), bytes, excerpt, cut });
    }
    told
}

fn below(run: &Path, folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(run.join(folder)) else { return vec![] };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| folder.join(entry.file_name())).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if run.join(&path).is_dir() { below(run, &path) } else { vec![path] }).collect()
}

/// The last lines of a log, the first ones of anything else.
fn excerpt(path: &Path, bytes: u64, limit: u64) -> std::io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let is_log = path.extension().is_some_and(|extension| extension == "log");
    if is_log && bytes > limit {
        file.seek(SeekFrom::End(-i64::try_from(limit).unwrap_or(0)))?;
    }
    let mut read = Vec::new();
    file.take(limit).read_to_end(&mut read)?;
    let text = String::from_utf8_lossy(&read).into_owned();
    if bytes <= limit {
        return Ok((text, false));
    }
    // A line that was cut in half misleads.
    let whole = if is_log {
        text.split_once('\n').map_or("", |(_, rest)| rest)
    } else {
        text.rsplit_once('\n').map_or("", |(start, _)| start)
    };
    Ok((whole.to_owned(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_shows_its_end_and_other_files_their_beginning() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("evidence/a/logs");
        std::fs::create_dir_all(&folder).unwrap();
        let lines: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        for name in ["a.log", "b.json", "c.txt"] {
            std::fs::write(folder.join(name), if name == "c.txt" { "short" } else { &lines }).unwrap();
        }
        let files = files(run.path(), Path::new("evidence/a"));
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["evidence/a/logs/a.log", "evidence/a/logs/b.json", "evidence/a/logs/c.txt"]);
        assert!(files[0].cut && files[0].excerpt.ends_with("line 9999\n") && files[0].excerpt.starts_with("line "));
        assert!(files[1].cut && files[1].excerpt.starts_with("line 0\n") && files[1].excerpt.len() <= 24 * 1024);
        assert_eq!((files[2].excerpt.as_str(), files[2].cut, files[2].bytes), ("short", false, 5));
    }

    #[test]
    fn all_excerpts_together_are_bounded() {
        let run = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(run.path().join("e")).unwrap();
        let line = "x".repeat(63) + "\n";
        for n in 0..100 {
            std::fs::write(run.path().join(format!("e/{n:03}.log")), line.repeat(1024)).unwrap();
        }
        let files = files(run.path(), Path::new("e"));
        assert_eq!(files.len(), 100);
        assert!(files.iter().map(|file| file.excerpt.len() as u64).sum::<u64>() <= OF_ALL);
    }
}
