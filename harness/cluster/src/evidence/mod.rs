//! Everything a person needs to find a cause: objects, events, logs of every container, what the nodes and stores say of
//! themselves, and what pods see of the network.
//!
//! Nothing is written that has not been redacted; everything is collected at once, within a deadline and a bound of size;
//! what could not be had is named.
//!
//! - [`sink`]: the files
//! - [`objects`]: every object of every kind
//! - [`describe`]: what is worth knowing of them, in words
//! - [`logs`]: what containers wrote; [`gone`]: those of pods that are about to be gone
//! - [`stores`]: what Redis and NATS say of themselves
//! - [`absent`]: what does not run and cannot be asked; [`versions`]: which releases all of it was
//! - [`network`]: names, addresses and routes as pods see them

mod absent;
mod describe;
mod gone;
mod logs;
mod network;
mod objects;
mod sink;
mod stores;
mod versions;

pub use gone::keep_logs;
pub use logs::last_words;
pub use sink::{Bounds, Collected};

use crate::access::{Access, RUN_LABEL, said};
use crate::provider::Cluster;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use gauntlet_core::Redactor;
use gauntlet_core::contract::Deployment;
use gauntlet_core::span::Span;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use objects::Found;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sink::{Keep, Sink};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How many things are asked for at once: enough to be quick, few enough not to disturb what is looked at.
const AT_ONCE: usize = 8;

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub cluster: &'a dyn Cluster,
    pub deployment: Deployment<'a>,
    /// The run's id.
    pub run: &'a str,
    /// Those of the run.
    pub namespaces: &'a BTreeSet<String>,
    pub redactor: &'a Redactor,
    /// Of the programs of the run, by name.
    pub versions: &'a BTreeMap<String, String>,
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
pub async fn collect(scope: Scope<'_>, folder: &Path, bounds: Bounds) -> Collected {
    let sink = match Sink::new(folder, scope.redactor, bounds) {
        Ok(sink) => sink,
        Err(problem) => return Collected { missing: vec![problem], bytes: 0 },
    };
    let pending: Mutex<BTreeSet<String>> = Mutex::new(["objects".to_owned()].into());
    let everything = async {
        if let Err(problem) = learn_secrets(scope.access(), scope.redactor, scope.namespaces).await {
            sink.missing(problem);
        }
        let found = objects::all(scope, &sink).await;
        // Before anything is written, logs above all: what an object holds as a secret, a log may repeat.
        scope.redactor.learn(found.listed.iter().flat_map(|listed| &listed.objects));
        sink.text("summary.txt", &describe::summary(&found), Keep::Beginning);
        sink.text("events.txt", &describe::events(&found), Keep::End);
        let pods: Vec<Pod> = found.of("pods").filter_map(|pod| serde_json::from_value(pod.clone()).ok()).collect();
        let mut tasks = stores::tasks(scope, &pods, &sink);
        tasks.extend(objects::tasks(&found, &sink));
        tasks.push(Task::new("the cluster's own view", own_view(scope, &found, &sink)));
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
    if let Some(keys) = too_short(scope.redactor) {
        sink.missing(keys);
    }
    sink.finish()
}

/// What only this kind of cluster can tell: its log, and the rules of its network; and which releases all of it was.
async fn own_view(scope: Scope<'_>, found: &Found, sink: &Sink<'_>) {
    if let Some(log) = scope.cluster.log().await {
        sink.text("cluster.log", &log, Keep::End);
    }
    match scope.cluster.network_rules().await {
        Ok(Some(rules)) => sink.text("network/cluster.txt", &rules, Keep::Beginning),
        Ok(None) => sink.missing("the rules of the network: only the nodes know them, and we are on none".to_owned()),
        Err(trouble) => sink.missing(format!("the rules of the cluster's network: {trouble}")),
    }
    let cluster = match scope.access().client.apiserver_version().await {
        Ok(version) => format!("kubernetes {}, {}", version.git_version, version.platform),
        Err(error) => {
            sink.missing(format!("the version of the cluster: {}", said(&error)));
            "kubernetes of a version that it did not tell".to_owned()
        }
    };
    let contract = format!("{cluster}\ncontract {}", scope.deployment.contract.name.value);
    sink.text("versions.txt", &versions::text(scope.versions, &contract, found), Keep::Beginning);
}

/// Makes secrets in some namespaces known, so that nothing tells them: values of Secrets, and what stands as a secret in
/// ConfigMaps and pods.
///
/// # Errors
/// They cannot be listed.
pub async fn learn_secrets(access: &Access, redactor: &Redactor, namespaces: &BTreeSet<String>) -> Result<(), String> {
    for namespace in namespaces {
        let mut objects = listed::<Secret>(access, namespace).await?;
        objects.extend(listed::<ConfigMap>(access, namespace).await?);
        objects.extend(listed::<Pod>(access, namespace).await?);
        redactor.learn(&objects);
    }
    Ok(())
}

async fn listed<K>(access: &Access, namespace: &str) -> Result<Vec<Value>, String>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
{
    let api: Api<K> = Api::namespaced(access.client.clone(), namespace);
    let list = api.list(&ListParams::default()).await;
    let list = list.map_err(|error| format!("cannot list {}s in {namespace}: {}", K::kind(&()), said(&error)))?;
    Ok(list.items.iter().filter_map(|object| serde_json::to_value(object).ok()).collect())
}

/// What no text could be searched for.
fn too_short(redactor: &Redactor) -> Option<String> {
    let keys: Vec<String> = redactor.too_short().into_iter().collect();
    let told = "values of Secrets too short to be taken out of texts, where they may stand";
    (!keys.is_empty()).then(|| format!("{told}, are those of the keys {}", keys.join(", ")))
}

/// Namespaces that a run has made, for clients among others.
///
/// # Errors
/// They cannot be listed.
pub async fn namespaces_of(access: &Access, run: &str) -> Result<Vec<String>, String> {
    let api: Api<Namespace> = Api::all(access.client.clone());
    let list = api.list(&ListParams::default().labels(&format!("{RUN_LABEL}={run}"))).await;
    let list = list.map_err(|error| format!("cannot list namespaces: {}", said(&error)))?;
    Ok(list.items.iter().map(ResourceExt::name_any).collect())
}
