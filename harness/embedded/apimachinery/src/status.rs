//! Kubernetes `Status` errors.
//!
//! Constructors give the reason, code and wording of k8s.io/apimachinery/pkg/api/errors, because clients and people
//! match on them.

use serde_json::{Value, json};

use crate::resource::GroupResource;

pub type Result<T, E = Status> = std::result::Result<T, E>;

/// A failure as the API reports it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// `details` of the Status, `null` when there are none.
    pub details: Value,
}

impl Status {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    pub fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).with_details(details(resource, name))
    }

    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"))
            .with_details(details(resource, name))
    }

    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"))
            .with_details(details(resource, name))
    }

    /// The conflict of an update that carries a stale `resourceVersion`.
    pub fn stale(resource: &GroupResource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let subject = if name.is_empty() { resource.to_string() } else { format!("{resource} \"{name}\"") };
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}")).with_details(details(resource, name))
    }

    /// 422 with one cause per problem. `causes` are `{reason, message, field}` objects.
    ///
    /// `kind` is the kind with its group, as in `Deployment.apps`, in the message; `details.kind` has the bare kind.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Value>) -> Self {
        let texts: Vec<String> = causes
            .iter()
            .map(|c| format!("{}: {}", c["field"].as_str().unwrap_or(""), c["message"].as_str().unwrap_or("")))
            .collect();
        let problems = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let full = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut details = json!({"name": name, "group": group, "kind": kind, "causes": causes});
        drop_empty(&mut details);
        Self::new(422, "Invalid", format!("{full} \"{name}\" is invalid: {problems}")).with_details(details)
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::new(405, "MethodNotAllowed", message)
    }

    /// The version asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub fn too_many_requests(message: impl Into<String>) -> Self {
        Self::new(429, "TooManyRequests", message)
    }

    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// The `Status` object that goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            value["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            value["details"] = self.details.clone();
        }
        value["code"] = self.code.into();
        value
    }
}

fn details(resource: &GroupResource, name: &str) -> Value {
    let mut details = json!({"name": name, "group": resource.group, "kind": resource.resource});
    drop_empty(&mut details);
    details
}

fn drop_empty(details: &mut Value) {
    if let Value::Object(map) = details {
        map.retain(|_, v| v.as_str() != Some(""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{DEPLOYMENTS, PODS};

    #[test]
    fn wording_is_that_of_kubernetes() {
        assert_eq!(Status::not_found(&PODS, "a").message, "pods \"a\" not found");
        assert_eq!(
            Status::stale(&DEPLOYMENTS, "d").message,
            "Operation cannot be fulfilled on deployments.apps \"d\": the object has been modified; please apply your \
             changes to the latest version and try again"
        );
    }

    #[test]
    fn several_causes_are_bracketed() {
        let cause = |field: &str| json!({"reason": "FieldValueRequired", "message": "Required value", "field": field});
        let status = Status::invalid("apps", "Deployment", "d", vec![cause("spec.a"), cause("spec.b")]);
        assert_eq!(
            status.message,
            "Deployment.apps \"d\" is invalid: [spec.a: Required value, spec.b: Required value]"
        );
    }
}
