//! `create`, `update` and `patch`.

use bytes::Bytes;
use embedded_apimachinery::{Object, Result, Status, object, timestamp};
use embedded_schema::managed::{self, Manager};
use embedded_schema::{Decoded, FieldValidation, PatchKind, decode, patch};
use serde_json::{Value, json};

use super::negotiate::{BodyFormat, body_format, media_type};
use super::query::WriteQuery;
use super::respond::{self, Answer};
use super::show::Show;
use super::{Call, Server, body};
use crate::catalog::Resource;
use crate::registry::{WriteOptions, scale_of};
use crate::versions;

/// Reads a body as an object of the resource's kind.
pub fn decode_body(call: &Call, resource: &Resource, bytes: &Bytes, validation: FieldValidation) -> Result<Decoded> {
    let format = body_format(call.header(http::header::CONTENT_TYPE))?;
    let Some(schema) = &resource.schema else { return plain_object(&resource.kind, bytes) };
    match format {
        BodyFormat::Json => decode::decode(schema, bytes, validation),
        BodyFormat::Yaml | BodyFormat::Protobuf => decode::decode_value(schema, body::parse(bytes)?, validation),
    }
}

/// For kinds without a schema: any object.
fn plain_object(kind: &str, bytes: &Bytes) -> Result<Decoded> {
    let object = body::parse(bytes)?;
    if !object.is_object() {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): it is no object"
        )));
    }
    Ok(Decoded { object, warnings: Vec::new() })
}

fn options(call: &Call, query: &WriteQuery) -> WriteOptions {
    WriteOptions { dry_run: query.dry_run, manager: Some(call.manager()) }
}

/// A write to another version of the resource than the stored one is a write to that.
fn stored(server: &Server, resource: &Resource) -> Result<std::sync::Arc<Resource>> {
    server.api.stored(&resource.id)
}

pub async fn create(
    server: &Server,
    call: &Call,
    resource: &Resource,
    show: &Show<'_>,
    bytes: Bytes,
) -> Result<Answer> {
    let query = WriteQuery::parse(&call.query, "CreateOptions")?;
    let decoded = decode_body(call, resource, &bytes, query.field_validation)?;
    let target = stored(server, resource)?;
    let mut object = decoded.object;
    versions::to_stored(resource, &target, &mut object);
    let created = server.api.create_object(&target, call.object_namespace(resource), object, &options(call, &query))?;
    let mut answer = show.object(201, &created);
    respond::add_warnings(&mut answer, &decoded.warnings);
    Ok(answer)
}

pub async fn update(
    server: &Server,
    call: &Call,
    resource: &Resource,
    show: &Show<'_>,
    bytes: Bytes,
) -> Result<Answer> {
    let query = WriteQuery::parse(&call.query, "UpdateOptions")?;
    let decoded = decode_body(call, resource, &bytes, query.field_validation)?;
    check_name(&call.info.name, &decoded.object)?;
    let target = stored(server, resource)?;
    let mut sent = decoded.object;
    versions::to_stored(resource, &target, &mut sent);
    let updated = server.api.update_object(
        &target,
        call.object_namespace(resource),
        &call.info.name,
        &call.info.subresource,
        &options(call, &query),
        &mut |_| Ok(sent.clone()),
    )?;
    let mut answer = show.object(200, &updated);
    respond::add_warnings(&mut answer, &decoded.warnings);
    Ok(answer)
}

fn check_name(expected: &str, object: &Value) -> Result<()> {
    let name = object::name(object);
    if name.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({expected} based on URL) was undeterminable: name must be provided"
        )));
    }
    if name != expected {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({expected})"
        )));
    }
    Ok(())
}

pub async fn patch(server: &Server, call: &Call, resource: &Resource, show: &Show<'_>, bytes: Bytes) -> Result<Answer> {
    let kind = match media_type(call.header(http::header::CONTENT_TYPE)) {
        "application/json-patch+json" => PatchKind::Json,
        "application/merge-patch+json" => PatchKind::Merge,
        "application/strategic-merge-patch+json" if resource.custom.is_none() => PatchKind::Strategic,
        "application/apply-patch+yaml" => return apply(server, call, resource, show, bytes).await,
        _ => {
            return Err(Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details(json!({})));
        }
    };
    let query = WriteQuery::parse(&call.query, "PatchOptions")?;
    let target = stored(server, resource)?;
    let mut warnings = Vec::new();
    let patched = server.api.update_object(
        &target,
        call.object_namespace(resource),
        &call.info.name,
        &call.info.subresource,
        &options(call, &query),
        &mut |current| {
            let mut shown = versions::present(resource, current).into_owned();
            if kind != PatchKind::Json {
                // Owners are kept aside, so that merging neither copies nor shows them.
                object::metadata_mut(&mut shown).shift_remove("managedFields");
            }
            let decoded = patch_object(resource, kind, &shown, &bytes, query.field_validation)?;
            warnings = decoded.warnings;
            let mut object = decoded.object;
            versions::to_stored(resource, &target, &mut object);
            Ok(object)
        },
    )?;
    let mut answer = show.object(200, &patched);
    respond::add_warnings(&mut answer, &warnings);
    Ok(answer)
}

fn patch_object(
    resource: &Resource,
    kind: PatchKind,
    current: &Value,
    bytes: &Bytes,
    validation: FieldValidation,
) -> Result<Decoded> {
    match &resource.schema {
        Some(schema) => patch::apply(kind, schema, current, bytes, validation),
        None => Err(Status::internal(format!("kind {} has no schema to patch by", resource.kind))),
    }
}

/// Server-side apply.
async fn apply(server: &Server, call: &Call, resource: &Resource, show: &Show<'_>, bytes: Bytes) -> Result<Answer> {
    let query = WriteQuery::parse(&call.query, "PatchOptions")?;
    let Some(manager) = query.manager.clone() else { return Err(manager_required()) };
    let config = body::yaml(&bytes).map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    let target = stored(server, resource)?;
    if !object::name(&config).is_empty() {
        check_name(&call.info.name, &config)?;
    }
    let schema = target.schema.clone();
    let schema = schema.ok_or_else(|| Status::internal(format!("kind {} has no schema", resource.kind)))?;
    let now = timestamp::now();
    let writer = Manager { name: &manager, subresource: &call.info.subresource, now: &now };
    let write = WriteOptions { dry_run: query.dry_run, manager: None };
    let (applied, created) = server.api.apply_object(
        &target,
        call.object_namespace(resource),
        &call.info.name,
        &call.info.subresource,
        &write,
        &mut |live: Option<&Object>| managed::apply(&schema, live.map(|l| &**l), &config, writer, query.force),
    )?;
    Ok(show.object(if created { 201 } else { 200 }, &applied))
}

fn manager_required() -> Status {
    let cause = json!({"reason": "FieldValueRequired", "message": "Required value: is required for apply patch",
        "field": "fieldManager"});
    Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause])
}

/// Writes to the `scale` subresource, which show a `Scale`.
pub async fn write_scale(server: &Server, call: &Call, resource: &Resource, bytes: Bytes) -> Result<Answer> {
    let patching = call.method == http::Method::PATCH;
    let query = WriteQuery::parse(&call.query, if patching { "PatchOptions" } else { "UpdateOptions" })?;
    let schema = crate::schema::builtin("autoscaling", "v1", "Scale")
        .ok_or_else(|| Status::internal("the schema of Scale is missing"))?;
    let kind = match media_type(call.header(http::header::CONTENT_TYPE)) {
        "application/json-patch+json" => PatchKind::Json,
        "application/strategic-merge-patch+json" => PatchKind::Strategic,
        _ => PatchKind::Merge,
    };
    let parent = server.api.update_object(
        resource,
        call.object_namespace(resource),
        &call.info.name,
        "scale",
        &options(call, &query),
        &mut |current| {
            if patching {
                let scale = scale_of(resource, current)?;
                return patch::apply(kind, &schema, &scale, &bytes, query.field_validation).map(|d| d.object);
            }
            let sent = decode::decode_value(&schema, body::parse(&bytes)?, query.field_validation)?.object;
            check_name(&call.info.name, &sent)?;
            Ok(sent)
        },
    )?;
    Ok(respond::json(200, &scale_of(resource, &parent)?))
}
