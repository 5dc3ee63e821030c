//! Server-side apply: creates or changes, whichever it takes.

use embedded_apimachinery::{Object, Result, Status};
use serde_json::Value;

use super::{ApiServer, WriteOptions};
use crate::catalog::Resource;

impl ApiServer {
    /// Stores what `merge` makes of the live object, or of none. Says whether the object is new.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn apply_object(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        options: &WriteOptions,
        merge: &mut dyn FnMut(Option<&Object>) -> Result<Value>,
    ) -> Result<(Object, bool)> {
        let _writing = self.writes.lock();
        if let Some(live) = self.find(&resource.id, namespace, name) {
            let merged = merge(Some(&live))?;
            let stored = self.write_update(resource, &live, merged, subresource, options)?;
            return Ok((stored, false));
        }
        if !subresource.is_empty() {
            return Err(Status::not_found(&resource.id, name));
        }
        let mut merged = merge(None)?;
        embedded_apimachinery::object::metadata_mut(&mut merged).insert("name".into(), name.into());
        self.create_locked(resource, namespace, merged, options).map(|created| (created, true))
    }
}
