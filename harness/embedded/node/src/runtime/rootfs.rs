//! The root file system of containers: what the host has installed, and nothing else of the host.
//!
//! A container's root is a fresh skeleton directory. The host's programs (`/usr`) and a few harmless directories of
//! `/etc` are mounted into it read-only by the runtime, inside the container's own mount namespace: nothing is mounted
//! on the host, so nothing can be left behind. What is not named here (homes, keys, `/etc/shadow`, `/var`, `/run`) does
//! not exist in a container.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::config::{Mount, MountKind};

/// Top-level names that are links into `/usr` on merged systems, directories on others.
const PROGRAMS: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Directories of `/etc` without secrets that programs need.
const ETC_DIRECTORIES: [&str; 5] = ["alternatives", "ca-certificates", "ld.so.conf.d", "ssl/certs", "terminfo"];

/// Files of `/etc` without secrets, copied so that a container may change its own.
const ETC_FILES: [&str; 13] = [
    "debian_version",
    "gai.conf",
    "group",
    "host.conf",
    "ld.so.cache",
    "ld.so.conf",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "protocols",
    "services",
    "ssl/openssl.cnf",
];

const DIRECTORIES: [(&str, u32); 16] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("etc/ssl", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/lib", 0o755),
    ("var/tmp", 0o1777),
];

/// Makes the skeleton at `root` and returns the mounts that complete it.
pub fn build(root: &Path) -> io::Result<Vec<Mount>> {
    for (name, mode) in DIRECTORIES {
        let path = root.join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    symlink("/run", root.join("var/run"))?;
    for name in ETC_FILES {
        copy_if_there(&Path::new("/etc").join(name), &root.join("etc").join(name))?;
    }
    let mut mounts = vec![read_only(PathBuf::from("/usr"))];
    for name in PROGRAMS {
        let host = Path::new("/").join(name);
        match fs::read_link(&host) {
            Ok(target) => symlink(target, root.join(name))?,
            Err(_) if host.is_dir() => mounts.push(read_only(host)),
            Err(_) => {}
        }
    }
    let etc = ETC_DIRECTORIES.iter().map(|name| Path::new("/etc").join(name));
    mounts.extend(etc.filter(|path| path.is_dir()).map(read_only));
    Ok(mounts)
}

fn read_only(path: PathBuf) -> Mount {
    Mount { target: path.clone(), kind: MountKind::Bind { source: path }, read_only: true }
}

fn copy_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_host_are_not_in_a_container() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = build(dir.path()).unwrap();
        assert!(!dir.path().join("etc/shadow").exists());
        assert!(mounts.iter().all(|m| m.read_only && !m.target.starts_with("/etc/ssl/private")));
        assert!(mounts.iter().all(|m| m.target != Path::new("/etc") && m.target != Path::new("/")));
    }

    #[test]
    fn a_container_has_a_writable_tmp_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join("tmp")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o1777);
    }
}
