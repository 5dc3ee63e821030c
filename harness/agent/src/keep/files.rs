//! What lies in a folder.

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
}
