//! Subresources, and resources that store nothing.
//!
//! `status`, `resize`, `ephemeralcontainers` and `finalize` are ordinary writes, restricted by the registry; the
//! others have modules of their own.

mod container;
mod eviction;
mod exec;
mod log;
mod portforward;
mod proxy;
mod pump;
mod spdy;
mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use embedded_apimachinery::{Result, Status, object};
use http::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::registry::scale_of;
use crate::server::respond::{self, Answer, no_such_method, no_such_resource};
use crate::server::{Call, Server, body, plain};

pub async fn answer(
    server: &Arc<Server>,
    call: &Call,
    resource: &Arc<Resource>,
    request: Request<Incoming>,
) -> Result<Answer> {
    let Some(subresource) = resource.subresource(&call.info.subresource) else { return Err(no_such_resource()) };
    if !subresource.verbs.contains(&call.info.verb.as_str()) {
        return Err(no_such_method());
    }
    match subresource.name {
        "scale" if call.info.verb == "get" => show_scale(server, call, resource),
        "scale" => plain::write_scale(server, call, resource, body::read(request.into_body()).await?).await,
        "token" => {
            let bytes = body::read(request.into_body()).await?;
            let token = server.api.issue_token(&call.info.namespace, &call.info.name, &parse(&bytes)?)?;
            Ok(respond::json(201, &token))
        }
        "eviction" => eviction::evict(server, call, &body::read(request.into_body()).await?),
        "log" => log::logs(server, call).await,
        "exec" => exec::exec(server, call, request),
        "attach" => exec::attach(server, call, request),
        "portforward" => portforward::forward(server, call, request),
        "proxy" if *resource.id.resource != *"nodes" => proxy::forward(server, call, resource, request).await,
        "proxy" => Err(Status::new(501, "NotImplemented", "nodes here have nothing to proxy to")),
        "binding" => bind(server, call, &body::read(request.into_body()).await?),
        _ => plain::answer(server, call, resource, request).await,
    }
}

/// Resources that only answer: reviews and bindings.
pub fn review(server: &Server, call: &Call, resource: &Resource, bytes: &Bytes) -> Result<Answer> {
    if *resource.id.resource == *"bindings" {
        return bind(server, call, bytes);
    }
    let mut sent = parse(bytes)?;
    sent["apiVersion"] = resource.api_version().into();
    let answer = server.api.review(&resource.kind, &call.user, &call.info.namespace, &sent)?;
    Ok(respond::json(201, &answer))
}

fn show_scale(server: &Server, call: &Call, resource: &Resource) -> Result<Answer> {
    let name = call.info.name.as_str();
    let parent = server.api.find(&resource.id, call.object_namespace(resource), name);
    let parent = parent.ok_or_else(|| Status::not_found(&resource.id, name))?;
    Ok(respond::json(200, &scale_of(resource, &parent)?))
}

/// Assigns a pod to a node.
fn bind(server: &Server, call: &Call, bytes: &Bytes) -> Result<Answer> {
    use embedded_apimachinery::{Api, resource::PODS};
    let sent = parse(bytes)?;
    let node = object::str_at(&sent, "/target/name").to_owned();
    let name = match call.info.name.as_str() {
        "" => object::name(&sent),
        name => name,
    };
    server.api.modify(&call.actor(), &PODS, &call.info.namespace, name, "binding", &mut |pod| {
        pod["spec"]["nodeName"] = node.clone().into();
        Ok(())
    })?;
    Ok(respond::json(201, &created()))
}

/// The answer of subresources that create nothing to show.
pub fn created() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
}

pub fn parse(bytes: &Bytes) -> Result<Value> {
    body::parse(bytes)
}
