//! OpenAPI documents, as far as `kubectl apply`, `create` and `explain` look at them: schemas, and for every resource
//! the paths with their kinds and the parameters of `patch`.

use std::collections::BTreeMap;

use embedded_schema::Schemas;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::GIT_VERSION;
use crate::catalog::{Catalog, Resource};

const REFERENCE: &str = "#/components/schemas/";
const META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const GVK: &str = "x-kubernetes-group-version-kind";

/// Where the document of each group and version is.
pub fn index(catalog: &Catalog) -> Value {
    let mut paths = Map::new();
    let mut add = |path: String, hash: String| {
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    };
    for path in ["api", "apis", "version"] {
        add(path.to_owned(), hash(&[]));
    }
    for group in std::iter::once(String::new()).chain(catalog.groups()) {
        if !group.is_empty() {
            add(format!("apis/{group}"), hash(&[]));
        }
        for (version, resources) in catalog.versions_of(&group) {
            add(document_path(&group, &version), hash(&resources));
        }
    }
    json!({"paths": paths})
}

fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// Changes when the document does; clients keep documents by it.
fn hash(resources: &[std::sync::Arc<Resource>]) -> String {
    let mut digest = Sha256::new();
    digest.update(GIT_VERSION);
    for resource in resources {
        digest.update(resource.kind.as_bytes());
        if let Some(custom) = &resource.custom {
            digest.update(custom.open_api.to_string());
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The document at a path below `/openapi/v3`.
pub fn document(catalog: &Catalog, parts: &[&str]) -> Option<Value> {
    let (group, version) = match parts {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        ["api"] | ["apis"] | ["version"] => return Some(document_of(Map::new(), Map::new())),
        ["apis", group] if !catalog.versions_of(group).is_empty() => return Some(document_of(Map::new(), Map::new())),
        _ => return None,
    };
    let (_, resources) = catalog.versions_of(group).into_iter().find(|(v, _)| v == version)?;
    let mut paths = Map::new();
    for resource in &resources {
        add_paths(resource, &mut paths);
    }
    let schemas = schemas(group, version, &resources.iter().map(|r| &**r).collect::<Vec<_>>());
    Some(document_of(paths, schemas))
}

fn document_of(paths: Map<String, Value>, schemas: Map<String, Value>) -> Value {
    json!({"openapi": "3.0.0", "info": info(), "paths": paths, "components": {"schemas": schemas}})
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": GIT_VERSION})
}

fn add_paths(resource: &Resource, paths: &mut Map<String, Value>) {
    let base = format!("/{}", document_path(&resource.id.group, &resource.version));
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{base}{scope}/{}", resource.id.resource);
    let gvk = json!({"group": resource.id.group, "version": resource.version, "kind": resource.kind});
    let operation = |parameters: &[&str]| {
        let parameters: Vec<Value> =
            parameters.iter().map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}})).collect();
        json!({"parameters": parameters, GVK: gvk, "responses": {"200": {"description": "OK"}}})
    };
    const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
    let mut many = json!({"post": operation(WRITE)});
    if !resource.virtual_only {
        many["get"] = operation(&["fieldSelector", "labelSelector", "limit", "watch"]);
        let one = json!({"get": operation(&[]), "put": operation(WRITE), "delete": operation(&["dryRun"]),
            "patch": operation(&["dryRun", "fieldManager", "fieldValidation", "force"])});
        paths.insert(format!("{collection}/{{name}}"), one);
    }
    paths.insert(collection, many);
}

/// The definitions of all kinds of one version, and all that they refer to.
fn schemas(group: &str, version: &str, resources: &[&Resource]) -> Map<String, Value> {
    let mut all = Schemas::definitions();
    let mut wanted: Vec<String> = Vec::new();
    for (name, definition) in &all {
        let of_group = definition[GVK]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|k| k["group"] == *group && k["version"] == *version));
        if of_group {
            wanted.push(name.clone());
        }
    }
    for resource in resources.iter().filter(|r| r.custom.is_some()) {
        let name = custom_name(resource);
        all.insert(name.clone(), custom_schema(resource));
        wanted.push(name);
    }
    let mut found = BTreeMap::new();
    while let Some(name) = wanted.pop() {
        if found.contains_key(&name) {
            continue;
        }
        if let Some(definition) = all.get(&name) {
            references(definition, &mut wanted);
            found.insert(name, definition.clone());
        }
    }
    found.into_iter().collect()
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(REFERENCE)) {
                found.push(name.to_owned());
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

/// `com.example.v1.Widget`.
fn custom_name(resource: &Resource) -> String {
    let group: Vec<&str> = resource.id.group.rsplit('.').collect();
    format!("{}.{}.{}", group.join("."), resource.version, resource.kind)
}

fn custom_schema(resource: &Resource) -> Value {
    let mut schema = match &resource.custom {
        Some(custom) if custom.open_api.is_object() => custom.open_api.clone(),
        _ => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema["properties"]["metadata"] = json!({"allOf": [{"$ref": META}]});
    schema[GVK] = json!([{"group": resource.id.group, "version": resource.version, "kind": resource.kind}]);
    schema
}

/// The one document of version 2.
pub fn swagger(catalog: &Catalog) -> Value {
    let mut definitions = Schemas::definitions();
    let mut paths = Map::new();
    for resource in catalog.all() {
        add_paths(&resource, &mut paths);
        if resource.custom.is_some() {
            definitions.insert(custom_name(&resource), custom_schema(&resource));
        }
    }
    for definition in definitions.values_mut() {
        to_v2(definition);
    }
    json!({"swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions})
}

/// Version 2 keeps definitions elsewhere and writes a reference without `allOf`.
fn to_v2(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("allOf").and_then(|a| a.get(0)).and_then(|a| a.get("$ref")).cloned() {
                map.shift_remove("allOf");
                map.shift_remove("default");
                map.insert("$ref".into(), reference);
            }
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = reference.replace(REFERENCE, "#/definitions/");
            }
            map.values_mut().for_each(to_v2);
        }
        Value::Array(list) => list.iter_mut().for_each(to_v2),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_hold_all_that_they_refer_to() {
        let document = document(&Catalog::default(), &["apis", "apps", "v1"]).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut wanted = Vec::new();
        references(&document["components"], &mut wanted);
        assert!(!wanted.is_empty() && wanted.iter().all(|name| schemas.contains_key(name)));
        let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(patch[GVK]["kind"], json!("Deployment"));
        assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation"));
    }

    #[test]
    fn every_document_is_in_the_index() {
        let index = index(&Catalog::default());
        assert!(index["paths"][document_path("", "v1")]["serverRelativeURL"].is_string());
        assert!(index["paths"][document_path("apps", "v1")]["serverRelativeURL"].is_string());
    }

    #[test]
    fn version_two_refers_to_its_own_definitions() {
        let text = swagger(&Catalog::default()).to_string();
        assert!(text.contains("#/definitions/") && !text.contains(REFERENCE));
    }
}
