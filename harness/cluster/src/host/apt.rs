//! Installing Debian packages without starting the services that come with them.

use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// What `invoke-rc.d` asks before it starts a service of a package.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// By this line we know a policy of ours again.
const MARK: &str = "# made by gauntlet while it installs packages";

/// Installs packages; their services stay off.
///
/// # Errors
/// What `apt-get` said at last.
pub async fn install(packages: &[&str]) -> Result<(), Trouble> {
    let _policy = Policy::set(Path::new(POLICY))?;
    apt_get(&["update"]).await?;
    // Another run may be installing: it is waited for (seconds).
    let options = ["install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
    apt_get(&options.iter().chain(packages).copied().collect::<Vec<_>>()).await
}

async fn apt_get(arguments: &[&str]) -> Result<(), Trouble> {
    let command = format!("apt-get {}", arguments.join(" "));
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .kill_on_drop(true)
        .output()
        .await
        .or_trouble(|| format!("cannot run {command}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(Trouble::input(format!("`{command}` failed:\n  {}", last.join("\n  "))))
}

/// Keeps services off as long as it lives. A policy that somebody else has set is respected and left alone.
struct Policy {
    ours: Option<PathBuf>,
}

impl Policy {
    fn set(path: &Path) -> Result<Self, Trouble> {
        let doing = || format!("cannot write {}", path.display());
        let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(Self { ours: None }),
            Err(error) => return Err(error).or_trouble(doing),
        };
        let policy = Self { ours: Some(path.to_owned()) };
        file.write_all(format!("#!/bin/sh\n{MARK}\nexit 101\n").as_bytes()).or_trouble(doing)?;
        file.set_permissions(Permissions::from_mode(0o755)).or_trouble(doing)?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(path) = &self.ours
            && let Err(error) = std::fs::remove_file(path)
        {
            eprintln!("could not remove {}: {error}", path.display());
        }
    }
}

/// Removes a policy that a killed run left. Whether there was one.
pub fn remove_stale_policy() -> bool {
    let ours = std::fs::read_to_string(POLICY).is_ok_and(|text| text.contains(MARK));
    ours && std::fs::remove_file(POLICY).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_kept_off_only_while_installing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy-rc.d");
        let policy = Policy::set(&path).unwrap();
        let status = std::process::Command::new(&path).status().unwrap();
        assert_eq!(status.code(), Some(101));
        drop(policy);
        assert!(!path.exists());
    }

    #[test]
    fn a_policy_of_somebody_else_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        drop(Policy::set(file.path()).unwrap());
        assert!(file.path().exists());
    }
}
