//! `fsGroup`: volumes belong to the pod's group (k8s.io/kubernetes/pkg/volume/volume_linux.go).

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

const READ_WRITE: u32 = 0o660;
const READ_ONLY: u32 = 0o440;
const DIRECTORY: u32 = 0o2110;

/// Gives everything below `path` to `group`; directories hand it on to what is made in them.
pub fn give_to_group(path: &Path, group: u32, read_only: bool) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.gid() != group {
        lchown(path, None, Some(group))?;
    }
    if metadata.is_symlink() {
        return Ok(());
    }
    let mut mode = metadata.mode() | if read_only { READ_ONLY } else { READ_WRITE };
    if metadata.is_dir() {
        mode |= DIRECTORY;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give_to_group(&entry?.path(), group, read_only)?;
        }
    }
    Ok(())
}
