//! Aggregated discovery: everything in two documents (`apidiscovery.k8s.io`).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::{Catalog, Resource};
use crate::server::respond::{self, Answer};

pub fn answer(version: &str, list: Value) -> Answer {
    let content_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    respond::json_as(200, &list, &content_type)
}

/// The core group; `version` is that of the document.
pub fn core(catalog: &Catalog, version: &str) -> Value {
    list(version, vec![group(catalog, "")])
}

pub fn named(catalog: &Catalog, version: &str) -> Value {
    list(version, catalog.groups().iter().map(|name| group(catalog, name)).collect())
}

fn list(version: &str, items: Vec<Value>) -> Value {
    let api_version = format!("apidiscovery.k8s.io/{version}");
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items})
}

fn group(catalog: &Catalog, name: &str) -> Value {
    let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    let versions: Vec<Value> =
        catalog.versions_of(name).iter().map(|(v, resources)| one_version(v, resources)).collect();
    json!({"metadata": metadata, "versions": versions})
}

fn one_version(version: &str, resources: &[Arc<Resource>]) -> Value {
    let resources: Vec<Value> = resources.iter().map(|r| entry(r)).collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

fn entry(resource: &Resource) -> Value {
    // Built-in kinds leave out what the place in the document says already.
    let response = |group: &str, version: &str, kind: &str| match resource.custom {
        Some(_) => json!({"group": resource.id.group, "version": resource.version, "kind": kind}),
        None => json!({"group": group, "version": version, "kind": kind}),
    };
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let mut entry = json!({"resource": resource.id.resource, "responseKind": response("", "", &resource.kind),
        "scope": scope, "singularResource": resource.singular, "verbs": resource.verbs});
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|s| {
            let kind = match s.group_version {
                Some((group, version)) => json!({"group": group, "version": version, "kind": s.kind}),
                None => response("", "", &s.kind),
            };
            json!({"subresource": s.name, "responseKind": kind, "verbs": s.verbs})
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}
