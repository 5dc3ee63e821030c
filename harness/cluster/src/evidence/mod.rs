//! Everything a person needs to find a cause: objects, events, logs of every container, what the nodes and stores say of
//! themselves, and what pods see of the network.
//!
//! Nothing is written that has not been redacted; everything is collected at once, within a deadline and a bound of size;
//! what could not be had is named.
//!
//! - [`sink`]: the files
//! - [`objects`]: every object of every kind
//! - [`describe`]: what is worth knowing of them, in words
//! - [`logs`]: what containers wrote
//! - [`stores`]: what Redis and NATS say of themselves
//! - [`network`]: names, addresses and routes as pods see them

mod describe;
mod logs;
mod network;
mod objects;
mod sink;
mod stores;

pub use logs::last_words;
pub use sink::Bounds;

use crate::access::{Access, RUN_LABEL, said};
use crate::provider::Cluster;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use gauntlet_core::Redactor;
use gauntlet_core::contract::Deployment;
use gauntlet_core::span::Span;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::Value;
use sink::{Keep, Sink};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How many things are asked for at once: enough to be quick, few enough not to disturb what is looked at.
const AT_ONCE: usize = 8;

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub cluster: &'a dyn Cluster,
    pub deployment: Deployment<'a>,
    pub namespaces: &'a BTreeSet<String>,
    pub redactor: &'a Redactor,
}

impl Scope<'_> {
    fn access(&self) -> &Access {
        self.cluster.access()
    }
}

/// One thing to collect, by the name that says that it is missing.
struct Task<'a> {
    name: String,
    work: BoxFuture<'a, ()>,
}

impl<'a> Task<'a> {
    fn new(name: impl Into<String>, work: impl Future<Output = ()> + Send + 'a) -> Self {
        Self { name: name.into(), work: work.boxed() }
    }
}

/// Collects evidence into a folder. Goes on whatever fails and returns what could not be had.
pub async fn collect(scope: Scope<'_>, folder: &Path, bounds: Bounds) -> Vec<String> {
    let sink = match Sink::new(folder, scope.redactor, bounds) {
        Ok(sink) => sink,
        Err(problem) => return vec![problem],
    };
    let pending: Mutex<BTreeSet<String>> = Mutex::new(["objects".to_owned()].into());
    let everything = async {
        if let Err(problem) = learn_secrets(scope.access(), scope.redactor, scope.namespaces).await {
            sink.missing(problem);
        }
        let found = objects::all(scope, &sink).await;
        sink.text("summary.txt", &describe::summary(&found), Keep::Beginning);
        sink.text("events.txt", &describe::events(&found), Keep::End);
        let pods: Vec<Pod> = found.of("pods").filter_map(|pod| serde_json::from_value(pod.clone()).ok()).collect();
        let mut tasks = stores::tasks(scope, &pods, &sink);
        tasks.extend(objects::tasks(&found, &sink));
        tasks.push(Task::new("the cluster's own view", own_view(scope, &sink)));
        tasks.extend(network::tasks(scope, &found, &pods, &sink));
        tasks.extend(logs::tasks(scope, &pods, &sink));
        let names: BTreeSet<String> = tasks.iter().map(|task| task.name.clone()).collect();
        *pending.lock().unwrap_or_else(PoisonError::into_inner) = names;
        let mut each = Vec::new();
        for Task { name, work } in tasks {
            let pending = &pending;
            each.push(async move {
                work.await;
                pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            });
        }
        futures::stream::iter(each).buffer_unordered(AT_ONCE).collect::<()>().await;
    };
    if tokio::time::timeout(bounds.within, everything).await.is_err() {
        let unfinished = pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        let unfinished: Vec<String> = unfinished.into_iter().collect();
        sink.missing(format!("not collected within {}: {}", Span(bounds.within), unfinished.join(", ")));
    }
    sink.finish()
}

/// What only this kind of cluster can tell: its log, and the rules of its network.
async fn own_view(scope: Scope<'_>, sink: &Sink<'_>) {
    if let Some(log) = scope.cluster.log().await {
        sink.text("cluster.log", &log, Keep::End);
    }
    match scope.cluster.network_rules().await {
        Ok(Some(rules)) => sink.text("network/cluster.txt", &rules, Keep::Beginning),
        Ok(None) => {}
        Err(trouble) => sink.missing(format!("the rules of the cluster's network: {trouble}")),
    }
    match scope.access().client.apiserver_version().await {
        Ok(version) => sink.text(
            "versions.txt",
            &format!(
                "kubernetes {}\nplatform {}\ncontract {}\n",
                version.git_version, version.platform, scope.deployment.contract.name.value
            ),
            Keep::Beginning,
        ),
        Err(error) => sink.missing(format!("the version of the cluster: {}", said(&error))),
    }
}

/// Makes the values of all Secrets in some namespaces known, so that nothing tells them.
///
/// # Errors
/// They cannot be listed.
pub async fn learn_secrets(access: &Access, redactor: &Redactor, namespaces: &BTreeSet<String>) -> Result<(), String> {
    for namespace in namespaces {
        let api: Api<Secret> = Api::namespaced(access.client.clone(), namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(|error| format!("cannot list Secrets in {namespace}: {}", said(&error)))?;
        let values: Vec<Value> = list.items.iter().filter_map(|secret| serde_json::to_value(secret).ok()).collect();
        redactor.learn(&values);
    }
    Ok(())
}

/// Namespaces that runs have made, for clients among others.
///
/// # Errors
/// They cannot be listed.
pub async fn namespaces_of_runs(access: &Access) -> Result<Vec<String>, String> {
    let api: Api<Namespace> = Api::all(access.client.clone());
    let list = api.list(&ListParams::default().labels(RUN_LABEL)).await;
    let list = list.map_err(|error| format!("cannot list namespaces: {}", said(&error)))?;
    Ok(list.items.iter().map(ResourceExt::name_any).collect())
}
