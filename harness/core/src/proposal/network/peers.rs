//! Pods of somebody else, under names that a contract can list and pods of ours can have.

use super::super::manifests::Manifest;
use super::super::row::Row;
use crate::contract::network::BEYOND;
use crate::dns;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Peers that policies mean, each with a name of its own.
#[derive(Default)]
pub struct Peers {
    taken: BTreeSet<String>,
    known: Vec<Peer>,
}

struct Peer {
    name: String,
    namespace: String,
    /// Nothing where every pod of the namespace is meant.
    labels: Value,
    from: String,
}

/// Longer names are cut, so that a number still fits behind them.
const LONGEST: usize = 58;

impl Peers {
    /// None yet, beside workloads of these names.
    pub fn beside<'n>(workloads: impl Iterator<Item = &'n str>) -> Self {
        Self { taken: workloads.chain(BEYOND).map(str::to_owned).collect(), known: vec![] }
    }

    /// The name of pods with these labels in a namespace.
    pub fn name(&mut self, policy: &Manifest, namespace: &str, labels: Value) -> String {
        let same = self.known.iter().find(|peer| peer.namespace == namespace && peer.labels == labels);
        if let Some(same) = same {
            return same.name.clone();
        }
        let label = labels.as_object().and_then(|labels| labels.values().next()).and_then(Value::as_str);
        let wanted = label.map_or_else(|| format!("pods-of-{namespace}"), |label| format!("{namespace}-{label}"));
        let name = self.free(&wanted);
        self.taken.insert(name.clone());
        let (namespace, from) = (namespace.to_owned(), policy.origin());
        self.known.push(Peer { name: name.clone(), namespace, labels, from });
        name
    }

    /// A name as it is wanted, spelled as Kubernetes takes it, with a number where somebody has it already.
    fn free(&self, wanted: &str) -> String {
        let wanted = dns::label_of(wanted).unwrap_or_else(|| "peer".to_owned());
        let short = wanted.get(..LONGEST).unwrap_or(&wanted).trim_end_matches('-');
        let mut name = wanted.clone();
        for number in 2.. {
            if !self.taken.contains(&name) {
                break;
            }
            name = format!("{short}-{number}");
        }
        name
    }

    pub fn rows(&self) -> Vec<Row> {
        let row = |peer: &Peer| {
            Row::new(peer.from.clone())
                .with("name", peer.name.clone())
                .with("namespace", peer.namespace.clone())
                .with("labels", peer.labels.clone())
                .with("guessed", true)
        };
        self.known.iter().map(row).collect()
    }
}

/// Labels that pods are told by; nothing where every pod is meant.
pub fn labels(selector: &Value) -> Value {
    selector["matchLabels"].as_object().filter(|labels| !labels.is_empty()).map_or(Value::Null, |labels| json!(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_name_of_its_own_that_a_pod_can_have() {
        let policy = Manifest { object: json!({"kind": "NetworkPolicy"}), file: "f".to_owned() };
        let mut peers = Peers::beside(["ext-web"].into_iter());
        let long = "x".repeat(70);
        for (labels, name) in [
            (json!({"app": "My_App.v1"}), "ext-my-app-v1".to_owned()),
            (json!({"app": "my-app-v1"}), "ext-my-app-v1-2".to_owned()),
            (json!({"app": "My_App.v1"}), "ext-my-app-v1".to_owned()),
            (json!({"app": "web"}), "ext-web-2".to_owned()),
            (json!({"app": "web", "tier": "a"}), "ext-web-3".to_owned()),
            (Value::Null, "pods-of-ext".to_owned()),
            (json!({"app": long}), format!("ext-{}", "x".repeat(59))),
            (json!({"name": long}), format!("ext-{}-2", "x".repeat(54))),
        ] {
            assert_eq!(peers.name(&policy, "ext", labels), name);
            assert!(dns::is_label(&name), "{name}");
        }
        assert_eq!(peers.rows().len(), 7);
    }
}
