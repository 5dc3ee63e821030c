//! What a run must be allowed to do on a cluster, asked before anything is done: all gaps at once.

use crate::access::{Access, said};
use futures::{StreamExt, TryStreamExt};
use gauntlet_core::Trouble;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use kube::core::{GroupVersionKind, TypeMeta};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// Questions asked at once.
const AT_ONCE: usize = 8;

/// One thing to be allowed, in every namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    verb: &'static str,
    group: String,
    resource: String,
    subresource: &'static str,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, subresource } = self;
        write!(f, "{verb} {resource}")?;
        if !subresource.is_empty() {
            write!(f, "/{subresource}")?;
        }
        if group.is_empty() { Ok(()) } else { write!(f, " ({group})") }
    }
}

fn need(verb: &'static str, group: &str, resource: &str, subresource: &'static str) -> Need {
    Need { verb, group: group.to_owned(), resource: resource.to_owned(), subresource }
}

/// What a run may do to what it has made.
const OWNED: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// What every run needs, whatever it deploys: `(verbs, group, resource, subresource)`.
const ALWAYS: &[(&[&str], &str, &str, &str)] = &[
    // Everything that decides whether a system is in order is watched.
    (&["list", "watch"], "", "pods", ""),
    (&["get", "list", "watch"], "", "nodes", ""),
    (&["list", "watch"], "apps", "deployments", ""),
    (&["get", "list", "watch"], "apps", "statefulsets", ""),
    (&["list", "watch"], "apps", "daemonsets", ""),
    (&["list", "watch"], "batch", "jobs", ""),
    (&["list", "watch"], "policy", "poddisruptionbudgets", ""),
    (&["list", "watch"], "", "events", ""),
    (&["list"], "", "limitranges", ""),
    // What the cluster has.
    (&["list"], "storage.k8s.io", "storageclasses", ""),
    (&["list"], "networking.k8s.io", "ingressclasses", ""),
    (&["get", "list"], "", "services", ""),
    // Namespaces, certificates and secrets of the system; clients and probers of ours, and what lets them in.
    (&OWNED, "", "namespaces", ""),
    (&["watch"], "", "namespaces", ""),
    (&OWNED, "", "secrets", ""),
    (&OWNED, "", "pods", ""),
    (&OWNED, "", "configmaps", ""),
    (&OWNED, "networking.k8s.io", "networkpolicies", ""),
    // Backups run by hand, volumes that are lost, and what lies on them.
    (&["get"], "batch", "cronjobs", ""),
    (&OWNED, "batch", "jobs", ""),
    (&["get", "list", "delete"], "", "persistentvolumeclaims", ""),
    (&["patch"], "apps", "statefulsets", "scale"),
    // A WebSocket is asked for by GET, and checked as that since Kubernetes 1.35, beside CREATE.
    (&["get", "create"], "", "pods", "exec"),
    (&["get"], "", "pods", "log"),
    (&["create"], "", "pods", "eviction"),
    (&["patch"], "", "pods", "ephemeralcontainers"),
];

/// Drains, and the agents on the nodes.
const NODES: &[(&[&str], &str, &str, &str)] = &[
    (&["patch"], "", "nodes", ""),
    (&["get"], "coordination.k8s.io", "leases", ""),
    (&OWNED, "apps", "daemonsets", ""),
];

fn always(node_faults: bool) -> BTreeSet<Need> {
    let nodes = NODES.iter().filter(|_| node_faults);
    let each = |(verbs, group, resource, subresource): &(&'static [&'static str], &str, &str, &'static str)| {
        let needs = verbs.iter().map(|verb| need(verb, group, resource, subresource));
        needs.collect::<Vec<Need>>()
    };
    ALWAYS.iter().chain(nodes).flat_map(each).collect()
}

/// Makes sure that everything is allowed that a run with these objects does.
///
/// # Errors
/// All that is not allowed.
pub async fn check(access: &Access, objects: &[Value], node_faults: bool) -> Result<(), Trouble> {
    let mut needs = always(node_faults);
    needs.extend(for_objects(access, objects).await?);
    let denied: Vec<Option<Need>> = futures::stream::iter(needs)
        .map(async |need| Ok::<_, Trouble>((!is_allowed(access, &need).await?).then_some(need)))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let denied: Vec<String> = denied.into_iter().flatten().map(|need| need.to_string()).collect();
    if denied.is_empty() {
        return Ok(());
    }
    Err(Trouble::input(format!("the cluster does not allow you to:\n  {}", denied.join("\n  ")))
        .hint("ask for a role that allows it, or name a context with one"))
}

/// Objects of kinds that the cluster does not know yet are judged when they are created.
async fn for_objects(access: &Access, objects: &[Value]) -> Result<BTreeSet<Need>, Trouble> {
    let kinds = access
        .kinds()
        .await
        .map_err(|error| Trouble::input(format!("cannot discover the API's kinds: {}", said(&error))))?;
    let text = |object: &Value, field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let resource = |object: &Value| {
        let types = TypeMeta { api_version: text(object, "apiVersion"), kind: text(object, "kind") };
        let (resource, _) = kinds.resolve_gvk(&GroupVersionKind::try_from(&types).ok()?)?;
        Some((resource.group, resource.plural))
    };
    let resources: BTreeSet<(String, String)> = objects.iter().filter_map(resource).collect();
    Ok(resources.iter().flat_map(|(group, resource)| OWNED.map(|verb| need(verb, group, resource, ""))).collect())
}

async fn is_allowed(access: &Access, need: &Need) -> Result<bool, Trouble> {
    let attributes = ResourceAttributes {
        verb: Some(need.verb.to_owned()),
        group: Some(need.group.clone()),
        resource: Some(need.resource.clone()),
        subresource: Some(need.subresource.to_owned()).filter(|subresource| !subresource.is_empty()),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(access.client.clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| Trouble::input(format!("cannot ask what is allowed: {}", said(&error))))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_twice_and_verbs_are_those_of_the_api() {
        const VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
        let all: Vec<String> = always(true).iter().map(ToString::to_string).collect();
        assert!(all.iter().all(|need| VERBS.iter().any(|verb| need.starts_with(verb))), "{all:?}");
        assert!(all.contains(&"patch statefulsets/scale (apps)".to_owned()), "{all:?}");
    }

    #[test]
    fn nodes_are_changed_only_with_leave() {
        let patch_nodes = need("patch", "", "nodes", "");
        assert!(always(true).contains(&patch_nodes));
        assert!(!always(false).contains(&patch_nodes));
    }

    #[test]
    fn a_gap_is_said_as_a_person_would_look_for_it() {
        assert_eq!(need("create", "", "pods", "eviction").to_string(), "create pods/eviction");
        assert_eq!(need("list", "apps", "deployments", "").to_string(), "list deployments (apps)");
    }
}
