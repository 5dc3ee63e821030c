//! Installing Debian packages without starting the services that come with them.

use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// What `invoke-rc.d` asks before it starts a service of a package.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Held while packages are installed: `apt-get update` fails where another one is under way.
const LOCK: &str = "/run/lock/gauntlet-apt";

/// How long other runs may take to install what they lack.
const OTHERS_TAKE: Duration = Duration::from_secs(600);

/// Between two tries to get the lock, whose release cannot be watched.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// By this line we know a policy of ours again.
const MARK: &str = "# made by gauntlet while it installs packages";

/// Installs packages; their services stay off.
///
/// # Errors
/// What `apt-get` said at last.
pub async fn install(packages: &[&str]) -> Result<(), Trouble> {
    let _alone = alone(Path::new(LOCK)).await?;
    let _policy = Policy::set(Path::new(POLICY))?;
    apt_get(&["update"]).await?;
    let options = ["install", "--yes", "--no-install-recommends"];
    apt_get(&options.iter().chain(packages).copied().collect::<Vec<_>>()).await
}

/// Waits until no other process of ours installs; none does as long as the lock is kept.
async fn alone(path: &Path) -> Result<Flock<File>, Trouble> {
    let doing = || format!("cannot lock {}", path.display());
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).or_trouble(doing)?;
    let until = Instant::now() + OTHERS_TAKE;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((file, Errno::EWOULDBLOCK)) if Instant::now() < until => file,
            Err((_, error)) => return Err(error).or_trouble(doing),
        };
        tokio::time::sleep(ASK_EVERY).await;
    }
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

    #[tokio::test]
    async fn whoever_installs_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = alone(&path).await.unwrap();
        let second = tokio::spawn({
            let path = path.clone();
            async move { alone(&path).await.map(drop) }
        });
        tokio::time::sleep(ASK_EVERY * 3).await;
        assert!(!second.is_finished(), "two install at once");
        drop(first);
        second.await.unwrap().unwrap();
    }

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
