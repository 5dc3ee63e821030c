//! A cluster that exists already: the embedded Kubernetes, reached by its kubeconfig like any other.

use super::{Ended, Place, ended};
use std::process::Command;

const CLUSTER: &str = "elsewhere";

/// A cluster that goes when this does.
pub struct Elsewhere {
    pub place: Place,
    pub kubeconfig: String,
}

impl Elsewhere {
    /// `None`, said aloud, where no cluster can be had.
    pub fn start() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: not root");
            return None;
        }
        let place = Place::new();
        let up = place.gauntlet(&["cluster", "up", CLUSTER]);
        assert_eq!(up.code, 0, "{}{}", up.stdout, up.stderr);
        let kubeconfig = place.path("state/clusters").join(CLUSTER).join("kubeconfig").display().to_string();
        Some(Self { place, kubeconfig })
    }

    /// A command about this cluster.
    pub fn gauntlet(&self, command: &str, more: &[&str]) -> Command {
        let which = ["--cluster", "kubeconfig", "--context", CLUSTER, "--kubeconfig", &self.kubeconfig];
        let arguments: Vec<&str> = [command].into_iter().chain(which).chain(more.iter().copied()).collect();
        let mut command = self.place.command(&arguments);
        command.stdin(std::process::Stdio::null());
        command
    }

    pub fn run(&self, command: &str, more: &[&str]) -> Ended {
        ended(self.gauntlet(command, more).output().expect("the program starts"))
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = Command::new("kubectl").arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).output();
        let ended = ended(output.expect("kubectl starts"));
        assert_eq!(ended.code, 0, "kubectl {}: {}", arguments.join(" "), ended.stderr);
        ended.stdout
    }

    /// Adds a node that is ready, or so it says.
    pub fn join(&self, name: &str) {
        let ready = r#"{"type": "Ready", "status": "True", "reason": "KubeletReady"}"#;
        let node = format!(
            r#"{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "{name}"}}, "status": {{"conditions": [{ready}]}}}}"#
        );
        let file = self.place.path(name);
        std::fs::write(&file, node).unwrap();
        let file = file.display().to_string();
        self.kubectl(&["create", "--filename", &file]);
        self.kubectl(&["replace", "--raw", &format!("/api/v1/nodes/{name}/status"), "--filename", &file]);
    }

    /// Names of what exists of a kind.
    pub fn names(&self, kind: &str) -> Vec<String> {
        self.kubectl(&["get", kind, "-A", "-o", "name"]).lines().map(str::to_owned).collect()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.place.gauntlet(&["cluster", "down", CLUSTER]);
    }
}
