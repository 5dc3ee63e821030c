//! What lies in a folder, and damage done to it on purpose.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::output;

/// Prints everything below a folder: the path from there, whether it is a folder itself, and the size, which for a
/// folder is that of all its files.
pub fn list(folder: &Path) -> Result<()> {
    let mut entries = Vec::new();
    walk(folder, "", &mut entries)?;
    output::line(Value::Array(entries))
}

fn walk(folder: &Path, below: &str, entries: &mut Vec<Value>) -> Result<u64> {
    let unreadable = || format!("{} could not be read", folder.display());
    let mut total = 0;
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        let is_folder = entry.file_type().with_context(unreadable)?.is_dir();
        let size = if is_folder {
            walk(&entry.path(), &format!("{path}/"), entries)?
        } else {
            entry.metadata().with_context(unreadable)?.len()
        };
        total += size;
        entries.push(json!({"path": path, "folder": is_folder, "size": size}));
    }
    Ok(total)
}

/// Cuts a file, which must be longer.
pub fn truncate(file: &Path, bytes: u64) -> Result<()> {
    let doing = || format!("{} could not be cut", file.display());
    let opened = OpenOptions::new().write(true).open(file).with_context(doing)?;
    let had = opened.metadata().with_context(doing)?.len();
    anyhow::ensure!(had > bytes, "{} has {had} bytes and cannot be cut to {bytes}", file.display());
    opened.set_len(bytes).with_context(doing)?;
    output::line(format_args!("cut from {had} to {bytes} bytes"))
}

/// Writes a file until nothing fits any more, then gives `leave` bytes back.
pub fn fill(folder: &Path, leave: u64) -> Result<()> {
    let path = folder.join(".filled");
    let doing = || format!("{} could not be filled", folder.display());
    let mut file = File::create(&path).with_context(doing)?;
    let block = [0x55_u8; 1024];
    let mut written = 0_u64;
    let why = loop {
        match file.write(&block) {
            Ok(count) => written += count as u64,
            Err(error) => break error,
        }
    };
    anyhow::ensure!(why.kind() == std::io::ErrorKind::StorageFull, "the folder did not fill up: {why}");
    file.set_len(written.saturating_sub(leave)).with_context(doing)?;
    output::line(format_args!("full after {written} bytes ({why}), {leave} bytes given back"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_the_size_of_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/b"), "123").unwrap();
        let mut entries = Vec::new();
        walk(folder.path(), "", &mut entries).unwrap();
        assert!(entries.contains(&json!({"path": "a/b", "folder": false, "size": 3})));
        assert!(entries.contains(&json!({"path": "a", "folder": true, "size": 3})));
    }

    #[test]
    fn only_a_longer_file_can_be_cut() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "12345").unwrap();
        truncate(&file, 2).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"12");
        assert!(truncate(&file, 2).is_err());
    }
}
