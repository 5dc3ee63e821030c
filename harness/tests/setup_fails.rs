//! Set-ups that cannot succeed: one clear error, the right exit code, a report that says it, and nothing left behind.

#[allow(dead_code)] // not every test uses all of it
mod support;

use std::path::Path;
use support::{Ended, Place};

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: not root");
    }
    root
}

fn assert_failed(place: &Place, ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code, code, "{}{}", ended.stdout, ended.stderr);
    for expected in says {
        assert!(ended.stderr.contains(expected), "{expected:?} was not said:\n{}", ended.stderr);
    }
    let clusters = std::fs::read_dir(place.path("state/clusters")).map_or(0, Iterator::count);
    assert_eq!(clusters, 0, "a cluster was left");
}

/// The JUnit file of the only run says this too.
fn assert_reported(place: &Place, says: &[&str]) {
    let run = std::fs::read_dir(place.path("reports")).expect("reports").flatten().next().expect("a run");
    let junit = std::fs::read_to_string(run.path().join("junit.xml")).expect("a JUnit report");
    for expected in ["<error", says[0]] {
        assert!(junit.contains(expected), "{expected:?} is not in\n{junit}");
    }
}

fn run(place: &Place, system: &Path) -> Ended {
    place.gauntlet(&["run", "--system", system.to_str().expect("a temporary path is text")])
}

fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).expect("the file is there");
    std::fs::write(file, before + text).expect("the file can be written");
}

#[test]
fn an_overlay_that_does_not_render_is_bad_input() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let system = place.system(|text| text);
    append(&system.join("deploy/k8s/production/kustomization.yaml"), "  - name: ]\n");
    let ended = run(&place, &system);
    assert_failed(&place, &ended, 2, &["does not render"]);
    assert_reported(&place, &["does not render"]);
}

#[test]
fn a_manifest_that_the_api_refuses_is_bad_input() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let system = place.system(|text| text);
    let broken =
        "\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: broken\nspec:\n  ports:\n    - port: 99999\n";
    append(&system.join("deploy/k8s/base.yaml"), broken);
    let ended = run(&place, &system);
    let says = ["the API refused 1 of", "Service cordum/broken", "99999"];
    assert_failed(&place, &ended, 2, &says);
    assert_reported(&place, &["the API refused 1 of"]);
}

#[test]
fn a_deployment_that_never_becomes_ready_says_which_pod_and_why() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let system = place.system(|text| text.replace("within: 5m\n  completedJobs", "within: 8s\n  completedJobs"));
    let base = system.join("deploy/k8s/base.yaml");
    let text = std::fs::read_to_string(&base).expect("the base is there");
    std::fs::write(&base, text.replace("image: cordum-dashboard:latest", "image: nobody-has-this:latest")).unwrap();
    let ended = run(&place, &system);
    let says = ["waited 8s for the steady state", "cordum-dashboard"];
    assert_failed(&place, &ended, 3, &says);
    assert_reported(&place, &["waited 8s for the steady state"]);
}

#[test]
fn a_port_that_is_taken_is_bad_input() {
    if !is_root() {
        return;
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let place = Place::new();
    let ended = place.gauntlet(&["cluster", "up", "--port", &port]);
    assert_failed(&place, &ended, 2, &[&format!("port {port}"), "hint:"]);
}

#[test]
fn only_root_can_have_an_embedded_cluster() {
    if !is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    std::fs::set_permissions(place.folder.path(), std::fs::Permissions::from_mode(0o777)).expect("permissions");
    // The build folder may be out of others' reach.
    let program = place.path("gauntlet");
    std::fs::copy(env!("CARGO_BIN_EXE_gauntlet"), &program).expect("a copy");
    let bundled = place.system(|text| text);
    let mut command = std::process::Command::new(program);
    command.args(["run", "--system"]).arg(bundled).current_dir(place.folder.path()).uid(65534).gid(65534);
    command.env("GAUNTLET_STATE_DIR", place.path("state"));
    let ended = support::ended(command.output().expect("the program starts"));
    assert_failed(&place, &ended, 2, &["needs root", "hint: run it as root"]);
}

#[test]
fn reports_that_cannot_be_written_are_trouble() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let ended = place.gauntlet(&["run", "--report", "/proc/nowhere"]);
    assert_failed(&place, &ended, 3, &["cannot make the folder of reports /proc/nowhere", "hint: name another place"]);
}

#[test]
fn a_full_disk_is_said() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let small = place.path("state");
    std::fs::create_dir(&small).expect("a folder");
    let mount = |arguments: &[&str]| std::process::Command::new("mount").args(arguments).arg(&small).status();
    assert!(mount(&["-t", "tmpfs", "-o", "size=1m", "none"]).expect("mount runs").success());
    let ended = place.gauntlet(&["run"]);
    let unmounted = std::process::Command::new("umount").arg(&small).status();
    assert!(unmounted.expect("umount runs").success());
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("the disk of") && ended.stderr.contains("hint: free some space"), "{}", ended.stderr);
}
