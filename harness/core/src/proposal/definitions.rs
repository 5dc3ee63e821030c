//! Definitions of kinds that are no part of Kubernetes, so that objects of them can be applied: any field is taken, and
//! nothing acts on it.

use super::manifests::{Manifest, Manifests};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const OWN_GROUPS: [&str; 16] = [
    "",
    "apps",
    "batch",
    "autoscaling",
    "policy",
    "networking.k8s.io",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "apiextensions.k8s.io",
    "admissionregistration.k8s.io",
    "apiregistration.k8s.io",
    "certificates.k8s.io",
    "node.k8s.io",
];

/// Definitions for the kinds of the manifests that neither Kubernetes nor the manifests define.
pub fn guess(manifests: &Manifests<'_>) -> Vec<Value> {
    let is_defined = |manifest: &&Manifest| {
        manifests.of_kind("CustomResourceDefinition").any(|definition| {
            let spec = &definition.object["spec"];
            spec["group"] == manifest.group() && spec["names"]["kind"] == manifest.kind()
        })
    };
    let foreign = manifests.all.iter().filter(|manifest| !OWN_GROUPS.contains(&manifest.group()));
    let mut kinds: BTreeMap<(&str, &str), Vec<&Manifest>> = BTreeMap::new();
    for manifest in foreign.filter(|manifest| !is_defined(manifest)) {
        kinds.entry((manifest.group(), manifest.kind())).or_default().push(manifest);
    }
    kinds.into_iter().map(|((group, kind), objects)| definition(group, kind, &objects)).collect()
}

fn definition(group: &str, kind: &str, objects: &[&Manifest]) -> Value {
    let plural = plural(&kind.to_lowercase());
    let is_namespaced = objects.iter().any(|manifest| manifest.object["metadata"]["namespace"].is_string());
    let mut versions: Vec<&str> =
        objects.iter().filter_map(|m| m.object["apiVersion"].as_str()?.split_once('/').map(|(_, v)| v)).collect();
    versions.sort_unstable();
    versions.dedup();
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version =
        |(place, name): (usize, &&str)| json!({"name": name, "served": true, "storage": place == 0, "schema": schema});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": if is_namespaced { "Namespaced" } else { "Cluster" },
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()},
            "versions": versions.iter().enumerate().map(version).collect::<Vec<Value>>(),
        },
    })
}

/// As definitions mostly have it.
fn plural(kind: &str) -> String {
    let consonant_before_y = kind.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match consonant_before_y {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with(['s', 'x', 'z']) => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_others_are_defined_once_and_those_of_kubernetes_never() {
        let manifest = |version: &str, kind: &str, namespace: Option<&str>| Manifest {
            object: json!({"apiVersion": version, "kind": kind, "metadata": {"name": "n", "namespace": namespace}}),
            file: "f".to_owned(),
        };
        let all = [
            manifest("v1", "Service", Some("shop")),
            manifest("networking.k8s.io/v1", "NetworkPolicy", Some("shop")),
            manifest("monitoring.coreos.com/v1", "ServiceMonitor", Some("shop")),
            manifest("monitoring.coreos.com/v1", "ServiceMonitor", Some("shop")),
            manifest("kyverno.io/v1", "ClusterPolicy", None),
        ];
        let definitions = guess(&Manifests::of(&all));
        let names: Vec<(&str, &str)> = definitions
            .iter()
            .map(|d| (d["metadata"]["name"].as_str().unwrap(), d["spec"]["scope"].as_str().unwrap()))
            .collect();
        assert_eq!(
            names,
            [("clusterpolicies.kyverno.io", "Cluster"), ("servicemonitors.monitoring.coreos.com", "Namespaced")]
        );
    }
}
