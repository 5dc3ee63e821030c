//! A run that is interrupted cleans up and still reports; one that is killed leaves nothing that `gauntlet clean` does
//! not remove. Tried at several moments.

#[path = "support/host.rs"]
mod host;
#[allow(dead_code)] // not every test uses all of it
mod support;

use std::process::Child;
use support::Place;

/// Moments of a run, by the line that announces them. At the last one a fault is open.
const MOMENTS: [&str; 5] = [
    "bring up the cluster",
    "create what must exist first",
    "apply the overlay",
    "wait for the steady state",
    "[redis.failover] took effect",
];

/// A server whose launcher died before the cluster was on record ends by itself, within this.
const SELF_END: std::time::Duration = std::time::Duration::from_secs(10);

/// Clusters need root; without it there is nothing to clean up. Said aloud, so that nobody takes it for a pass.
fn can_run() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: not root");
    }
    root
}

/// Starts a run and returns when it announces `moment`. The id of the run, and the process.
fn run_until(place: &Place, moment: &str) -> (String, Child) {
    support::run_until(place.command(&["run", "redis.failover"]), moment)
}

fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    nix::sys::signal::kill(pid, signal).expect("the run can be signalled");
}

#[test]
fn an_interrupted_run_cleans_up_and_reports() {
    if !can_run() {
        return;
    }
    let network = host::network();
    for moment in MOMENTS {
        let place = Place::new();
        let (run, mut child) = run_until(&place, moment);
        signal(&child, nix::sys::signal::Signal::SIGINT);
        let status = child.wait().expect("the run ends");
        assert_eq!(status.code(), Some(130), "at `{moment}`");
        let report = place.path("reports").join(&run);
        let junit = std::fs::read_to_string(report.join("junit.xml")).expect("a JUnit report");
        assert!(junit.contains("<testcase"), "at `{moment}`:\n{junit}");
        let events = std::fs::read_to_string(report.join("events.jsonl")).expect("events");
        assert!(events.contains(r#""event":"interrupted""#), "at `{moment}`:\n{events}");
        let left = host::leftovers(&place.path("state"), &run);
        assert!(left.is_empty(), "at `{moment}` this was left:\n{}", left.join("\n"));
    }
    assert_eq!(host::network(), network, "the machine's own network changed");
}

#[test]
fn after_a_kill_clean_removes_everything() {
    if !can_run() {
        return;
    }
    let network = host::network();
    for moment in MOMENTS {
        let place = Place::new();
        let (run, mut child) = run_until(&place, moment);
        signal(&child, nix::sys::signal::Signal::SIGKILL);
        child.wait().expect("the run ends");
        let cleaned = place.gauntlet(&["clean"]);
        assert_eq!(cleaned.code, 0, "at `{moment}`: {}{}", cleaned.stdout, cleaned.stderr);
        let left = host::leftovers_after(&place.path("state"), &run, SELF_END);
        assert!(left.is_empty(), "at `{moment}` this was left:\n{}", left.join("\n"));
        let again = place.gauntlet(&["clean"]);
        assert_eq!((again.code, again.stdout.as_str()), (0, "nothing to clean\n"), "at `{moment}`");
    }
    assert_eq!(host::network(), network, "the machine's own network changed");
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    if !can_run() {
        return;
    }
    let (one, other) = (Place::new(), Place::new());
    let (first, mut first_child) = run_until(&one, "wait for the steady state");
    let (second, mut second_child) = run_until(&other, "wait for the steady state");
    signal(&first_child, nix::sys::signal::Signal::SIGINT);
    assert_eq!(first_child.wait().expect("the run ends").code(), Some(130));
    assert!(second_child.try_wait().expect("the run can be asked").is_none(), "the other run ended too");
    signal(&second_child, nix::sys::signal::Signal::SIGINT);
    assert_eq!(second_child.wait().expect("the run ends").code(), Some(130));
    assert!(host::leftovers(&one.path("state"), &first).is_empty());
    assert!(host::leftovers(&other.path("state"), &second).is_empty());
}
