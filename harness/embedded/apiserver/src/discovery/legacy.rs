//! Discovery document by document, for clients that do not know the aggregated one.

use serde_json::{Value, json};

use crate::catalog::{Catalog, Resource, group_version};

pub fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

pub fn group_list(catalog: &Catalog) -> Value {
    let groups: Vec<Value> = catalog.groups().iter().map(|group| describe(catalog, group)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

pub fn group(catalog: &Catalog, group: &str) -> Option<Value> {
    if group.is_empty() || catalog.versions_of(group).is_empty() {
        return None;
    }
    let mut found = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Value::Object(fields), Value::Object(described)) = (&mut found, describe(catalog, group)) {
        fields.extend(described);
    }
    Some(found)
}

fn describe(catalog: &Catalog, group: &str) -> Value {
    let versions: Vec<Value> = catalog
        .versions_of(group)
        .iter()
        .map(|(version, _)| json!({"groupVersion": group_version(group, version), "version": version}))
        .collect();
    let preferred = versions.first().cloned();
    json!({"name": group, "versions": versions, "preferredVersion": preferred})
}

pub fn resource_list(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let (_, resources) = catalog.versions_of(group).into_iter().find(|(v, _)| v == version)?;
    let entries: Vec<Value> = resources.iter().flat_map(|r| entries(r)).collect();
    let mut list = json!({"kind": "APIResourceList"});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    list["groupVersion"] = group_version(group, version).into();
    list["resources"] = entries.into();
    Some(list)
}

/// A resource and its subresources.
fn entries(resource: &Resource) -> Vec<Value> {
    let mut main = json!({"name": resource.id.resource, "singularName": resource.singular,
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.verbs});
    if !resource.short_names.is_empty() {
        main["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        main["categories"] = json!(resource.categories);
    }
    if !resource.virtual_only {
        main["storageVersionHash"] = resource.storage_version_hash().into();
    }
    let mut entries = vec![main];
    for subresource in &resource.subresources {
        let name = format!("{}/{}", resource.id.resource, subresource.name);
        let mut entry = json!({"name": name, "singularName": "", "namespaced": resource.namespaced});
        if let Some((group, version)) = subresource.group_version {
            entry["group"] = group.into();
            entry["version"] = version.into();
        }
        entry["kind"] = subresource.kind.clone().into();
        entry["verbs"] = json!(subresource.verbs);
        entries.push(entry);
    }
    entries
}

/// The paths that `/` lists.
pub fn paths(catalog: &Catalog) -> Vec<String> {
    let mut paths: Vec<String> = ["/api", "/api/v1", "/apis"].map(str::to_owned).into();
    for group in catalog.groups() {
        paths.push(format!("/apis/{group}"));
        paths.extend(catalog.versions_of(&group).iter().map(|(version, _)| format!("/apis/{group}/{version}")));
    }
    paths.extend(["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    paths
}
