//! Writing statuses the way Kubernetes does.

use embedded_apimachinery::{GroupResource, Object};
use serde_json::Value;

use crate::runtime::Action;

/// The write of a status, if it says anything new.
pub fn set_status(resource: GroupResource, object: &Object, status: Value) -> Option<Action> {
    (object.get("status") != Some(&status)).then(|| Action::set_status(resource, object, status))
}

/// Leaves out counters that are zero (`omitempty` in the API's types).
pub fn drop_zeros(status: &mut Value) {
    if let Value::Object(map) = status {
        map.retain(|_, v| v.as_i64() != Some(0));
    }
}
