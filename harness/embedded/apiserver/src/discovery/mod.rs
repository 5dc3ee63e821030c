//! What the server says about itself: versions, health, resources and schemas.

mod aggregated;
mod legacy;
mod openapi;

use embedded_apimachinery::Result;
use http::header;
use serde_json::json;

use crate::server::negotiate::{negotiate, not_acceptable, wants_aggregated_discovery};
use crate::server::respond::{self, Answer, no_such_method, no_such_resource, page_not_found};
use crate::server::{Call, Server};

/// The version of Kubernetes whose behaviour is reproduced.
pub const GIT_VERSION: &str = "v1.36.2";

pub async fn answer(server: &Server, call: &Call) -> Result<Answer> {
    if !["GET", "HEAD"].contains(&call.method.as_str()) {
        return Err(no_such_method());
    }
    let catalog = &server.api.catalog;
    let parts: Vec<&str> = call.info.path.split('/').filter(|p| !p.is_empty()).collect();
    let form = wants_aggregated_discovery(call.header(header::ACCEPT));
    Ok(match (parts.as_slice(), form) {
        (["version"], _) => respond::json(200, &version()),
        (["api"], Some(version)) => aggregated::answer(version, aggregated::core(catalog, version)),
        (["apis"], Some(version)) => aggregated::answer(version, aggregated::named(catalog, version)),
        (["api"], None) => respond::json(200, &legacy::core_versions()),
        (["apis"], None) => respond::json(200, &legacy::group_list(catalog)),
        (["api", version], _) => resources(server, "", version)?,
        (["apis", group], _) => match legacy::group(catalog, group) {
            Some(found) => respond::json(200, &found),
            None => page_not_found(),
        },
        (["apis", group, version], _) => resources(server, group, version)?,
        ([check @ ("healthz" | "livez" | "readyz")], _) => health(check, call.query.get("verbose").is_some()),
        (["healthz" | "livez" | "readyz", "ping" | "etcd" | "log"], _) => respond::text(200, "ok"),
        // Kubernetes says so of its index, too.
        (["openapi", "v3"], _) => respond::json_as(200, &openapi::index(catalog), "text/plain; charset=utf-8"),
        (["openapi", "v3", document @ ..], _) => match openapi::document(catalog, document) {
            Some(document) => respond::json(200, &document),
            None => page_not_found(),
        },
        (["openapi", "v2"], _) if negotiate(call.header(header::ACCEPT)).is_err() => {
            return Err(not_acceptable());
        }
        (["openapi", "v2"], _) => respond::json(200, &openapi::swagger(catalog)),
        ([], _) => respond::json(200, &json!({"paths": legacy::paths(catalog)})),
        _ => page_not_found(),
    })
}

fn resources(server: &Server, group: &str, version: &str) -> Result<Answer> {
    let catalog = &server.api.catalog;
    match legacy::resource_list(catalog, group, version) {
        Some(list) => Ok(respond::json(200, &list)),
        None if catalog.versions_of(group).is_empty() => Ok(page_not_found()),
        None => Err(no_such_resource()),
    }
}

fn version() -> serde_json::Value {
    json!({"major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "gitVersion": GIT_VERSION,
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "gc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)})
}

/// A server that answers is healthy: it has no part that can fail by itself.
fn health(check: &str, verbose: bool) -> Answer {
    let text = match verbose {
        true => format!("[+]ping ok\n[+]log ok\n[+]etcd ok\n{check} check passed\n"),
        false => "ok".to_owned(),
    };
    respond::text(200, text)
}
