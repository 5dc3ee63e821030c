//! Redis servers on loopback.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Pki, Process, await_that, free_port, strings};

pub const PASSWORD: &str = "correct-horse";

pub struct Node {
    pub port: u16,
    bus: u16,
    pub process: Process,
    folder: TempDir,
}

/// A cluster with TLS and a password, of nodes called `localhost`.
pub struct Cluster {
    pub nodes: Vec<Node>,
    pki: Pki,
    persistent: bool,
}

impl Cluster {
    /// `primaries * (1 + replicas)` nodes that agree on who owns what. Without persistence a node that dies forgets
    /// its data, though not its place.
    pub fn start(primaries: usize, replicas: usize, persistent: bool) -> Self {
        let pki = Pki::new();
        let nodes = (0..primaries * (1 + replicas)).map(|number| start_node(number, &pki, persistent)).collect();
        let cluster = Self { nodes, pki, persistent };
        cluster.await_ping();
        let nodes: Vec<String> = cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut args = strings(&["--cluster", "create"]);
        args.extend(nodes);
        args.extend(strings(&["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]));
        let said = cluster.cli(0, &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(said.contains("[OK] All 16384 slots covered"), "{said}");
        cluster.await_links(replicas * primaries);
        cluster
    }

    pub fn env(&self) -> Vec<(String, String)> {
        let nodes: Vec<_> = self.nodes.iter().map(|node| format!("localhost:{}", node.port)).collect();
        let mut env = self.pki.env("REDIS");
        env.push(("REDIS_URL".into(), "rediss://redis:6379".into()));
        env.push(("REDIS_CLUSTER_ADDRESSES".into(), nodes.join(",")));
        env.push(("REDIS_PASSWORD".into(), PASSWORD.into()));
        env
    }

    /// What the exporter of one node needs.
    pub fn exporter_env(&self, node: usize) -> Vec<(String, String)> {
        vec![
            ("REDIS_ADDR".into(), format!("rediss://localhost:{}", self.nodes[node].port)),
            ("REDIS_PASSWORD".into(), PASSWORD.into()),
            ("REDIS_EXPORTER_TLS_CA_CERT_FILE".into(), self.pki.file("ca.crt")),
            ("REDIS_EXPORTER_TLS_CLIENT_CERT_FILE".into(), self.pki.file("client.crt")),
            ("REDIS_EXPORTER_TLS_CLIENT_KEY_FILE".into(), self.pki.file("client.key")),
        ]
    }

    /// What redis-cli prints, asked of one node.
    pub fn cli(&self, node: usize, args: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.nodes[node].port.to_string(), "--no-auth-warning", "-a", PASSWORD])
            .args(["--tls", "--cacert", &self.pki.file("ca.crt")])
            .args(["--cert", &self.pki.file("client.crt"), "--key", &self.pki.file("client.key")])
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node].process.kill();
    }

    pub fn restart(&mut self, node: usize) {
        let process = launch(
            node,
            &self.nodes[node].folder,
            self.nodes[node].port,
            self.nodes[node].bus,
            &self.pki,
            self.persistent,
        );
        self.nodes[node].process = process;
    }

    pub fn is_primary(&self, node: usize) -> bool {
        self.cli(node, &["ROLE"]).starts_with("master")
    }

    fn await_ping(&self) {
        for node in 0..self.nodes.len() {
            await_that("a redis node answers", Duration::from_secs(10), || {
                let said = self.cli(node, &["PING"]);
                if said.trim() == "PONG" { Ok(()) } else { Err(said) }
            });
        }
    }

    fn await_links(&self, replicas: usize) {
        await_that("replicas are in sync and every node sees a whole cluster", Duration::from_secs(30), || {
            let all: Vec<_> = (0..self.nodes.len()).collect();
            let up = all.iter().filter(|n| self.cli(**n, &["INFO", "replication"]).contains("master_link_status:up"));
            let up = up.count();
            let ok = all.iter().filter(|n| self.cli(**n, &["CLUSTER", "INFO"]).contains("cluster_state:ok")).count();
            if up == replicas && ok == all.len() { Ok(()) } else { Err(format!("{up} links up, {ok} nodes ok")) }
        });
    }
}

fn start_node(number: usize, pki: &Pki, persistent: bool) -> Node {
    let (folder, port, bus) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let process = launch(number, &folder, port, bus, pki, persistent);
    Node { port, bus, folder, process }
}

fn launch(number: usize, folder: &TempDir, port: u16, bus: u16, pki: &Pki, persistent: bool) -> Process {
    let dir = folder.path().display().to_string();
    let appendonly = if persistent { "yes" } else { "no" };
    let (port, bus) = (port.to_string(), bus.to_string());
    let args = strings(&[
        "--bind",
        "127.0.0.1",
        "127.0.0.2",
        "--port",
        "0",
        "--tls-port",
        &port,
        "--dir",
        &dir,
        "--tls-cert-file",
        &pki.file("server.crt"),
        "--tls-key-file",
        &pki.file("server.key"),
        "--tls-ca-cert-file",
        &pki.file("ca.crt"),
        "--tls-auth-clients",
        "yes",
        "--tls-replication",
        "yes",
        "--tls-cluster",
        "yes",
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        "1000",
        "--cluster-announce-hostname",
        "localhost",
        "--cluster-preferred-endpoint-type",
        "hostname",
        "--appendonly",
        appendonly,
        "--save",
        "",
        "--requirepass",
        PASSWORD,
        "--masterauth",
        PASSWORD,
        "--repl-diskless-sync-delay",
        "0",
    ]);
    Process::start(&format!("redis-{number}"), folder.path(), "redis-server", &args, &[])
}

/// One server without TLS, as in a system's base overlay.
pub struct Single {
    pub port: u16,
    pub process: Process,
    _folder: TempDir,
}

impl Single {
    pub fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let dir = folder.path().display().to_string();
        let args = strings(&["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir", &dir, "--save", ""]);
        let process = Process::start("redis", folder.path(), "redis-server", &args, &[]);
        await_that("redis listens", Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
        });
        Self { port, _folder: folder, process }
    }

    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn env(&self) -> Vec<(String, String)> {
        vec![("REDIS_URL".into(), format!("redis://127.0.0.1:{}", self.port))]
    }
}
