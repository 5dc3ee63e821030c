//! Writing the files of a volume so that a reader sees all old ones or all new ones.
//!
//! Files live in a directory of their own; `..data` is a link to it, and every file in the volume is a link through
//! `..data`. Replacing that one link replaces all files at once (k8s.io/kubernetes/pkg/volume/util/atomic_writer.go).

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::payload::Payload;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Brings the volume at `root` to `payload`. `generation` is new for each different payload.
pub fn write(root: &Path, payload: &Payload, generation: u64) -> io::Result<()> {
    fs::create_dir_all(root)?;
    let previous = fs::read_link(root.join(DATA)).ok();
    let directory = format!("..{generation}");
    for (path, file) in payload {
        let target = root.join(&directory).join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, &file.contents)?;
        fs::set_permissions(&target, fs::Permissions::from_mode(file.mode))?;
    }
    fs::create_dir_all(root.join(&directory))?;
    symlink(&directory, root.join(NEW_DATA))?;
    fs::rename(root.join(NEW_DATA), root.join(DATA))?;
    link_names(root, payload)?;
    match previous {
        Some(previous) if previous.as_os_str() != directory.as_str() => fs::remove_dir_all(root.join(previous)),
        _ => Ok(()),
    }
}

/// One link per top-level name, and none for names that are gone.
fn link_names(root: &Path, payload: &Payload) -> io::Result<()> {
    let top = |path: &str| path.split('/').next().unwrap_or(path).to_owned();
    for name in payload.keys().map(|path| top(path)) {
        if fs::symlink_metadata(root.join(&name)).is_err() {
            symlink(Path::new(DATA).join(&name), root.join(&name))?;
        }
    }
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !payload.keys().any(|path| top(path) == name) {
            fs::remove_file(root.join(&name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::payload::File;
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |text: &str| File { contents: text.into(), mode: 0o640 };
        files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    #[test]
    fn an_update_replaces_all_files_at_once_and_leaves_no_old_ones() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &payload(&[("a", "1"), ("sub/b", "2")]), 1).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("sub/b")).unwrap(), "2");
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o640);
        write(dir.path(), &payload(&[("a", "3")]), 2).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "3");
        assert!(!dir.path().join("sub").exists() && !dir.path().join("..1").exists());
    }

    #[test]
    fn an_empty_volume_is_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("v"), &Payload::new(), 1).unwrap();
        assert!(dir.path().join("v").is_dir());
    }
}
