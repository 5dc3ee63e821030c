//! Nothing is created in a namespace that does not exist or is going away.

use embedded_apimachinery::resource::NAMESPACES;
use embedded_apimachinery::{Result, Status, object};
use serde_json::{Value, json};

use super::Request;

pub fn namespace_lifecycle(request: &Request<'_>, object: &Value) -> Result<()> {
    if !request.resource.namespaced {
        return Ok(());
    }
    let name = request.namespace;
    let Some(namespace) = request.server.find(&NAMESPACES, "", name) else {
        return Err(Status::not_found(&NAMESPACES, name));
    };
    if !object::is_deleting(&namespace) {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut refused = Status::forbidden(&request.resource.id, object::name(object), &why);
    refused.details["causes"] = json!([{"reason": "NamespaceTerminating",
        "message": format!("namespace {name} is being terminated"), "field": "metadata.namespace"}]);
    Err(refused)
}
