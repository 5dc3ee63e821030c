//! Runs that are killed or interrupted.

use crate::machine::{Machine, NOWHERE, SHOWS_WITHIN};
use crate::support;
use crate::support::elsewhere::Elsewhere;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Instant;

#[test]
fn nodes_that_are_not_ready_hold_the_run_up_and_a_killed_run_is_cleaned_up() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    // The cluster has fewer nodes than are asked for, though `kind create` has succeeded.
    let mut run = machine.run_command(&["--nodes", "9", "--verbose"], &[]);
    let log = machine.place.path("log");
    let mut run = run.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().expect("the program starts");
    let told = |joined: usize| std::fs::read_to_string(&log).unwrap().contains(&format!("{joined} of 10 nodes have"));
    let there = cluster.names("nodes").len();
    // Who tells of each node that joins is still waiting.
    for joined in there..10 {
        machine.await_that(&format!("{joined} nodes are seen"), || told(joined));
        assert!(!machine.was_told("kind load"), "nodes are missing, yet it went on: {:?}", machine.calls());
        cluster.join(&format!("late-{joined}"));
    }
    machine.await_call("kind load");
    run.kill().expect("the run can be killed");
    run.wait().expect("the run ends");
    assert!(!machine.left().is_empty());
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(cleaned.stdout.contains("removed cluster"), "{}", cleaned.stdout);
    machine.assert_nothing_is_left();
    assert_eq!(machine.clean().stdout, "nothing to clean\n");
}

#[test]
fn a_run_that_is_killed_while_kind_creates_leaves_nobody_creating() {
    let machine = Machine::new(NOWHERE);
    let mut run = machine.start(&[], &[("FAKE_HANG", "1")]);
    let creating = machine.await_creating();
    run.kill().expect("the run can be killed");
    run.wait().expect("the run ends");
    // It would wait for the creator if that were not ended.
    let began = Instant::now();
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(began.elapsed() < SHOWS_WITHIN);
    machine.await_that("nobody creates", || !creating.exists());
    machine.assert_nothing_is_left();
}

#[test]
fn a_run_that_is_interrupted_while_kind_creates_gives_that_up_at_once() {
    let machine = Machine::new(NOWHERE);
    let mut run = machine.start(&[], &[("FAKE_HANG", "1")]);
    let creating = machine.await_creating();
    // To the run alone: on a terminal kind would hear of it, too.
    interrupt(&run);
    let began = Instant::now();
    assert_eq!(run.wait().expect("the run ends").code(), Some(130));
    // What hangs does so for ten minutes.
    assert!(began.elapsed() < SHOWS_WITHIN, "{:?}", began.elapsed());
    machine.await_that("nobody creates", || !creating.exists());
    machine.assert_nothing_is_left();
}

#[test]
fn what_the_engine_still_makes_is_gone_when_an_interrupted_run_has_ended() {
    // Who has asked for it hears that it is made, or is given up before.
    for late in ["waits", "hangs"] {
        let machine = Machine::new(NOWHERE);
        let mut run = machine.start(&[], &[("FAKE_LATE", late)]);
        machine.await_creating();
        interrupt(&run);
        assert_eq!(run.wait().expect("the run ends").code(), Some(130), "{late}");
        machine.await_that("the engine to make a node", || machine.place.path("fake/made").exists());
        machine.assert_nothing_is_left();
    }
}

#[test]
fn what_the_engine_still_makes_is_gone_when_kind_has_failed() {
    let machine = Machine::new(NOWHERE);
    let ended = machine.run(&[], &[("FAKE_LATE", "fails")]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("no luck with another node"), "{}", ended.stdout);
    machine.await_that("the engine to make a node", || machine.place.path("fake/made").exists());
    machine.assert_nothing_is_left();
}

#[test]
fn what_the_engine_still_makes_for_a_killed_run_is_gone_after_a_clean_up() {
    let machine = Machine::new(NOWHERE);
    let mut run = machine.start(&[], &[("FAKE_LATE", "waits")]);
    machine.await_creating();
    run.kill().expect("the run can be killed");
    run.wait().expect("the run ends");
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    machine.await_that("the engine to make a node", || machine.place.path("fake/made").exists());
    machine.assert_nothing_is_left();
}

#[test]
fn a_run_that_is_interrupted_at_any_step_gives_it_up_at_once() {
    let Some(cluster) = Elsewhere::start() else { return };
    for step in ["docker build", "docker image save", "kind load"] {
        let machine = Machine::new(&cluster.kubeconfig);
        let mut run = machine.start(&[], &[("FAKE_HANG_AT", step)]);
        machine.await_call(step);
        interrupt(&run);
        let began = Instant::now();
        assert_eq!(run.wait().expect("the run ends").code(), Some(130), "{step}");
        // What hangs does so for ten minutes.
        assert!(began.elapsed() < SHOWS_WITHIN, "{step}: {:?}", began.elapsed());
        machine.assert_nothing_is_left();
    }
}

#[test]
fn an_interrupted_run_deletes_its_cluster() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    let command = machine.run_command(&[], &[]);
    let (_, mut run) = support::run_until(command, "wait for the steady state");
    interrupt(&run);
    assert_eq!(run.wait().expect("the run ends").code(), Some(130));
    assert!(machine.was_told("kind delete cluster --name gauntlet-"), "{:?}", machine.calls());
    machine.assert_nothing_is_left();
}

fn interrupt(run: &Child) {
    let process = Pid::from_raw(i32::try_from(run.id()).expect("a process id"));
    kill(process, Signal::SIGINT).expect("the run can be signalled");
}
