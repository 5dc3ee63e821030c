//! The agent of a node over processes that look to it like those of containers: with mounts as the kubelet makes them, in
//! networks of their own.

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gauntlet_core::node_agent::{Answer, Container, Dialled, End, PacketEffect, Request, Rule, Way};
use nix::unistd::geteuid;
use support::agent::PROGRAM;
use support::{Process, await_that, have, strings};
use tempfile::TempDir;

/// What a node may take for something that it does at once.
const SOON: Duration = Duration::from_secs(20);

/// Two pods on a node, connected.
struct Node {
    folder: TempDir,
    agent: Option<Process>,
    lease_seconds: u32,
    /// Every agent sees all processes of the machine, so that runs and pods of tests that run side by side must differ.
    run: String,
}

/// A container's only process.
struct Pod {
    process: Process,
    pid: i32,
}

fn able() -> bool {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: not root");
        return false;
    }
    have(&["nft", "ip", "unshare", "nsenter", "setpriv"])
}

impl Node {
    fn start(lease_seconds: u32) -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let run = format!("t{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        let mut node = Self { folder: tempfile::tempdir().unwrap(), agent: None, lease_seconds, run };
        node.start_agent();
        node
    }

    fn start_agent(&mut self) {
        let args = strings(&[
            "node",
            "serve",
            &format!("--run={}", self.run),
            &format!("--socket={}", self.path("s").display()),
            &format!("--held={}", self.path("held.json").display()),
            &format!("--lease-seconds={}", self.lease_seconds),
        ]);
        self.agent = Some(Process::start("node", self.folder.path(), PROGRAM, &args, &[]));
        await_that("the agent to serve", SOON, || self.try_ask(&Request::Renew));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As the kubelet starts one: its termination log comes from a folder that names pod and container.
    fn pod(&self, name: &str) -> Pod {
        let uid = self.uid(name);
        let log = self.path(&format!("pods/{uid}/containers/main/0a"));
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        std::fs::write(&log, "").unwrap();
        let target = self.path("termination-log");
        std::fs::write(&target, "").unwrap();
        let script = format!(
            "mount --bind {} {} && ip link set lo up && exec {PROGRAM} idle --listen 8080",
            log.display(),
            target.display()
        );
        let args = strings(&["--mount", "--net", "--propagation", "private", "sh", "-c", &script]);
        let process = Process::start(name, self.folder.path(), "unshare", &args, &[]);
        let pid = process.id();
        await_that(&format!("{name} to be in its own place"), SOON, || {
            let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            if mounts.contains(&format!("/pods/{uid}/")) { Ok(()) } else { Err("it is not".into()) }
        });
        Pod { process, pid }
    }

    fn uid(&self, name: &str) -> String {
        format!("{}-{name}", self.run)
    }

    fn container(&self, pod: &str) -> Container {
        Container { pod: self.uid(pod), container: "main".into() }
    }

    fn try_ask(&self, request: &Request) -> Result<Answer, String> {
        let socket = format!("--socket={}", self.path("s").display());
        let request = serde_json::to_string(request).unwrap();
        let output = Command::new(PROGRAM).args(["node", "ask", &request, &socket]).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }

    fn ask(&self, request: &Request) -> Answer {
        self.try_ask(request).unwrap()
    }

    fn cut(&self, of: &str, from: &str) -> Request {
        let rule = Rule {
            pod: self.uid(of),
            way: Way::In,
            peers: vec![from.into()],
            ports: vec![],
            ports_of: End::Destination,
            effect: PacketEffect::Cut,
        };
        Request::Disturb { id: "cut".into(), rules: vec![rule] }
    }

    fn dial(&self, from: &str, to: &str) -> Answer {
        let to: SocketAddr = to.parse().unwrap();
        self.ask(&Request::Dial { pod: self.uid(from), address: to.to_string(), within_ms: 1000 })
    }
}

/// Runs a program, which must succeed.
fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A wire between the networks of two processes.
fn connect(a: &Pod, b: &Pod) {
    let [a, b] = [a.pid.to_string(), b.pid.to_string()];
    run("ip", &["link", "add", "eth0", "netns", &a, "type", "veth", "peer", "name", "eth0", "netns", &b]);
    for (pid, address) in [(&a, "192.0.2.1/24"), (&b, "192.0.2.2/24")] {
        let within = ["--target", pid.as_str(), "--net", "ip"];
        run("nsenter", &[&within[..], &["address", "add", address, "dev", "eth0"]].concat());
        run("nsenter", &[&within[..], &["link", "set", "eth0", "up"]].concat());
    }
}

/// As `/proc` shows it.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn await_state(pid: i32, wanted: char) {
    await_that(&format!("process {pid} to be in state {wanted}"), SOON, || match state(pid) {
        Some(state) if state == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn has_rules(pod: &Pod) -> bool {
    let pid = pod.pid.to_string();
    let output = Command::new("nsenter").args(["--target", &pid, "--net", "nft", "list", "ruleset"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains("gauntlet-")
}

fn await_no_rules(pod: &Pod) {
    await_that("the rules to be gone", SOON, || if has_rules(pod) { Err("they stand".into()) } else { Ok(()) });
}

#[test]
fn traffic_is_cut_counted_and_restored() {
    if !able() {
        return;
    }
    let node = Node::start(60);
    let (a, b) = (node.pod("a"), node.pod("b"));
    connect(&a, &b);
    await_that("b to answer a", SOON, || match node.dial("a", "192.0.2.2:8080") {
        Answer::Dialled(Dialled::Open) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(node.dial("a", "192.0.2.2:8081"), Answer::Dialled(Dialled::Refused));
    assert_eq!(node.ask(&node.cut("b", "192.0.2.1")), Answer::Done);
    assert_eq!(node.dial("a", "192.0.2.2:8080"), Answer::Dialled(Dialled::Timeout));
    let Answer::Packets { seen, dropped } = node.ask(&Request::Count { id: "cut".into() }) else { panic!() };
    assert!(dropped > 0 && seen == dropped, "{seen} {dropped}");
    // Told again it goes on counting.
    assert_eq!(node.ask(&node.cut("b", "192.0.2.1")), Answer::Done);
    let Answer::Packets { seen: later, .. } = node.ask(&Request::Count { id: "cut".into() }) else { panic!() };
    assert!(later >= seen);
    assert_eq!(node.ask(&Request::Restore { id: "cut".into() }), Answer::Done);
    assert_eq!(node.dial("a", "192.0.2.2:8080"), Answer::Dialled(Dialled::Open));
    assert_eq!(node.ask(&Request::Restore { id: "cut".into() }), Answer::NotInEffect);
    assert!(!has_rules(&b));
    assert!(matches!(node.ask(&Request::Count { id: "cut".into() }), Answer::Failed(_)));
    assert!(matches!(node.ask(&node.cut("nobody", "192.0.2.1")), Answer::Failed(why) if why.contains("nobody")));
}

#[test]
fn what_is_started_in_a_held_container_stands_still_until_it_is_released() {
    if !able() {
        return;
    }
    let node = Node::start(60);
    let mut first = node.pod("a");
    await_that("the container to run", SOON, || match node.ask(&Request::Look(node.container("a"))) {
        Answer::Processes { running: 1, still: 0 } => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(node.ask(&Request::Hold(node.container("a"))), Answer::Done);
    assert_eq!(first.process.exit_code(), None, "it was not killed");
    let second = node.pod("a");
    await_state(second.pid, 'T');
    // What it had begun itself stands still, too.
    let look = node.ask(&Request::Look(node.container("a")));
    assert!(matches!(look, Answer::Processes { running: 0, still: 1.. }), "{look:?}");
    let released = node.ask(&Request::Release(node.container("a")));
    assert!(matches!(released, Answer::Released { ran_ms: ..10_000 }), "{released:?}");
    assert_eq!(node.ask(&Request::Release(node.container("a"))), Answer::NotInEffect);
    await_state(second.pid, 'S');
    assert!(
        matches!(node.ask(&Request::Hold(node.container("b"))), Answer::Failed(why) if why.contains("container main"))
    );
}

/// A pod whose traffic is cut, and what was started in the place of one that is held.
fn disturbed(node: &Node) -> (Pod, Pod) {
    let (a, mut first) = (node.pod("a"), node.pod("b"));
    assert_eq!(node.ask(&node.cut("a", "192.0.2.1")), Answer::Done);
    assert_eq!(node.ask(&Request::Hold(node.container("b"))), Answer::Done);
    first.process.exit_code();
    let second = node.pod("b");
    await_that("the second to stand still", SOON, || {
        assert_eq!(node.ask(&Request::Renew), Answer::Done);
        if state(second.pid) == Some('T') { Ok(()) } else { Err("it does not".into()) }
    });
    assert!(has_rules(&a), "undone before its time");
    (a, second)
}

/// What is undone already is told so: nobody may take a fault that was over for one that lasted.
fn assert_nothing_is_in_effect(node: &Node, a: &Pod, second: &Pod) {
    await_state(second.pid, 'S');
    await_no_rules(a);
    assert_eq!(node.ask(&Request::Release(node.container("b"))), Answer::NotInEffect);
    assert_eq!(node.ask(&Request::Restore { id: "cut".into() }), Answer::NotInEffect);
}

#[test]
fn without_renewal_everything_is_undone() {
    if !able() {
        return;
    }
    let node = Node::start(5);
    let (a, second) = disturbed(&node);
    assert_nothing_is_in_effect(&node, &a, &second);
}

#[test]
fn an_agent_that_was_killed_leaves_nothing_that_the_next_does_not_undo() {
    if !able() {
        return;
    }
    let mut node = Node::start(60);
    let (a, second) = disturbed(&node);
    node.agent.take().unwrap().kill();
    assert!(has_rules(&a) && state(second.pid) == Some('T'), "nothing was left to be undone");
    node.start_agent();
    assert_nothing_is_in_effect(&node, &a, &second);
}

#[test]
fn told_to_end_it_undoes_everything_first() {
    if !able() {
        return;
    }
    let mut node = Node::start(60);
    let (a, second) = disturbed(&node);
    assert_eq!(node.agent.take().unwrap().terminate(), Some(0));
    assert!(!has_rules(&a) && !Path::new(&node.path("s")).exists());
    await_state(second.pid, 'S');
}
