//! What is ours on a cluster that has other users: what carries the label of a run, and nothing else.

use crate::access::{Access, RUN_LABEL, said};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Seed, Trouble};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::discovery::verbs;
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Resource, ResourceExt};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// The run that an object belongs to; `None` for what is not ours.
pub fn run_of<K: Resource>(object: &K) -> Option<&str> {
    object.meta().labels.as_ref()?.get(RUN_LABEL).map(String::as_str)
}

/// A name for a namespace of a run: another than other runs give on the same cluster, and not too long for one.
pub fn name(run: &str, what: &str) -> String {
    let name = format!("gauntlet-{}-{what}", short(run));
    if name.len() <= LABEL_AT_MOST {
        return name;
    }
    let digest = format!("{:08x}", Seed(0).derive(&name).0 & 0xffff_ffff);
    let kept: String = name.chars().take(LABEL_AT_MOST - digest.len() - 1).collect();
    format!("{}-{digest}", kept.trim_end_matches('-'))
}

/// What tells a run from others that are under way: the random part of its id.
pub fn short(run: &str) -> &str {
    run.rsplit('-').next().unwrap_or(run)
}

/// The longest that a name of a namespace may be (RFC 1123).
const LABEL_AT_MOST: usize = 63;

/// The runs that have something on the cluster: those whose label a namespace carries.
///
/// # Errors
/// Namespaces cannot be listed.
pub async fn runs(access: &Access) -> Result<BTreeSet<String>, Trouble> {
    let api: Api<Namespace> = Api::all(access.client.clone());
    let found = api.list(&ListParams::default().labels(RUN_LABEL)).await.or_trouble(|| "cannot list namespaces")?;
    Ok(found.items.iter().filter_map(run_of).map(str::to_owned).collect())
}

/// Makes sure that none of the namespaces exists: what is in one is somebody's, or left from a run that died.
///
/// # Errors
/// Those that exist, and what to do about each.
pub async fn check_free(access: &Access, namespaces: &BTreeSet<String>) -> Result<(), Trouble> {
    let api: Api<Namespace> = Api::all(access.client.clone());
    let (mut taken, mut hints) = (Vec::new(), BTreeSet::new());
    for name in namespaces {
        let found = api.get_opt(name).await.or_trouble(|| format!("cannot look for namespace {name}"))?;
        match found.as_ref().map(run_of) {
            None => {}
            Some(Some(run)) => {
                taken.push(format!("{name} (left by run {run})"));
                hints.insert("remove what dead runs left with `gauntlet clean --cluster kubeconfig --context NAME`");
            }
            Some(None) => {
                taken.push(format!("{name} (not ours)"));
                hints.insert("use another cluster, or remove the namespace yourself if nobody needs it");
            }
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    let trouble = Trouble::input(format!("these namespaces exist on the cluster already: {}", taken.join(", ")));
    Err(hints.into_iter().fold(trouble, Trouble::hint))
}

/// Whether an object that exists may be changed: it is this run's, or in a namespace of this run. Another run may be under
/// way with what is its own.
///
/// # Errors
/// Its namespace cannot be looked at.
pub async fn may_change(access: &Access, run: &str, found: &DynamicObject) -> Result<bool, kube::Error> {
    if !access.is_shared || run_of(found) == Some(run) {
        return Ok(true);
    }
    match found.namespace() {
        Some(namespace) => is_of(access, run, &namespace).await,
        None => Ok(false),
    }
}

/// Whether a namespace is this run's.
///
/// # Errors
/// It cannot be looked at.
pub async fn is_of(access: &Access, run: &str, namespace: &str) -> Result<bool, kube::Error> {
    let api: Api<Namespace> = Api::all(access.client.clone());
    Ok(api.get_opt(namespace).await?.is_some_and(|namespace| run_of(&namespace) == Some(run)))
}

/// The namespaces that objects stand in.
pub fn namespaces(objects: &[Value]) -> BTreeSet<String> {
    objects.iter().filter_map(|object| object["metadata"]["namespace"].as_str()).map(str::to_owned).collect()
}

/// Removes everything that belongs to the chosen runs, namespaces first, and waits until those are gone. Goes on
/// whatever fails; what was removed, and what could not be.
pub async fn remove(
    access: &Access,
    is_chosen: impl Fn(&str) -> bool + Sync,
    deadline: Duration,
) -> (Vec<String>, Vec<Trouble>) {
    let (mut removed, mut troubles) = (Vec::new(), Vec::new());
    let until = tokio::time::Instant::now() + deadline;
    let api: Api<Namespace> = Api::all(access.client.clone());
    match api.list(&ListParams::default().labels(RUN_LABEL)).await {
        Err(error) => troubles.push(Trouble::harness(format!("cannot list namespaces: {}", said(&error)))),
        Ok(found) => {
            let chosen = found.items.into_iter().filter(|found| run_of(found).is_some_and(&is_chosen));
            let gone = futures::future::join_all(chosen.map(|namespace| remove_namespace(&api, namespace, until)));
            for result in gone.await {
                match result {
                    Ok(name) => removed.push(format!("namespace {name}")),
                    Err(trouble) => troubles.push(trouble),
                }
            }
        }
    }
    match remove_rest(access, &is_chosen).await {
        Ok(rest) => removed.extend(rest),
        Err(trouble) => troubles.push(trouble),
    }
    (removed, troubles)
}

async fn remove_namespace(
    api: &Api<Namespace>,
    namespace: Namespace,
    until: tokio::time::Instant,
) -> Result<String, Trouble> {
    let (name, uid) = (namespace.name_any(), namespace.uid().unwrap_or_default());
    let doing = || format!("cannot remove namespace {name}");
    match api.delete(&name, &exactly(&uid)).await {
        // It may be on its way already.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
        other => drop(other.or_trouble(doing)?),
    }
    match tokio::time::timeout_at(until, await_condition(api.clone(), &name, is_deleted(&uid))).await {
        Ok(gone) => gone.or_trouble(doing).map(|_| name.clone()),
        Err(_) => Err(Trouble::harness(format!("namespace {name} is not gone by the deadline"))
            .hint(format!("see what holds it: kubectl get namespace {name} -o yaml"))),
    }
}

/// A deletion of the object that was looked at, and of none that has come in its place.
fn exactly(uid: &str) -> DeleteParams {
    let uid = (!uid.is_empty()).then(|| uid.to_owned());
    DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..DeleteParams::default() }
}

/// Everything labelled that stands in no namespace of ours. What may not be listed was not created: a run begins only
/// where it may list what it makes.
async fn remove_rest(access: &Access, is_chosen: impl Fn(&str) -> bool) -> Result<Vec<String>, Trouble> {
    let kinds = access.kinds().await.or_trouble(|| "cannot discover the API's kinds")?;
    let mut removed = Vec::new();
    for group in kinds.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let usable = [verbs::LIST, verbs::DELETE].iter().all(|verb| capabilities.supports_operation(verb));
            if !usable || resource.kind == "Namespace" {
                continue;
            }
            let api: Api<DynamicObject> = Api::all_with(access.client.clone(), &resource);
            let found = match api.list(&ListParams::default().labels(RUN_LABEL)).await {
                Ok(found) => found,
                Err(kube::Error::Api(status)) if [403, 404, 405].contains(&status.code) => continue,
                Err(error) => {
                    let what = format!("cannot look for {} of ours: {}", resource.plural, said(&error));
                    return Err(Trouble::harness(what));
                }
            };
            for object in found.items.into_iter().filter(|found| run_of(found).is_some_and(&is_chosen)) {
                let name = object.name_any();
                let api: Api<DynamicObject> = match object.namespace() {
                    Some(namespace) => Api::namespaced_with(access.client.clone(), &namespace, &resource),
                    None => api.clone(),
                };
                match api.delete(&name, &exactly(&object.uid().unwrap_or_default())).await {
                    Ok(_) => removed.push(format!("{} {name}", resource.kind)),
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => return Err(Trouble::harness(format!("cannot remove {name}: {}", said(&error)))),
                }
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_run_and_fit_a_namespace() {
        let run = "20260101-000000-4f78";
        assert_eq!(name(run, "network-matrix"), "gauntlet-4f78-network-matrix");
        assert_ne!(name(run, "a"), name("20260101-000000-a3b1", "a"));
        let long = |last: &str| name(run, &format!("{}-{last}", "x".repeat(60)));
        assert_eq!(long("1").len(), LABEL_AT_MOST);
        assert_ne!(long("1"), long("2"), "what is cut off still counts");
        let at_a_dash = name(run, &format!("{}-{}", "x".repeat(39), "y".repeat(30)));
        assert!(at_a_dash.len() <= LABEL_AT_MOST && !at_a_dash.contains("--"), "{at_a_dash}");
    }
}
