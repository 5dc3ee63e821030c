//! Every object of every kind in the namespaces that matter, and of the cluster.

use super::sink::Sink;
use super::{AT_ONCE, Scope, Task};
use crate::access::{RUN_LABEL, said};
use futures::StreamExt;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{ApiResource, Scope as Reach, verbs};
use serde_json::Value;

/// Kinds that change with every heartbeat or repeat others.
const UNINTERESTING: [&str; 2] = ["Lease", "ComponentStatus"];

/// The place of what is in no namespace.
const CLUSTER: &str = "cluster";

/// Kinds that decide what becomes of everybody's pods.
const OF_EVERYBODY: [&str; 5] = ["Node", "StorageClass", "IngressClass", "PriorityClass", "RuntimeClass"];

/// A kind in a place.
pub struct Listed {
    /// A namespace, or `cluster`.
    pub place: String,
    /// Lower case, as in paths of the API.
    pub plural: String,
    pub objects: Vec<Value>,
}

/// All that was found.
#[derive(Default)]
pub struct Found {
    pub listed: Vec<Listed>,
}

impl Found {
    /// Objects of a kind, wherever they are.
    pub fn of<'a>(&'a self, plural: &'a str) -> impl Iterator<Item = &'a Value> {
        self.listed.iter().filter(move |listed| listed.plural == plural).flat_map(|listed| &listed.objects)
    }
}

/// Lists everything; what cannot be listed is missing.
pub async fn all(scope: Scope<'_>, sink: &Sink<'_>) -> Found {
    let client = &scope.access().client;
    let kinds = match scope.access().kinds().await {
        Ok(kinds) => kinds,
        Err(error) => {
            sink.missing(format!("cannot discover kinds: {}", said(&error)));
            return Found::default();
        }
    };
    let mut wanted: Vec<(String, ApiResource, Api<DynamicObject>)> = Vec::new();
    for (resource, capabilities) in kinds.groups().flat_map(kube::discovery::ApiGroup::recommended_resources) {
        if !capabilities.supports_operation(verbs::LIST) || UNINTERESTING.contains(&resource.kind.as_str()) {
            continue;
        }
        match capabilities.scope {
            Reach::Cluster if resource.kind == "Namespace" => {}
            Reach::Cluster => {
                let api = Api::all_with(client.clone(), &resource);
                wanted.push((CLUSTER.to_owned(), resource, api));
            }
            Reach::Namespaced => wanted.extend(scope.namespaces.iter().map(|namespace| {
                let api = Api::namespaced_with(client.clone(), namespace, &resource);
                (namespace.clone(), resource.clone(), api)
            })),
        }
    }
    let lists = wanted.into_iter().map(async |(place, resource, api)| match api.list(&ListParams::default()).await {
        Ok(list) => {
            let objects = list.items.into_iter().filter_map(|object| serde_json::to_value(object).ok());
            let concerns = |object: &Value| place != CLUSTER || concerns(scope, &resource.kind, object);
            let objects = objects.filter(concerns).collect();
            Some(Listed { place, plural: resource.plural, objects })
        }
        Err(error) => {
            sink.missing(format!("cannot list {} in {place}: {}", resource.plural, said(&error)));
            None
        }
    });
    let listed: Vec<Option<Listed>> = futures::stream::iter(lists).buffered(AT_ONCE).collect().await;
    Found { listed: listed.into_iter().flatten().filter(|listed| !listed.objects.is_empty()).collect() }
}

/// Whether something that is in no namespace has to do with the run. On a cluster with other users most of it is theirs.
fn concerns(scope: Scope<'_>, kind: &str, object: &Value) -> bool {
    let is_ours = object["metadata"]["labels"][RUN_LABEL] == scope.run;
    let claimed_from = object["spec"]["claimRef"]["namespace"].as_str();
    let holds_ours = kind == "PersistentVolume" && claimed_from.is_some_and(|of| scope.namespaces.contains(of));
    !scope.access().is_shared || OF_EVERYBODY.contains(&kind) || is_ours || holds_ours
}

/// Writes a file for each kind and place.
pub fn tasks<'a>(found: &'a Found, sink: &'a Sink<'a>) -> Vec<Task<'a>> {
    let each = found.listed.iter().map(|listed| {
        let name = format!("objects/{}.{}.json", listed.place, listed.plural);
        Task::new(name.clone(), async move { sink.objects(&name, &listed.objects) })
    });
    each.collect()
}
