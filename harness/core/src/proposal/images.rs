//! What runs in place of images that the embedded cluster does not have.

use super::manifests::{Manifests, image_name};
use super::row::Row;
use super::stores;
use super::workload::container_ports;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Names that embedded clusters know by themselves, without Docker's own registry and library.
const AT_HAND: [&str; 9] = [
    "redis",
    "nats",
    "natsio/nats-box",
    "oliver006/redis_exporter",
    "alpine",
    "busybox",
    "debian",
    "registry.k8s.io/pause",
    "registry.k8s.io/e2e-test-images/busybox",
];

/// Whether the real program runs also where nothing is pulled.
pub fn is_at_hand(image: &str) -> bool {
    let name = image_name(image);
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    AT_HAND.contains(&name.strip_prefix("library/").unwrap_or(name))
}

/// A listener for each of the others, on every port that a workload with this image answers on.
pub fn guess(manifests: &Manifests<'_>) -> Vec<Row> {
    let mut images: BTreeMap<&str, (BTreeSet<u16>, String)> = BTreeMap::new();
    for workload in manifests.workloads.iter().chain(manifests.unusable.iter().map(|(workload, _)| workload)) {
        let main = stores::main(manifests, workload);
        for container in workload.all_containers() {
            let name = image_name(container["image"].as_str().unwrap_or_default());
            if name.is_empty() || is_at_hand(name) {
                continue;
            }
            let (ports, _) = images.entry(name).or_insert_with(|| (BTreeSet::new(), workload.manifest.origin()));
            ports.extend(container_ports(container).map(|(_, port)| port));
            let elsewhere: Vec<u16> = workload.listed_ports().into_iter().map(|(_, port)| port).collect();
            // Ports that no container lists are most likely those of the one that does the work.
            if main == Some(container) {
                let unlisted = manifests.ports(workload).into_iter().map(|(_, port)| port);
                ports.extend(unlisted.filter(|port| !elsewhere.contains(port)));
            }
        }
    }
    let row = |(name, (ports, origin)): (&str, (BTreeSet<u16>, String))| {
        Row::new(origin).with("name", name).with("runs", json!({"listener": ports}))
    };
    images.into_iter().map(row).collect()
}
