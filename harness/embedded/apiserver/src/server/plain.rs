//! Subresources that are read and written as parts of their object.

use std::sync::Arc;

use embedded_apimachinery::Result;
use http::Request;
use hyper::body::Incoming;

use super::respond::{Answer, no_such_method};
use super::show::Show;
use super::{Call, Server, body, read, router, write};
use crate::catalog::Resource;
use crate::tables::IncludeObject;

pub use super::write::write_scale;

pub async fn answer(
    server: &Arc<Server>,
    call: &Call,
    resource: &Arc<Resource>,
    request: Request<Incoming>,
) -> Result<Answer> {
    let include = IncludeObject::parse(call.query.get("includeObject"))?;
    let show = Show { resource, form: router::form(call)?, include };
    match call.info.verb.as_str() {
        "get" => read::get(server, call, resource, &show).await,
        "update" => write::update(server, call, resource, &show, body::read(request.into_body()).await?).await,
        "patch" => write::patch(server, call, resource, &show, body::read(request.into_body()).await?).await,
        _ => Err(no_such_method()),
    }
}
