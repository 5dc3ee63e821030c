//! The verbs that a run uses: what every run does, and what each power takes besides.

use super::Need;
use gauntlet_core::Capability;
use std::collections::BTreeSet;

/// `(verbs, group, resource, subresource)`.
type Row = (&'static [&'static str], &'static str, &'static str, &'static str);

/// What a run may do to what it has made.
pub const OWNED: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// What every run does, whatever it deploys and tries.
const ALWAYS: &[Row] = &[
    // Everything that decides whether a system is in order is watched.
    (&["list", "watch"], "", "pods", ""),
    (&["get", "list", "watch"], "", "nodes", ""),
    (&["list", "watch"], "apps", "deployments", ""),
    (&["list", "watch"], "apps", "statefulsets", ""),
    (&["list", "watch"], "apps", "daemonsets", ""),
    (&["list", "watch"], "batch", "jobs", ""),
    (&["list", "watch"], "policy", "poddisruptionbudgets", ""),
    (&["list", "watch"], "", "events", ""),
    (&["list"], "", "limitranges", ""),
    // What the cluster has.
    (&["list"], "storage.k8s.io", "storageclasses", ""),
    (&["list"], "networking.k8s.io", "ingressclasses", ""),
    // Namespaces, certificates and secrets of the system; clients of ours, and what lets them in.
    (&OWNED, "", "namespaces", ""),
    (&["watch"], "", "namespaces", ""),
    (&OWNED, "", "secrets", ""),
    (&OWNED, "", "pods", ""),
    (&OWNED, "networking.k8s.io", "networkpolicies", ""),
    // A WebSocket is asked for by GET, and checked as that since Kubernetes 1.35, beside CREATE.
    (&["get", "create"], "", "pods", "exec"),
    (&["get", "create"], "", "pods", "portforward"),
    (&["get"], "", "pods", "log"),
    // What may be a secret there must be known before anything is told.
    (&["list"], "", "configmaps", ""),
];

/// Taking the pods off a node, one by one.
const DRAINS: &[Row] = &[(&["patch"], "", "nodes", ""), (&["create"], "", "pods", "eviction")];

/// A pod of ours on every node.
const AGENTS: &[Row] = &[(&OWNED, "apps", "daemonsets", "")];

/// Containers in pods that run; pods beside them, which a ConfigMap of ours controls; and where Services lead.
const ENTERS: &[Row] = &[
    (&["patch"], "", "pods", "ephemeralcontainers"),
    (&OWNED, "", "configmaps", ""),
    (&["get", "list"], "", "services", ""),
    (&["get"], "batch", "cronjobs", ""),
    (&["get"], "batch", "jobs", ""),
];

/// Backups run by hand, volumes that are lost, and what lies on them.
const RESTORES: &[Row] = &[
    (&["get"], "batch", "cronjobs", ""),
    (&OWNED, "batch", "jobs", ""),
    (&["get", "delete"], "", "persistentvolumeclaims", ""),
    (&["get"], "apps", "statefulsets", ""),
    (&["patch"], "apps", "statefulsets", "scale"),
];

/// What every run needs.
pub fn always() -> BTreeSet<Need> {
    each(ALWAYS)
}

/// What a power takes besides. Those that the Kubernetes API does not give take nothing of it.
pub fn of(capability: Capability) -> BTreeSet<Need> {
    each(match capability {
        Capability::DrainNodes => DRAINS,
        Capability::HoldContainer | Capability::ShapeNetwork => AGENTS,
        Capability::EnterPods => ENTERS,
        Capability::RestoreData => RESTORES,
        Capability::StopNode | Capability::NodeNetwork | Capability::EnforcePolicies => &[],
    })
}

fn each(rows: &[Row]) -> BTreeSet<Need> {
    let needs = rows.iter().flat_map(|(verbs, group, resource, subresource)| {
        verbs.iter().map(|verb| Need::new(verb, group, resource, subresource))
    });
    needs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Capability::{DrainNodes, EnterPods, HoldContainer, RestoreData, ShapeNetwork};

    #[test]
    fn verbs_are_those_of_the_api() {
        const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
        let powers = [DrainNodes, HoldContainer, ShapeNetwork, EnterPods, RestoreData];
        for need in powers.into_iter().flat_map(of).chain(always()) {
            assert!(VERBS.contains(&need.verb), "{need}");
        }
    }

    #[test]
    fn what_only_some_scenarios_do_is_asked_for_with_their_powers_only() {
        for (power, verb, group, resource, subresource) in [
            (DrainNodes, "patch", "", "nodes", ""),
            (DrainNodes, "create", "", "pods", "eviction"),
            (HoldContainer, "create", "apps", "daemonsets", ""),
            (ShapeNetwork, "create", "apps", "daemonsets", ""),
            (EnterPods, "patch", "", "pods", "ephemeralcontainers"),
            (RestoreData, "create", "batch", "jobs", ""),
            (RestoreData, "patch", "apps", "statefulsets", "scale"),
            (RestoreData, "delete", "", "persistentvolumeclaims", ""),
        ] {
            let need = Need::new(verb, group, resource, subresource);
            assert!(of(power).contains(&need), "{power} takes {need}");
            assert!(!always().contains(&need), "{need} is not asked of every run");
        }
    }
}
