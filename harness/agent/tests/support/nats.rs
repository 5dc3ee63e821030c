//! NATS servers on loopback, with JetStream.

use std::time::Duration;

use tempfile::TempDir;

use super::{Pki, Process, await_that, free_port, http_get, strings};

struct Node {
    client: u16,
    monitor: u16,
    process: Process,
    folder: TempDir,
}

/// One server, or a cluster with TLS.
pub struct Nats {
    nodes: Vec<Node>,
    pki: Option<Pki>,
}

impl Nats {
    /// One server without TLS, as in a system's base overlay.
    pub fn single() -> Self {
        let (folder, client, monitor) = (tempfile::tempdir().unwrap(), free_port(), free_port());
        let config = format!(
            "listen: 127.0.0.1:{client}\nhttp: 127.0.0.1:{monitor}\njetstream {{ store_dir: \"{}\" }}\n",
            folder.path().join("js").display()
        );
        let process = launch(0, &folder, &config);
        let nats = Self { nodes: vec![Node { client, monitor, folder, process }], pki: None };
        nats.await_health();
        nats
    }

    /// `size` servers that ask for client certificates.
    pub fn cluster(size: usize) -> Self {
        let pki = Pki::new();
        let routes: Vec<u16> = (0..size).map(|_| free_port()).collect();
        let nodes = (0..size).map(|number| start_node(number, &routes, &pki)).collect();
        let nats = Self { nodes, pki: Some(pki) };
        nats.await_health();
        nats
    }

    pub fn env(&self) -> Vec<(String, String)> {
        let scheme = if self.pki.is_some() { "tls" } else { "nats" };
        let servers: Vec<_> = self.nodes.iter().map(|node| format!("{scheme}://localhost:{}", node.client)).collect();
        let mut env = self.pki.as_ref().map_or(vec![], |pki| pki.env("NATS"));
        env.push(("NATS_URL".into(), servers.join(",")));
        env.push(("NATS_JS_REPLICAS".into(), self.nodes.len().to_string()));
        env
    }

    /// The same as options of the `nats` command.
    pub fn options(&self) -> Vec<String> {
        let env = self.env();
        let value = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        [
            ("--server", "NATS_URL"),
            ("--tlscacert", "NATS_TLS_CA"),
            ("--tlscert", "NATS_TLS_CERT"),
            ("--tlskey", "NATS_TLS_KEY"),
        ]
        .into_iter()
        .filter_map(|(option, name)| Some([option.to_owned(), value(name)?]))
        .flatten()
        .collect()
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node].process.kill();
    }

    pub fn restart(&mut self, node: usize) {
        let folder = &self.nodes[node].folder;
        let config = std::fs::read_to_string(folder.path().join("nats.conf")).unwrap();
        self.nodes[node].process = launch(node, folder, &config);
    }

    /// The node that leads a stream, as the stream's own servers tell it.
    pub fn leader_of(&self, stream: &str) -> usize {
        let names = |node: &Node| http_get(node.monitor, "/jsz?accounts=true&streams=true").unwrap_or_default();
        await_that("the stream has a leader", Duration::from_secs(20), || {
            let (_, detail) = names(&self.nodes[0])
                .split_once(&format!("\"name\": \"{stream}\""))
                .map(|(before, after)| (before.to_owned(), after.to_owned()))
                .ok_or("the stream is not there")?;
            let (_, leader) = detail.split_once("\"leader\": \"n").ok_or("it has no leader")?;
            leader.split('"').next().and_then(|number| number.parse().ok()).ok_or("its leader has no number".into())
        })
    }

    fn await_health(&self) {
        for node in &self.nodes {
            await_that("a nats server is healthy", Duration::from_secs(30), || {
                let health = http_get(node.monitor, "/healthz").map_err(|error| error.to_string())?;
                if health.contains("\"ok\"") { Ok(()) } else { Err(health) }
            });
        }
    }
}

fn start_node(number: usize, routes: &[u16], pki: &Pki) -> Node {
    let (folder, client, monitor) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
        pki.file("server.crt"),
        pki.file("server.key"),
        pki.file("ca.crt")
    );
    let urls: Vec<_> = routes.iter().map(|port| format!("\"nats://localhost:{port}\"")).collect();
    let config = format!(
        "server_name: n{number}\nlisten: 127.0.0.1:{client}\nhttp: 127.0.0.1:{monitor}\n\
         jetstream {{ store_dir: \"{}\" }}\n{tls}\n\
         cluster {{ name: test, listen: 127.0.0.1:{}, routes: [{}], {tls} }}\n",
        folder.path().join("js").display(),
        routes[number],
        urls.join(", ")
    );
    let process = launch(number, &folder, &config);
    Node { client, monitor, folder, process }
}

fn launch(number: usize, folder: &TempDir, config: &str) -> Process {
    let path = folder.path().join("nats.conf");
    std::fs::write(&path, config).unwrap();
    let args = strings(&["-c", &path.display().to_string()]);
    Process::start(&format!("nats-{number}"), folder.path(), "nats-server", &args, &[])
}
