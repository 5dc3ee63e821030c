//! What events tell of files of evidence: enough that a report can be read without the run's folder, and not more.

use gauntlet_core::timeline::EvidenceFile;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Of one file.
const OF_FILE: u64 = 24 * 1024;

/// Of one that people look into first, as long as these leave half of everything to the others.
const OF_IMPORTANT: u64 = 128 * 1024;

/// Of all files of one scenario.
const OF_ALL: u64 = 1536 * 1024;

/// Every file below `folder`, which is relative to `run`, in order of their names, but for those that are `known`: they are
/// then. What cannot be read is told without an excerpt: that it is there is worth knowing.
pub(crate) fn files(run: &Path, folder: &Path, known: &mut BTreeSet<String>) -> Vec<EvidenceFile> {
    let sized = |path: PathBuf| {
        let bytes = run.join(&path).metadata().map_or(0, |metadata| metadata.len());
        (path, bytes)
    };
    let news = below(run, folder).into_iter().filter(|path| known.insert(path.display().to_string()));
    let files: Vec<(PathBuf, u64)> = news.map(sized).collect();
    let shares = shares(&files);
    let told = |((path, bytes), share): ((PathBuf, u64), u64)| {
        let (excerpt, cut) = excerpt(&run.join(&path), bytes, share).unwrap_or_else(|_| (String::new(), true));
        EvidenceFile { path: path.display().to_string(), bytes, excerpt, cut }
    };
    files.into_iter().zip(shares).map(told).collect()
}

/// How much of each file is told. What matters most gets its share first.
fn shares(files: &[(PathBuf, u64)]) -> Vec<u64> {
    let mut shares = vec![0; files.len()];
    let mut left = OF_ALL - OF_ALL / 2;
    for (share, (_, bytes)) in shares.iter_mut().zip(files).filter(|(_, (path, _))| is_important(path)) {
        *share = (*bytes).min(OF_IMPORTANT).min(left);
        left -= *share;
    }
    left += OF_ALL / 2;
    for (share, (_, bytes)) in shares.iter_mut().zip(files) {
        let more = (*bytes).min(OF_FILE).saturating_sub(*share).min(left);
        *share += more;
        left -= more;
    }
    shares
}

/// The summary, what the stores say of themselves, and events and pods as they are.
fn is_important(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let of_stores = path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "stores");
    let named = name == "summary.txt" || name == "events.txt";
    of_stores || named || [".events.json", ".pods.json"].iter().any(|end| name.ends_with(end))
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
        let files = files(run.path(), Path::new("evidence/a"), &mut BTreeSet::new());
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["evidence/a/logs/a.log", "evidence/a/logs/b.json", "evidence/a/logs/c.txt"]);
        assert!(files[0].cut && files[0].excerpt.ends_with("line 9999\n") && files[0].excerpt.starts_with("line "));
        assert!(files[1].cut && files[1].excerpt.starts_with("line 0\n") && files[1].excerpt.len() <= 24 * 1024);
        assert_eq!((files[2].excerpt.as_str(), files[2].cut, files[2].bytes), ("short", false, 5));
    }

    #[test]
    fn what_was_collected_into_a_folder_within_is_told_once() {
        let run = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(run.path().join("e/during")).unwrap();
        std::fs::write(run.path().join("e/during/a.txt"), "a").unwrap();
        let mut known = BTreeSet::new();
        assert_eq!(files(run.path(), Path::new("e/during"), &mut known).len(), 1);
        std::fs::write(run.path().join("e/b.txt"), "b").unwrap();
        let later = files(run.path(), Path::new("e"), &mut known);
        let paths: Vec<&str> = later.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["e/b.txt"]);
    }

    #[test]
    fn all_excerpts_together_are_bounded() {
        let run = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(run.path().join("e")).unwrap();
        let line = "x".repeat(63) + "\n";
        for n in 0..100 {
            std::fs::write(run.path().join(format!("e/{n:03}.log")), line.repeat(1024)).unwrap();
        }
        let files = files(run.path(), Path::new("e"), &mut BTreeSet::new());
        assert_eq!(files.len(), 100);
        assert!(files.iter().map(|file| file.excerpt.len() as u64).sum::<u64>() <= OF_ALL);
    }
    #[test]
    fn what_people_look_into_first_has_a_larger_share_and_leaves_half_to_the_others() {
        const KIB: u64 = 1024;
        let of = |files: &[(&str, u64)]| -> Vec<u64> {
            let files: Vec<(PathBuf, u64)> = files.iter().map(|(path, kib)| (path.into(), kib * KIB)).collect();
            shares(&files).into_iter().map(|share| share / KIB).collect()
        };
        let few = [
            ("e/logs/a.log", 200),
            ("e/objects/cordum.events.json", 100),
            ("e/objects/cordum.pods.json", 200),
            ("e/objects/cordum.services.json", 30),
            ("e/stores/redis.txt", 60),
            ("e/summary.txt", 3),
        ];
        assert_eq!(of(&few), [24, 100, 128, 24, 60, 3]);
        let many: Vec<(String, u64)> = (0..20).map(|n| (format!("e/stores/{n:03}.txt"), 500)).collect();
        let many: Vec<(&str, u64)> = many.iter().map(|(path, kib)| (path.as_str(), *kib)).collect();
        let all: Vec<(&str, u64)> = many.iter().copied().chain([("z/a.log", 500)]).collect();
        let given = of(&all);
        assert_eq!(given[..7], [128, 128, 128, 128, 128, 128, 24], "half of 1536 is left to the others");
        assert_eq!(given.last(), Some(&24));
        assert!(given.iter().sum::<u64>() <= OF_ALL / KIB, "{given:?}");
    }
}
