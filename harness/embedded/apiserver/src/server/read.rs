//! `get` and `list`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use embedded_apimachinery::{Object, ObjectKey, Result, Status};
use serde_json::{Value, json};

use super::fields::{self, Selection};
use super::query::ListQuery;
use super::respond::Answer;
use super::show::{ListMeta, Show};
use super::{Call, Server};
use crate::catalog::Resource;

/// How long a read waits for a version that is not there yet.
const FUTURE_VERSION: Duration = Duration::from_secs(3);

pub async fn get(server: &Server, call: &Call, resource: &Resource, show: &Show<'_>) -> Result<Answer> {
    if let Some(version) = call.query.get("resourceVersion").filter(|v| !v.is_empty()) {
        wait_for_version(server, parse_version(version)?).await?;
    }
    let (namespace, name) = (call.object_namespace(resource), call.info.name.as_str());
    let object = server.api.find(resource.stored_id(), namespace, name);
    object.map(|o| show.object(200, &o)).ok_or_else(|| Status::not_found(&resource.id, name))
}

pub async fn list(server: &Server, call: &Call, resource: &Resource, show: &Show<'_>) -> Result<Answer> {
    let query = ListQuery::parse(&call.query, false)?;
    fields::check(resource, &query.fields)?;
    if !query.version.is_empty() && query.continue_token.is_none() {
        let version = parse_version(&query.version)?;
        wait_for_version(server, version).await?;
        // Only the present is kept: an older list cannot be given exactly.
        if query.version_match == "Exact"
            && version < server.api.store.revision()
            && version <= server.api.store.compacted()
        {
            return Err(Status::expired("The resourceVersion for the provided list is too old."));
        }
    }
    let selection = Selection { labels: query.labels.clone(), fields: query.fields.clone() };
    let (objects, meta) = page(server, resource, call.list_namespace(resource), &selection, &query)?;
    Ok(show.list(&objects, &meta))
}

/// The selected objects of one page.
fn page(
    server: &Server,
    resource: &Resource,
    namespace: Option<&str>,
    selection: &Selection,
    query: &ListQuery,
) -> Result<(Vec<Object>, ListMeta)> {
    let (mut objects, revision) = server.api.store.list(resource.stored_id(), namespace);
    let mut meta = ListMeta { revision, ..ListMeta::default() };
    if let Some(token) = &query.continue_token {
        let (started, after) = decode_token(token)?;
        meta.revision = started;
        objects.retain(|o| ObjectKey::of(o) > after);
    }
    if !selection.is_everything() {
        objects.retain(|o| selection.matches(o));
    }
    if query.limit > 0 && objects.len() > query.limit {
        if selection.is_everything() {
            meta.remaining = Some(objects.len() - query.limit);
        }
        objects.truncate(query.limit);
        meta.continue_token = objects.last().map(|last| encode_token(meta.revision, &ObjectKey::of(last)));
    }
    Ok((objects, meta))
}

fn encode_token(revision: u64, after: &ObjectKey) -> String {
    URL_SAFE_NO_PAD.encode(json!({"rv": revision, "ns": after.namespace, "start": after.name}).to_string())
}

fn decode_token(token: &str) -> Result<(u64, ObjectKey)> {
    let read = || {
        let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let key = ObjectKey::new(value["ns"].as_str()?, value["start"].as_str()?);
        Some((value["rv"].as_u64()?, key))
    };
    read().ok_or_else(|| Status::bad_request("continue key is not valid: it was not given by this server"))
}

fn parse_version(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Status::bad_request(format!("invalid resource version: {}", bad_version(text))))
}

pub fn bad_version(text: &str) -> String {
    let text = json!(text);
    format!("resourceVersion: Invalid value: {text}: strconv.ParseUint: parsing {text}: invalid syntax")
}

/// Reads at a version of the future wait a little for it.
async fn wait_for_version(server: &Server, version: u64) -> Result<()> {
    if version <= server.api.store.revision() {
        return Ok(());
    }
    let reached = server.api.store.wait_for_revision(version);
    if tokio::time::timeout(FUTURE_VERSION, reached).await.is_ok() {
        return Ok(());
    }
    let current = server.api.store.revision();
    let message = format!("Too large resource version: {version}, current: {current}");
    Err(Status::new(504, "Timeout", message).with_details(json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continue_tokens_are_read_back() {
        let key = ObjectKey::new("ns", "a");
        assert_eq!(decode_token(&encode_token(7, &key)).unwrap(), (7, key));
        assert_eq!(decode_token("nope").unwrap_err().code, 400);
    }
}
