//! Whether this machine can run a cluster at all: checked before anything is made.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::config::{Config, clusters_in};
use crate::error::{Error, Result};

/// What is run: programs of which one must be there, with the Debian package that has the first.
const PROGRAMS: [(&[&str], &str); 2] = [(&["runc", "crun"], "runc"), (&["nft"], "nftables")];

/// Where administrators' programs are, also when `PATH` forgets them.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The size of `sun_path` less the final zero, see unix(7).
const SOCKET_LIMIT: usize = 107;

/// A cluster below this would fail at an odd moment rather than now.
const NEEDED_MIB: u64 = 256;

/// Checks root, programs, disk and port; makes the state directory.
pub fn check(config: &Config) -> Result<()> {
    config.check()?;
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    for (programs, package) in PROGRAMS {
        if !programs.iter().any(|program| find_program(program).is_some()) {
            return Err(Error::MissingProgram { program: programs.join(" or "), package: package.into() });
        }
    }
    check_state_dir(&config.state_dir)?;
    check_length(&config.paths().admin_socket())?;
    check_port(config.port)
}

/// The kernel takes only short paths for sockets.
fn check_length(socket: &Path) -> Result<()> {
    if socket.as_os_str().len() <= SOCKET_LIMIT {
        return Ok(());
    }
    let reason = format!("a socket below it would have a path of more than {SOCKET_LIMIT} bytes");
    Err(Error::StateDir { path: socket.parent().unwrap_or(socket).to_owned(), reason })
}

/// The program's path.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|program| program.is_file())
}

fn check_state_dir(path: &Path) -> Result<()> {
    let unusable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::DiskFull { path: path.into(), free_mib: 0, needed_mib: NEEDED_MIB }
        }
        _ => Error::StateDir { path: path.into(), reason: error.to_string() },
    };
    let clusters = clusters_in(path);
    fs::create_dir_all(&clusters).map_err(unusable)?;
    // Only a write shows that writing works: the directory may be on a read-only or a full disk.
    let probe = clusters.join(format!(".probe-{}", std::process::id()));
    let written = fs::write(&probe, [0; 4096]);
    let _ = fs::remove_file(&probe);
    written.map_err(unusable)?;
    let disk = nix::sys::statvfs::statvfs(&clusters).map_err(|errno| unusable(errno.into()))?;
    let free_mib = disk.blocks_available() * disk.fragment_size() / (1 << 20);
    if free_mib < NEEDED_MIB {
        return Err(Error::DiskFull { path: path.into(), free_mib, needed_mib: NEEDED_MIB });
    }
    Ok(())
}

/// Finds a port that is taken before a server is started for nothing; the server itself has the last word.
fn check_port(port: u16) -> Result<()> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    bound.map(drop).map_err(|error| Error::Port { port, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err();
        assert!(matches!(error, Error::Port { port: named, .. } if named == port), "{error}");
        assert!(error.remedy().is_some());
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused() {
        assert_eq!(check_length(Path::new("/state/admin.sock")), Ok(()));
        let error = check_length(&Path::new("/").join("x".repeat(100)).join("admin.sock")).unwrap_err();
        assert!(matches!(error, Error::StateDir { .. }), "{error}");
    }

    #[test]
    fn a_state_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = check_state_dir(&file.path().join("below")).unwrap_err();
        assert!(matches!(error, Error::StateDir { .. }), "{error}");
    }
}
