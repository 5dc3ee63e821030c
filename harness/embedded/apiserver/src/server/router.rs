//! Who answers a request: authentication, authorization, then discovery, resources or subresources.

use std::sync::Arc;

use embedded_apimachinery::resource::ENDPOINTS;
use embedded_apimachinery::{Result, Status};
use http::{Method, Request, header};
use hyper::body::Incoming;

use super::negotiate::{Form, negotiate};
use super::query::Query;
use super::request::RequestInfo;
use super::respond::{self, Answer, no_such_method, no_such_resource};
use super::show::Show;
use super::{Call, Server, body, read, remove, watch, write};
use crate::auth::User;
use crate::auth::authenticate::authenticate;
use crate::auth::rbac::Attributes;
use crate::catalog::Resource;
use crate::tables::IncludeObject;
use crate::{discovery, subresources};

/// Every request ends here and gets an answer. `certificate` is the user of the connection's client certificate.
pub async fn answer(server: Arc<Server>, certificate: Option<Arc<User>>, request: Request<Incoming>) -> Answer {
    match handle(&server, certificate.as_deref(), request).await {
        Ok(answer) => answer,
        Err(status) => respond::status(&status),
    }
}

async fn handle(server: &Arc<Server>, certificate: Option<&User>, request: Request<Incoming>) -> Result<Answer> {
    let user = authenticate(&server.api, certificate, request.headers())?;
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let call = Call {
        info: RequestInfo::parse(request.method().as_str(), path, query),
        method: request.method().clone(),
        query: Query::parse(query),
        headers: request.headers().clone(),
        user,
    };
    authorize(server, &call)?;
    if !call.info.is_resource {
        return discovery::answer(server, &call).await;
    }
    let Some(resource) = find(server, &call)? else { return Ok(respond::page_not_found()) };
    if !call.info.subresource.is_empty() {
        return subresources::answer(server, &call, &resource, request).await;
    }
    let mut answer = resource_verb(server, &call, &resource, request.into_body()).await?;
    if resource.id == ENDPOINTS {
        let warning = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
        respond::add_warnings(&mut answer, &[warning.to_owned()]);
    }
    Ok(answer)
}

fn authorize(server: &Server, call: &Call) -> Result<()> {
    let info = &call.info;
    let wanted = Attributes {
        verb: info.verb.clone(),
        group: info.group.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        is_resource: info.is_resource,
        path: info.path.clone(),
    };
    if server.api.may(&call.user, &wanted) { Ok(()) } else { Err(wanted.refusal(&call.user)) }
}

/// The resource of a path; `None` when nobody serves its group.
fn find(server: &Server, call: &Call) -> Result<Option<Arc<Resource>>> {
    let info = &call.info;
    if let Some(found) = server.api.catalog.find(&info.group, &info.version, &info.resource) {
        // Namespaces are addressed as if they were inside themselves.
        let inside = !info.namespace.is_empty() && info.resource != "namespaces";
        if inside && !found.namespaced {
            return Err(no_such_resource());
        }
        return Ok(Some(found));
    }
    if server.api.catalog.versions_of(&info.group).is_empty() { Ok(None) } else { Err(no_such_resource()) }
}

/// The form that the client accepts.
pub fn form(call: &Call) -> Result<Form> {
    negotiate(call.header(header::ACCEPT))
}

async fn resource_verb(server: &Server, call: &Call, resource: &Arc<Resource>, sent: Incoming) -> Result<Answer> {
    if !resource.verbs.contains(&call.info.verb.as_str()) || !is_addressed(call, resource) {
        return Err(no_such_method());
    }
    let form = form(call)?;
    let include = IncludeObject::parse(call.query.get("includeObject"))?;
    if call.info.verb == "watch" {
        return watch::watch(server, call, resource, form, include);
    }
    let show = Show { resource, form, include };
    match call.info.verb.as_str() {
        "get" => return read::get(server, call, resource, &show).await,
        "list" => return read::list(server, call, resource, &show).await,
        _ => {}
    }
    let bytes = body::read(sent).await?;
    match call.info.verb.as_str() {
        "create" if resource.virtual_only => subresources::review(server, call, resource, &bytes),
        "create" => write::create(server, call, resource, &show, bytes).await,
        "update" => write::update(server, call, resource, &show, bytes).await,
        "patch" => write::patch(server, call, resource, &show, bytes).await,
        "delete" => remove::delete(server, call, resource, &show, &bytes),
        "deletecollection" => remove::delete_collection(server, call, resource, &show, &bytes),
        _ => Err(Status::internal("a verb that is allowed has no handler")),
    }
}

/// Whether the path has a name and a namespace where the method needs them.
fn is_addressed(call: &Call, resource: &Resource) -> bool {
    let named = !call.info.name.is_empty();
    let placed = !resource.namespaced || !call.info.namespace.is_empty();
    match call.method {
        Method::POST => !named && placed,
        Method::PUT | Method::PATCH => named && placed,
        Method::GET | Method::HEAD | Method::DELETE => !named || placed,
        _ => false,
    }
}
