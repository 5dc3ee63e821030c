//! The `eviction` subresource: the request taken apart.

use bytes::Bytes;
use embedded_apimachinery::{Result, Status, object};
use embedded_schema::{FieldValidation, decode};
use serde_json::{Value, json};

use super::{created, parse};
use crate::schema;
use crate::server::query::WriteQuery;
use crate::server::remove::to_options;
use crate::server::respond::{self, Answer};
use crate::server::{Call, Server};

pub fn evict(server: &Server, call: &Call, bytes: &Bytes) -> Result<Answer> {
    let query = WriteQuery::parse(&call.query, "CreateOptions")?;
    let eviction = read(parse(bytes)?)?;
    let name = call.info.name.as_str();
    if object::name(&eviction) != name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let sent = eviction.get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
    let mut options = to_options(&sent)?;
    options.dry_run |= query.dry_run;
    server.api.evict(&call.info.namespace, name, &options)?;
    Ok(respond::json(201, &created()))
}

/// The version that was removed is still understood.
fn read(mut sent: Value) -> Result<Value> {
    if object::api_version(&sent) == "policy/v1beta1" {
        sent["apiVersion"] = "policy/v1".into();
    }
    match schema::builtin("policy", "v1", "Eviction") {
        Some(schema) => Ok(decode::decode_value(&schema, sent, FieldValidation::Ignore)?.object),
        None => Ok(sent),
    }
}
