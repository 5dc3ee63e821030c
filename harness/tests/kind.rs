//! Clusters of kind without kind and Docker: programs that stand in for them record what they are told and fail on
//! demand. The API behind is the embedded Kubernetes.

#[allow(dead_code)] // not every test uses all of it
mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::elsewhere::Elsewhere;
use support::{Ended, Place, ended};

/// How long a call may take to show on record.
const SHOWS_WITHIN: Duration = Duration::from_secs(300);

/// A machine with programs that only seem to be docker, kind and kubectl.
struct Machine {
    place: Place,
    kubeconfig: String,
}

impl Machine {
    fn new(kubeconfig: &str) -> Self {
        let place = Place::new();
        for folder in ["fake/bin", "fake/clusters", "fake/images"] {
            std::fs::create_dir_all(place.path(folder)).unwrap();
        }
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fake-program");
        for name in ["docker", "kind", "kubectl"] {
            std::os::unix::fs::symlink(&fake, place.path("fake/bin").join(name)).unwrap();
        }
        std::fs::create_dir(place.path("small")).unwrap();
        std::fs::write(place.path("small/system.yaml"), SYSTEM).unwrap();
        std::fs::write(place.path("small/deploy.yaml"), MANIFEST).unwrap();
        Self { place, kubeconfig: kubeconfig.to_owned() }
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = self.place.command(arguments);
        command
            .env("PATH", format!("{}:/usr/bin:/bin", self.place.path("fake/bin").display()))
            .env("FAKE", self.place.path("fake"))
            .env("FAKE_KUBECONFIG", &self.kubeconfig)
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    fn run_command(&self, more: &[&str], variables: &[(&str, &str)]) -> Command {
        let arguments = ["run", "--system", "./small", "--cluster", "kind", "redis.failover"];
        self.command(&[&arguments[..], more].concat(), variables)
    }

    fn run(&self, more: &[&str], variables: &[(&str, &str)]) -> Ended {
        ended(self.run_command(more, variables).output().expect("the program starts"))
    }

    fn clean(&self) -> Ended {
        ended(self.command(&["clean"], &[]).output().expect("the program starts"))
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.place.path("fake/calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether such a call was made.
    fn was_told(&self, beginning: &str) -> bool {
        self.calls().iter().any(|call| call.starts_with(beginning))
    }

    fn await_call(&self, beginning: &str) {
        self.await_that(&format!("a call of `{beginning}`"), || self.was_told(beginning));
    }

    fn await_that(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + SHOWS_WITHIN;
        while !holds() {
            assert!(Instant::now() < until, "waited for {what}; calls:\n{}", self.calls().join("\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What there is of clusters and images, and what is remembered of them.
    fn left(&self) -> Vec<PathBuf> {
        let folders = ["fake/clusters", "fake/images", "state/kind"].map(|folder| self.place.path(folder));
        folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
            .map(|e| e.unwrap().path())
            .collect()
    }

    fn assert_nothing_is_left(&self) {
        assert_eq!(self.left(), Vec::<PathBuf>::new(), "calls:\n{}", self.calls().join("\n"));
    }
}

/// A system that is soon up. It claims a cluster of Redis, so that the scenario would be tried if the power were there.
const SYSTEM: &str = "
name: small
title: A small system
document: none
overlays: {only: {path: deploy.yaml, default: true}}
promises: [{id: p, says: it is there, reference: nowhere}]
prerequisites: {namespaces: [small]}
workloads:
  - name: redis
    kind: Deployment
    namespace: small
    labels: {app: redis}
    replicas: 6
    ports: [{name: redis, port: 6379}]
    promise: p
stores:
  - name: redis
    kind: {redis-cluster: {primaries: 3, replicasPerPrimary: 1, nodeTimeoutMs: 5000, appendOnly: false}}
    workload: redis
    port: 6379
    endpoints: [redis.small.svc:6379]
    cli: [redis-cli]
    promise: p
steadyState: {within: 5m}
objectives:
  failover:
    - store: redis
      budget: {nodeTimeoutFactor: 2, plus: 2s, atMost: 15s}
      plainLossPercent: 1
      replicatedLoss: 0
      rejoinWithin: 60s
      promise: p
";

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis, namespace: small}
spec:
  replicas: 6
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec:
      containers: [{name: redis, image: 'redis:7.2', ports: [{name: redis, containerPort: 6379}]}]
";

const NOWHERE: &str = "/nonexistent/kubeconfig";

#[test]
fn everything_that_is_missing_is_told_at_once_and_nothing_is_started() {
    let machine = Machine::new(NOWHERE);
    let empty = machine.place.path("empty").display().to_string();
    let ended = machine.run(&[], &[("PATH", &empty)]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    for (gap, remedy) in [
        ("docker is not installed", "install Docker Engine"),
        ("kind is not installed", "install kind from"),
        ("kubectl is not installed", "install kubectl from"),
    ] {
        assert!(ended.stderr.contains(gap) && ended.stderr.contains(remedy), "{}", ended.stderr);
    }

    let ended = machine.run(&[], &[("FAKE_KIND", "0.29.0"), ("FAKE_FAIL", "docker version")]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("kind 0.29.0 is too old: 0.33.0 or later"), "{}", ended.stderr);
    assert!(ended.stderr.contains("no luck with docker version"), "an engine that does not answer: {}", ended.stderr);
    assert!(!machine.was_told("kind create"), "{:?}", machine.calls());
    assert!(!machine.place.path("reports").exists(), "a run was begun");
}

#[test]
fn bad_choices_are_told_before_anything_is_started() {
    let machine = Machine::new(NOWHERE);
    for (more, message) in [
        (&["--kubernetes", "1.12"][..], "no node image of Kubernetes 1.12 is known"),
        (&["--kind-config", "no-such"], "cannot read the configuration of the cluster no-such"),
        (&["--image-archive", "no-such.tar"], "no such archive of images: no-such.tar"),
        (&["--context", "staging"], "use --cluster kubeconfig with it"),
    ] {
        let ended = machine.run(more, &[]);
        assert_eq!(ended.code, 2, "{more:?}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(message), "{more:?}: {}", ended.stderr);
        assert!(!machine.was_told("kind create"), "{more:?}: {:?}", machine.calls());
    }
}

#[test]
fn a_step_that_fails_is_told_and_nothing_is_left() {
    for step in ["docker build", "kind create cluster"] {
        let machine = Machine::new(NOWHERE);
        let ended = machine.run(&[], &[("FAKE_FAIL", step)]);
        assert_eq!(ended.code, 3, "{step}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(&format!("no luck with {step}")), "{step}: {}", ended.stdout);
        assert!(machine.was_told("kind delete cluster --name gauntlet-"), "{step}: {:?}", machine.calls());
        machine.assert_nothing_is_left();
    }
}

#[test]
fn what_kind_cannot_delete_goes_by_its_label_and_what_does_not_go_is_told_and_found_again() {
    let machine = Machine::new(NOWHERE);
    let ended = machine.run(&[], &[("FAKE_FAIL", "kind delete")]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(machine.was_told("docker rm --force --volumes c0ffee"), "{:?}", machine.calls());
    machine.assert_nothing_is_left();

    // Now neither can, and a later clean-up succeeds.
    let ended = machine.run(&[], &[("FAKE_FAIL", "kind delete"), ("FAKE_STUCK", "1")]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("cannot delete the cluster gauntlet-"), "{told}");
    assert!(!machine.left().is_empty());
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    machine.assert_nothing_is_left();
}

#[test]
fn a_whole_run_creates_loads_and_deletes() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    std::fs::write(machine.place.path("fake/images/redis_7.2"), "").unwrap();
    let archive = machine.place.path("more.tar");
    std::fs::write(&archive, "").unwrap();
    let archive = archive.display().to_string();
    // What is deployed is no cluster of Redis, so the scenario cannot begin, but everything is brought up before: the
    // agents on the nodes, too, without which it would be skipped.
    let ended = machine.run(&["--kubernetes", "1.35", "--image-archive", &archive], &[]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("no node of the Redis Cluster answers"), "{}", ended.stdout);
    let calls = machine.calls();
    let position = |beginning: &str| {
        let found = calls.iter().position(|call| call.starts_with(beginning));
        found.unwrap_or_else(|| panic!("`{beginning}` was not called:\n{}", calls.join("\n")))
    };
    let steps = [
        "docker build --tag gauntlet/agent:",
        "kind create cluster --name gauntlet-",
        &format!("kind load image-archive {archive} --name gauntlet-"),
        "kind load docker-image gauntlet/agent:",
        "kind load docker-image redis:7.2 --name gauntlet-",
        "kind delete cluster --name gauntlet-",
        "docker image rm --force",
    ];
    let order: Vec<usize> = steps.iter().map(|step| position(step)).collect();
    assert!(order.is_sorted(), "{}", calls.join("\n"));
    // What was there before stays.
    std::fs::remove_file(machine.place.path("fake/images/redis_7.2")).unwrap();
    machine.assert_nothing_is_left();
}

#[test]
fn images_that_cannot_be_loaded_are_told_and_nothing_is_left() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    let ended = machine.run(&[], &[("FAKE_FAIL", "kind load")]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("no luck with kind load"), "{}", ended.stdout);
    assert!(machine.was_told("kind delete cluster --name gauntlet-"), "{:?}", machine.calls());
    machine.assert_nothing_is_left();
}

#[test]
fn nodes_that_are_not_ready_hold_the_run_up_and_a_killed_run_is_cleaned_up() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    // The cluster has fewer nodes than are asked for, though `kind create` has succeeded.
    let mut run = machine.run_command(&["--nodes", "9", "--verbose"], &[]);
    let log = machine.place.path("log");
    let mut run = run.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().expect("the program starts");
    machine.await_that("the lack of nodes is seen", || {
        std::fs::read_to_string(&log).unwrap().contains("nodes have joined")
    });
    assert!(!machine.was_told("kind load"), "nodes are missing, yet it went on: {:?}", machine.calls());
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
    let mut run = machine.run_command(&[], &[("FAKE_HANG", "1")]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    machine.await_call("kind create cluster");
    run.kill().expect("the run can be killed");
    run.wait().expect("the run ends");
    // It would wait for the creator if that were not ended.
    let began = Instant::now();
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(began.elapsed() < SHOWS_WITHIN);
    machine.assert_nothing_is_left();
}

#[test]
fn an_interrupted_run_deletes_its_cluster() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    let command = machine.run_command(&[], &[]);
    let (_, mut run) = support::run_until(command, "wait for the steady state");
    let process = nix::unistd::Pid::from_raw(i32::try_from(run.id()).expect("a process id"));
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).expect("the run can be signalled");
    assert_eq!(run.wait().expect("the run ends").code(), Some(130));
    assert!(machine.was_told("kind delete cluster --name gauntlet-"), "{:?}", machine.calls());
    machine.assert_nothing_is_left();
}
