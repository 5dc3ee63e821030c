//! Where writes meet the schemas: canonical form, defaults, validation, field ownership.

use embedded_apimachinery::{Result, Status, object, timestamp};
use embedded_schema::managed::{self, Manager};
use embedded_schema::{Gvk, KindSchema, Schemas};
use serde_json::Value;

use crate::catalog::Resource;

/// The schema of a built-in kind; kinds that OpenAPI does not publish have none and are stored as they come.
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<KindSchema> {
    Schemas::builtin().kind(&Gvk::new(group, version, kind))
}

/// Canonical form and defaults.
pub fn default(resource: &Resource, object: &mut Value) {
    if let Some(schema) = &resource.schema {
        schema.canonicalize(object);
        schema.default_object(object);
    }
}

pub fn validate_create(resource: &Resource, object: &Value) -> Result<()> {
    let causes = resource.schema.as_ref().map(|s| s.validate_create(object)).unwrap_or_default();
    refuse(resource, object, causes)
}

pub fn validate_update(resource: &Resource, subresource: &str, old: &Value, new: &Value) -> Result<()> {
    // These write fields that an ordinary update may not, and nothing else.
    if matches!(subresource, "status" | "binding" | "finalize" | "ephemeralcontainers" | "resize") {
        return Ok(());
    }
    let causes = resource.schema.as_ref().map(|s| s.validate_update(new, old)).unwrap_or_default();
    refuse(resource, new, causes)
}

fn refuse(resource: &Resource, object: &Value, causes: Vec<Value>) -> Result<()> {
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid(&resource.id.group, &resource.kind, object::name(object), causes)),
    }
}

/// Kinds whose fields nobody shares: recording owners would cost more than the objects.
const UNTRACKED: [&str; 3] = ["endpointslices", "events", "leases"];

/// Records which fields `manager` set in making `new` out of `live`, or anew.
pub fn track(resource: &Resource, subresource: &str, manager: &str, live: Option<&Value>, new: &mut Value) {
    if let Some(schema) = resource.schema.as_ref().filter(|_| !UNTRACKED.contains(&&*resource.id.resource)) {
        let now = timestamp::now();
        managed::track_update(schema, live, new, Manager { name: manager, subresource, now: &now });
    }
}
