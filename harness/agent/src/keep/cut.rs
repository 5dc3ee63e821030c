//! Cutting a file in the middle, and mending it again. The whole file is kept aside until then.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::bytes::Summary;
use crate::output;

/// Takes away the second half of what is at `path` below `root`; of a folder, of the largest file in it. Cutting once
/// more cuts nothing.
pub fn cut(root: &Path, path: &Path) -> Result<()> {
    let file = largest(root, path)?;
    let aside = aside(root, &file);
    if !aside.exists() {
        // A copy that is not whole must not be taken for one.
        let part = aside.with_extension("part");
        copy(&file, &part).with_context(|| format!("{} cannot be kept aside", file.display()))?;
        fs::rename(&part, &aside).with_context(|| format!("{} cannot be kept aside", file.display()))?;
    }
    let whole = fs::metadata(&aside).context("what was kept aside cannot be seen")?.len();
    ensure!(whole > 1, "{} has {whole} bytes: nothing to cut", file.display());
    let cut = fs::File::options().write(true).open(&file).and_then(|file| file.set_len(whole / 2));
    cut.with_context(|| format!("{} cannot be cut", file.display()))?;
    output::line(json!({"file": file, "whole": whole, "left": whole / 2}))
}

/// Makes whole again what was cut there; nothing where nothing was.
pub fn mend(root: &Path, path: &Path) -> Result<()> {
    let file = largest(root, path)?;
    let aside = aside(root, &file);
    let mended = aside.exists();
    if mended {
        // The file itself stays, with its owner and mode.
        copy(&aside, &file).with_context(|| format!("{} cannot be mended", file.display()))?;
        fs::remove_file(&aside).with_context(|| format!("{} cannot be removed", aside.display()))?;
    }
    output::line(json!({"file": file, "mended": mended}))
}

/// Prints the size and the digest of what would be cut.
pub fn digest(root: &Path, path: &Path) -> Result<()> {
    let file = largest(root, path)?;
    let bytes = fs::read(&file).with_context(|| format!("{} could not be read", file.display()))?;
    let mut summary = Summary::default();
    summary.add(&bytes);
    output::line(json!({"file": file, "size": bytes.len(), "digest": summary.finish()}))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = fs::File::open(from)?;
    let mut to = fs::File::create(to)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// The file itself, or the largest in a folder, as it was before anything was cut.
fn largest(root: &Path, path: &Path) -> Result<PathBuf> {
    let path = root.join(path);
    let unreadable = || format!("{} could not be read", path.display());
    if !path.is_dir() {
        ensure!(path.is_file(), "there is no {}", path.display());
        return Ok(path);
    }
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&path).with_context(unreadable)? {
        let file = entry.with_context(unreadable)?.path();
        if file.is_file() {
            let whole = Some(aside(root, &file)).filter(|aside| aside.exists());
            let size = fs::metadata(whole.as_ref().unwrap_or(&file)).with_context(unreadable)?.len();
            found.push((size, file));
        }
    }
    found.sort();
    found.pop().map(|(_, file)| file).with_context(|| format!("{} holds no file", path.display()))
}

/// Where the whole file is meanwhile: at the root of the volume, where no backup has files of such a name.
fn aside(root: &Path, file: &Path) -> PathBuf {
    let below = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('/', "_");
    root.join(format!(".gauntlet-whole-{below}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_file_is_cut_in_half_and_mended_to_the_byte() {
        let root = tempfile::tempdir().unwrap();
        let (root, path) = (root.path(), Path::new("n-1/A.snapshot"));
        let folder = root.join(path);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("small"), "abcdef").unwrap();
        fs::write(folder.join("large"), "0123456789").unwrap();
        for _ in 0..2 {
            cut(root, path).unwrap();
            assert_eq!(fs::read_to_string(folder.join("large")).unwrap(), "01234");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left among the files of the backup");
        for _ in 0..2 {
            mend(root, path).unwrap();
            assert_eq!(fs::read_to_string(folder.join("large")).unwrap(), "0123456789");
        }
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_there_cannot_be_cut() {
        let root = tempfile::tempdir().unwrap();
        assert!(cut(root.path(), Path::new("absent")).is_err());
        assert!(cut(root.path(), Path::new("")).unwrap_err().to_string().contains("holds no file"));
    }
}
