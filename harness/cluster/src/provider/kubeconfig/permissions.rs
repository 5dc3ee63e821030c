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

/// What every run needs, whatever it deploys.
fn always(node_faults: bool) -> BTreeSet<Need> {
    let watched = [
        ("", "pods"),
        ("", "nodes"),
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("apps", "daemonsets"),
        ("batch", "jobs"),
        ("policy", "poddisruptionbudgets"),
    ];
    let watched =
        watched.iter().flat_map(|(group, resource)| ["list", "watch"].map(|verb| need(verb, group, resource, "")));
    let ours = [("", "namespaces"), ("", "secrets"), ("", "pods"), ("networking.k8s.io", "networkpolicies")];
    let ours = ours
        .iter()
        .flat_map(|(group, resource)| ["get", "create", "patch", "delete"].map(|verb| need(verb, group, resource, "")));
    let acts = [
        need("create", "", "pods", "exec"),
        need("create", "", "pods", "eviction"),
        need("get", "", "pods", "log"),
        need("list", "", "secrets", ""),
        need("list", "", "namespaces", ""),
        need("list", "", "limitranges", ""),
        need("list", "networking.k8s.io", "networkpolicies", ""),
    ];
    // Drains, and the agents on the nodes.
    let nodes = [need("patch", "", "nodes", ""), need("patch", "apps", "daemonsets", "")];
    watched.chain(ours).chain(acts).chain(nodes.into_iter().filter(|_| node_faults)).collect()
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
    let verbs = ["get", "create", "patch", "delete"];
    Ok(resources.iter().flat_map(|(group, resource)| verbs.map(|verb| need(verb, group, resource, ""))).collect())
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
