//! A machine with programs that only seem to be docker, kind and kubectl.

use crate::support::{Ended, Place, ended};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a call may take to show on record.
pub const SHOWS_WITHIN: Duration = Duration::from_secs(300);

pub struct Machine {
    pub place: Place,
    kubeconfig: String,
}

impl Machine {
    pub fn new(kubeconfig: &str) -> Self {
        let place = Place::new();
        for folder in ["fake/bin", "fake/clusters", "fake/images"] {
            std::fs::create_dir_all(place.path(folder)).unwrap();
        }
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kind/fake-program");
        for name in ["docker", "kind", "kubectl"] {
            std::os::unix::fs::symlink(&fake, place.path("fake/bin").join(name)).unwrap();
        }
        std::fs::create_dir(place.path("small")).unwrap();
        std::fs::write(place.path("small/system.yaml"), SYSTEM).unwrap();
        std::fs::write(place.path("small/deploy.yaml"), MANIFEST).unwrap();
        Self { place, kubeconfig: kubeconfig.to_owned() }
    }

    /// The local engine has an image.
    pub fn has_image(&self, name: &str) {
        let file = name.replace(['/', ':'], "_");
        std::fs::write(self.place.path("fake/images").join(file), "").unwrap();
    }

    /// The engine has the nodes of a cluster.
    pub fn has_cluster(&self, name: &str) {
        std::fs::write(self.place.path("fake/clusters").join(name), "").unwrap();
    }

    pub fn lists_cluster(&self, name: &str) -> bool {
        self.place.path("fake/clusters").join(name).exists()
    }

    pub fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = self.place.command(arguments);
        command
            .env("PATH", format!("{}:/usr/bin:/bin", self.place.path("fake/bin").display()))
            .env("FAKE", self.place.path("fake"))
            .env("FAKE_KUBECONFIG", &self.kubeconfig)
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    pub fn run_command(&self, more: &[&str], variables: &[(&str, &str)]) -> Command {
        let arguments = ["run", "--system", "./small", "--cluster", "kind", "redis.failover"];
        self.command(&[&arguments[..], more].concat(), variables)
    }

    pub fn run(&self, more: &[&str], variables: &[(&str, &str)]) -> Ended {
        ended(self.run_command(more, variables).output().expect("the program starts"))
    }

    /// Starts a run that says nothing to anybody.
    pub fn start(&self, more: &[&str], variables: &[(&str, &str)]) -> Child {
        let mut command = self.run_command(more, variables);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    pub fn clean(&self) -> Ended {
        self.clean_with(&[])
    }

    pub fn clean_with(&self, variables: &[(&str, &str)]) -> Ended {
        ended(self.command(&["clean"], variables).output().expect("the program starts"))
    }

    /// Tells docker something, as a run would.
    pub fn docker(&self, arguments: &str) {
        let docker = Command::new(self.place.path("fake/bin/docker"))
            .args(arguments.split(' '))
            .env("FAKE", self.place.path("fake"))
            .output();
        let ended = ended(docker.expect("docker starts"));
        assert_eq!(ended.code, 0, "{arguments}: {}", ended.stderr);
    }

    /// The state of a node, and its networks.
    pub fn node(&self, name: &str) -> String {
        let state = std::fs::read_to_string(self.place.path("fake/nodes").join(name)).expect("it has changed before");
        state.trim().to_owned()
    }

    pub fn gauntlet(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments, &[]).output().expect("the program starts"))
    }

    /// What kind was told to create last.
    pub fn last_config(&self) -> serde_json::Value {
        let config = std::fs::read_to_string(self.place.path("fake/config")).expect("kind was told what to create");
        serde_json::from_str(&config).expect("it is JSON")
    }

    pub fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.place.path("fake/calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether such a call was made.
    pub fn was_told(&self, beginning: &str) -> bool {
        self.calls().iter().any(|call| call.starts_with(beginning))
    }

    /// The ids of the clusters that were created, in that order.
    pub fn created(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        let ids = calls.filter_map(|call| call.strip_prefix("kind create cluster --name gauntlet-").map(str::to_owned));
        ids.filter_map(|rest| rest.split(' ').next().map(str::to_owned)).collect()
    }

    pub fn await_call(&self, beginning: &str) {
        self.await_that(&format!("a call of `{beginning}`"), || self.was_told(beginning));
    }

    pub fn await_that(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + SHOWS_WITHIN;
        while !holds() {
            assert!(Instant::now() < until, "waited for {what}; calls:\n{}", self.calls().join("\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until `kind create` hangs in a program that it has started. The folder of that process, while it lives.
    pub fn await_creating(&self) -> PathBuf {
        let file = self.place.path("fake/creating");
        let process = || std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
        self.await_that("kind to create", || !process().is_empty());
        Path::new("/proc").join(process())
    }

    /// What there is of clusters and images, and what is remembered of them.
    pub fn left(&self) -> Vec<PathBuf> {
        let folders = ["fake/clusters", "fake/images", "state/kind"].map(|folder| self.place.path(folder));
        folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
            .map(|e| e.unwrap().path())
            .collect()
    }

    pub fn assert_nothing_is_left(&self) {
        assert_eq!(self.left(), Vec::<PathBuf>::new(), "calls:\n{}", self.calls().join("\n"));
    }
}

/// Where no cluster is to be had.
pub const NOWHERE: &str = "/nonexistent/kubeconfig";

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
