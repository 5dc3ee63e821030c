//! A cluster that exists already: the embedded Kubernetes, reached by its kubeconfig like any other.

use super::{Ended, Place, ended};
use serde_json::{Value, json};
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
        self.gauntlet_by(&self.kubeconfig, command, more)
    }

    fn gauntlet_by(&self, kubeconfig: &str, command: &str, more: &[&str]) -> Command {
        let which = ["--cluster", "kubeconfig", "--context", CLUSTER, "--kubeconfig", kubeconfig];
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

    /// Somebody else's way to this cluster, who may do nothing but ask what is allowed.
    pub fn somebody(&self, name: &str) -> Somebody<'_> {
        let token = {
            self.kubectl(&["--namespace", "default", "create", "serviceaccount", name]);
            self.kubectl(&["--namespace", "default", "create", "token", name])
        };
        let kubeconfig = self.place.path(name).display().to_string();
        std::fs::copy(&self.kubeconfig, &kubeconfig).unwrap();
        let theirs = ["--kubeconfig", &kubeconfig, "config"];
        self.kubectl(&[&theirs[..], &["set-credentials", name, "--token", token.trim()]].concat());
        self.kubectl(&[&theirs[..], &["set-context", CLUSTER, "--user", name]].concat());
        Somebody { cluster: self, name: name.to_owned(), kubeconfig }
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

/// A user of the cluster that is allowed what roles give.
pub struct Somebody<'a> {
    cluster: &'a Elsewhere,
    name: String,
    kubeconfig: String,
}

impl Somebody<'_> {
    /// A command of theirs about the cluster.
    pub fn gauntlet(&self, command: &str, more: &[&str]) -> Command {
        self.cluster.gauntlet_by(&self.kubeconfig, command, more)
    }

    /// Allows things in every namespace, each said as `VERB, VERB RESOURCE (GROUP)`.
    pub fn allow<'a>(&self, things: impl IntoIterator<Item = &'a str>) {
        let rules: Vec<Value> = things.into_iter().map(rule).collect();
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": self.name}, "rules": rules});
        let file = self.cluster.place.path("role.json");
        std::fs::write(&file, role.to_string()).unwrap();
        self.cluster.kubectl(&["create", "--filename", &file.display().to_string()]);
        let account = format!("default:{}", self.name);
        let binding = ["create", "clusterrolebinding", &self.name, "--clusterrole", &self.name, "--serviceaccount"];
        self.cluster.kubectl(&[&binding[..], &[&account]].concat());
    }
}

fn rule(thing: &str) -> Value {
    let (thing, group) = thing.strip_suffix(')').and_then(|thing| thing.split_once(" (")).unwrap_or((thing, ""));
    let (verbs, resource) = thing.rsplit_once(' ').expect("verbs, then a resource");
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs.split(", ").collect::<Vec<&str>>()})
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.place.gauntlet(&["cluster", "down", CLUSTER]);
    }
}
