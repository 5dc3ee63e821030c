//! The agent's image is really built where Docker's engine is present, on a base made from Debian's packages where no
//! registry is reachable; and the program in it starts as it will in a pod.

use gauntlet_cluster::host;
use gauntlet_cluster::provider::kind::load;
use std::path::Path;
use std::process::{Command, Output};

/// Images of this test by a label that no run has.
const RUN: &str = "test-of-the-agent-image";

const PULLED: &str = "debian:12-slim";
const MADE: &str = "gauntlet-test/base:made";

/// What is beside the program: a C library and `nft`, not a distribution.
const LIBRARIES: u64 = 20 << 20;

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().expect("docker starts")
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Why the image cannot be built here.
fn obstacle() -> Option<&'static str> {
    let engine = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    match engine {
        Err(_) => Some("docker is not installed"),
        Ok(output) if !output.status.success() => Some("Docker's engine does not answer"),
        Ok(_) => None,
    }
}

/// A base image that is removed again unless it was there before.
struct Base {
    name: &'static str,
    was_there: bool,
}

impl Base {
    /// The default base where the engine has it or a registry is reachable, else one made by debootstrap.
    fn get() -> Option<Self> {
        if docker(&["image", "inspect", PULLED]).status.success() {
            return Some(Self { name: PULLED, was_there: true });
        }
        if docker(&["pull", "--quiet", PULLED]).status.success() {
            return Some(Self { name: PULLED, was_there: false });
        }
        make_base().then_some(Self { name: MADE, was_there: false })
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        if !self.was_there {
            docker(&["image", "rm", "--force", self.name]);
        }
    }
}

/// Installs it where it is lacking.
fn has_debootstrap() -> bool {
    let is_there = || Command::new("debootstrap").arg("--version").output().is_ok();
    if !is_there() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        if let Err(trouble) = runtime.block_on(host::apt::install(&["debootstrap"])) {
            eprintln!("{trouble}");
        }
    }
    is_there()
}

fn make_base() -> bool {
    if !nix::unistd::geteuid().is_root() || !has_debootstrap() {
        return false;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = Command::new("debootstrap")
        .args(["--variant=minbase", "--include=nftables,binutils", "bookworm"])
        .arg(folder.path())
        .output();
    let made = made.expect("debootstrap starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let script = format!("tar --create --directory '{}' . | docker import - {MADE}", folder.path().display());
    let imported = Command::new("sh").args(["-c", &script]).output().expect("sh starts");
    said(&imported);
    true
}

/// How large a program is without what only a debugger wants.
fn stripped_size(program: &Path, folder: &Path) -> u64 {
    let copy = folder.join("stripped");
    let strip =
        Command::new("strip").arg("-o").arg(&copy).arg(program).output().expect("strip starts: binutils has it");
    said(&strip);
    std::fs::metadata(copy).unwrap().len()
}

/// Removes what was built, whatever the test comes to.
struct Built;

impl Drop for Built {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(load::remove_built(Path::new("docker"), RUN)).expect("the images are removed");
    }
}

#[test]
fn the_agents_image_is_built_and_small_and_its_program_starts_as_nobody() {
    if let Some(obstacle) = obstacle() {
        eprintln!("SKIPPED: {obstacle}");
        return;
    }
    let Some(base) = Base::get() else {
        eprintln!("SKIPPED: no registry is reachable, and debootstrap cannot be installed");
        return;
    };
    let (tag, program) = ("gauntlet-test/agent:built", Path::new(env!("CARGO_BIN_EXE_gauntlet")));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let built = Built;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let context = folder.path().join("image");
    let build = load::build(Path::new("docker"), &context, program, tag, base.name, RUN);
    runtime.block_on(build).expect("the image is built");

    let inspect = |format: &str| said(&docker(&["image", "inspect", "--format", format, tag]));
    assert_eq!(inspect("{{.Config.User}}"), "65532:65532");
    let size: u64 = inspect("{{.Size}}").parse().unwrap();
    let stripped = stripped_size(program, folder.path());
    assert!(size < stripped + LIBRARIES, "{size} bytes for a program of {stripped} without what a debugger wants");

    let pod = ["run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", tag];
    let help = said(&docker(&[&pod[..], &["--help"]].concat()));
    assert!(help.contains("workload"), "{help}");
    let probed = said(&docker(&[&pod[..], &["probe", "--help"]].concat()));
    assert!(probed.contains("probe"), "{probed}");

    let nft = said(&docker(&["run", "--rm", "--network", "none", "--entrypoint", "/usr/sbin/nft", tag, "--version"]));
    assert!(nft.starts_with("nftables"), "{nft}");

    drop(built);
    let filter = format!("label=gauntlet.test/run={RUN}");
    assert_eq!(said(&docker(&["image", "ls", "--all", "--quiet", "--filter", &filter])), "", "images are left");
}

#[test]
fn a_base_that_cannot_be_had_is_told_with_what_to_do() {
    if let Some(obstacle) = obstacle() {
        eprintln!("SKIPPED: {obstacle}");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let no_base = "gauntlet-test/no-such-base:none";
    let program = Path::new(env!("CARGO_BIN_EXE_gauntlet"));
    let build = load::build(Path::new("docker"), folder.path(), program, "gauntlet-test/agent:none", no_base, RUN);
    let trouble = runtime.block_on(build).expect_err("there is no such base");
    assert!(trouble.message.contains("cannot build the agent's image"), "{trouble}");
    assert!(trouble.hints.iter().any(|hint| hint.contains("--agent-base")), "{:?}", trouble.hints);
}
