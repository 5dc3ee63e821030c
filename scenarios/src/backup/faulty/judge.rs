//! What a job came to that could not take a whole backup, and what it left. Pure.

use crate::backup::names;
use crate::backup::take::Entry;
use gauntlet_cluster::jobs::Ended;
use gauntlet_core::Outcome;
use gauntlet_core::span::Span;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What volumes in memory are counted in, in bytes.
const PAGE: u64 = 4096;

/// Whatever bears a name that a backup's artefacts have, empty or not.
pub fn named_like_backups(patterns: &[String], entries: &[Entry]) -> BTreeSet<String> {
    let fits = |entry: &&Entry| patterns.iter().any(|pattern| names::time_in(pattern, &entry.path).is_some());
    entries.iter().filter(fits).map(|entry| entry.path.clone()).collect()
}

/// Of a job that could not save everything: it must not succeed, and must leave nothing that could be taken for a
/// backup. `ended` is `None` when it had not ended `within` its time.
pub fn incomplete(ended: Option<&Ended>, left: &Result<BTreeSet<String>, String>, within: Span) -> (Outcome, String) {
    let came_to = match ended {
        Some(ended) if ended.succeeded => return (Outcome::Broken, "the job says that it succeeded".to_owned()),
        Some(ended) => format!("the job failed ({})", ended.why),
        None => format!("the job had not ended after {within}"),
    };
    match left {
        Err(why) => (Outcome::Unknown, format!("{came_to}; what it left cannot be told: {why}")),
        Ok(left) if left.is_empty() => (Outcome::Held, format!("{came_to} and left nothing under a backup's name")),
        Ok(left) => {
            let left: Vec<&str> = left.iter().map(String::as_str).collect();
            (Outcome::Broken, format!("{came_to} and left what looks like a backup: {}", left.join(", ")))
        }
    }
}

/// Bytes that files take in a volume in memory.
pub fn taken(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| !entry.folder).map(|entry| entry.size.div_ceil(PAGE) * PAGE).sum()
}

/// A volume in which about half of what is needed fits.
pub fn too_small(need: u64) -> u64 {
    (need / 2 / PAGE).max(1) * PAGE
}

/// `backoffLimit` where it is not set.
const RETRIES_BY_DEFAULT: i64 = 6;

/// A Job that tries again once, where its template would do so again and again: the second try meets what the first has
/// left, and a third would meet nothing new.
pub fn at_most_one_retry(mut job: Value) -> Value {
    let retries = job["spec"]["backoffLimit"].as_i64().unwrap_or(RETRIES_BY_DEFAULT);
    job["spec"]["backoffLimit"] = json!(retries.min(1));
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_does_not_try_again_is_left_alone() {
        for (own, expected) in [(json!(0), 0), (json!(1), 1), (json!(2), 1), (Value::Null, 1)] {
            let job = at_most_one_retry(json!({"spec": {"backoffLimit": own}}));
            assert_eq!(job["spec"]["backoffLimit"], expected);
        }
    }

    fn entry(path: &str, size: u64) -> Entry {
        Entry { path: path.into(), folder: false, size }
    }

    #[test]
    fn an_incomplete_backup_neither_succeeds_nor_looks_like_one() {
        let ended = |succeeded| Ended { succeeded, why: "W".into(), started: String::new(), ended: String::new() };
        let (nothing, something) = (Ok(BTreeSet::new()), Ok(BTreeSet::from(["r.rdb".to_owned()])));
        for (ended, left, expected) in [
            (Some(ended(true)), &nothing, Outcome::Broken),
            (Some(ended(true)), &something, Outcome::Broken),
            (Some(ended(false)), &nothing, Outcome::Held),
            (Some(ended(false)), &something, Outcome::Broken),
            (None, &nothing, Outcome::Held),
            (None, &something, Outcome::Broken),
            (Some(ended(false)), &Err("w".to_owned()), Outcome::Unknown),
        ] {
            assert_eq!(incomplete(ended.as_ref(), left, Span::from_secs(1)).0, expected, "{ended:?} {left:?}");
        }
    }

    #[test]
    fn names_of_backups_count_even_where_nothing_is_in_them() {
        let patterns = ["n-{time}/A.s".to_owned()];
        let time = "20260213T120003Z";
        let entries = [entry(&format!("n-{time}/A.s"), 0), entry(&format!(".n-{time}/A.s"), 9), entry("other", 1)];
        assert_eq!(named_like_backups(&patterns, &entries), BTreeSet::from([format!("n-{time}/A.s")]));
    }

    #[test]
    fn files_take_whole_pages_and_folders_none() {
        let folder = Entry { folder: true, ..entry("f", 5000) };
        assert_eq!(taken(&[folder, entry("f/a", 1), entry("f/b", 4096), entry("f/c", 4097)]), 4 * 4096);
        assert_eq!(too_small(8 * 4096), 4 * 4096);
        assert_eq!(too_small(4096), 4096);
    }
}
