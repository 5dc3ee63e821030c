//! What the manifests use and do not have: the part of an installation guide that is not manifests.

use super::manifests::{EVERYWHERE, Manifest, Manifests};
use super::row::{Row, flow, one_line, section};
use super::workload::{Needed, Workload};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const KEYS_UNKNOWN: &str = "Its keys are not named. Add them, or move it to `certificates` where it is one.";

/// A namespace and a name in it.
type Place<'a> = (&'a str, &'a str);

/// Writes the prerequisites. `definitions` is the file with those of foreign kinds.
pub fn write(text: &mut String, manifests: &Manifests<'_>, definitions: Option<&str>) {
    let namespaces: Vec<&str> = manifests.namespaces().into_iter().collect();
    let _ = writeln!(text, "\nprerequisites:\n  namespaces: {}", flow(&json!(namespaces)));
    for (namespace, manifest) in manifests.foreign_namespaces() {
        let origin = one_line(&manifest.origin());
        let whose = match EVERYWHERE.contains(&namespace) {
            true => "which every cluster has: nothing is to be done",
            false => {
                "which looks like somebody else's: add it where the cluster under test lacks it, or applying is refused"
            }
        };
        let _ = writeln!(text, "  # {origin} is for the namespace {namespace}, {whose}.");
    }
    if let Some(path) = definitions {
        let row = Row::new("").with("path", path).with("from", "whoever defines these kinds in a real cluster");
        let comment =
            "Kinds that are no part of Kubernetes: anything is accepted in objects of them, and nothing acts on it.";
        section(text, "  ", "crds", comment, &[row]);
    }
    let secrets: Vec<Row> = missing(manifests, "Secret").into_iter().map(secret).collect();
    section(text, "  ", "secrets", "Used and not in the manifests. Values are made anew in every run.", &secrets);
    let claims: Vec<Row> = missing(manifests, "PersistentVolumeClaim").into_iter().map(claim).collect();
    section(text, "  ", "claims", "Used and not in the manifests; how large they are is guessed.", &claims);
    for ((namespace, name), (users, _)) in missing(manifests, "ConfigMap") {
        let _ = writeln!(
            text,
            "  # ConfigMap {namespace}/{name} is used by {users} and not in the manifests: add it to the overlay, or pods do not start."
        );
    }
    for manifest in manifests.all.iter().filter(|manifest| has_pods(manifest)) {
        let origin = one_line(&manifest.origin());
        let _ = writeln!(text, "  # {origin} has pods and is of no kind that a contract knows: nothing looks at them.");
    }
    for manifest in &manifests.nameless {
        let origin = one_line(&manifest.origin());
        let _ = writeln!(text, "  # {origin} cannot be applied, so nothing is said of it: give it `metadata.name`.");
    }
    for (namespace, name, user) in missing_accounts(manifests) {
        let _ = writeln!(
            text,
            "  # ServiceAccount {namespace}/{name} is used by {user} and not in the manifests: add it to the overlay, or no pod is made."
        );
    }
}

/// Whether it is like a workload and none of the known kinds.
fn has_pods(manifest: &Manifest) -> bool {
    let specs = ["/spec/template/spec/containers", "/spec/containers"];
    Workload::of(manifest).is_none()
        && specs.iter().any(|path| manifest.object.pointer(path).is_some_and(Value::is_array))
}

/// Those of a kind that pods need and that the manifests do not have, with who needs them and the keys that are named.
fn missing<'a>(manifests: &Manifests<'a>, kind: &str) -> BTreeMap<Place<'a>, (String, BTreeSet<&'a str>)> {
    let mut missing: BTreeMap<Place<'a>, (String, BTreeSet<&'a str>)> = BTreeMap::new();
    for workload in &manifests.workloads {
        let needs: Vec<Needed<'a>> = workload.needs().into_iter().filter(|needed| needed.kind == kind).collect();
        for needed in needs.into_iter().filter(|needed| !manifests.has(kind, workload.namespace, needed.name)) {
            let entry = missing.entry((workload.namespace, needed.name));
            let (_, keys) = entry.or_insert_with(|| (workload.manifest.origin(), BTreeSet::new()));
            keys.extend(needed.key);
        }
    }
    missing
}

fn secret(((namespace, name), (from, keys)): (Place<'_>, (String, BTreeSet<&str>))) -> Row {
    let values: BTreeMap<&str, Value> = keys.into_iter().map(|key| (key, json!({"random-hex": 32}))).collect();
    let unknown = values.is_empty().then_some(KEYS_UNKNOWN);
    let row = Row::new(from).asking(unknown).with("name", name).with("namespace", namespace);
    row.with("values", json!(values))
}

fn claim(((namespace, name), (from, _)): (Place<'_>, (String, BTreeSet<&str>))) -> Row {
    Row::new(from).with("name", name).with("namespace", namespace).with("storage", "1Gi")
}

fn missing_accounts<'a>(manifests: &Manifests<'a>) -> Vec<(&'a str, &'a str, String)> {
    let account = |workload: &Workload<'a>| {
        let name = workload.spec()["serviceAccountName"].as_str().filter(|name| *name != "default")?;
        let is_there = manifests.has("ServiceAccount", workload.namespace, name);
        (!is_there).then(|| (workload.namespace, name, workload.manifest.origin()))
    };
    manifests.workloads.iter().filter_map(account).collect()
}
