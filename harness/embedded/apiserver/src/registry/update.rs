//! Changing objects, their status and their other subresources.

use embedded_apimachinery::resource::NAMESPACES;
use embedded_apimachinery::{Object, Result, Status, object};
use serde_json::Value;

use super::create::set_type;
use super::{ApiServer, WriteOptions, allocation, definitions, metadata, scale, strategy};
use crate::admission::{self, Operation, Request};
use crate::catalog::Resource;
use crate::schema;

impl ApiServer {
    /// Stores what `change` makes of the current object, after admission, as far as the subresource may write it.
    ///
    /// For `scale`, `change` gives a `Scale`; the object that is scaled is returned.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn update_object(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        options: &WriteOptions,
        change: &mut dyn FnMut(&Object) -> Result<Value>,
    ) -> Result<Object> {
        let _writing = self.writes.lock();
        let Some(current) = self.find(&resource.id, namespace, name) else {
            return Err(Status::not_found(&resource.id, name));
        };
        let changed = change(&current)?;
        self.write_update(resource, &current, changed, subresource, options)
    }

    pub(super) fn write_update(
        &self,
        resource: &Resource,
        current: &Object,
        changed: Value,
        subresource: &str,
        options: &WriteOptions,
    ) -> Result<Object> {
        let mut changed = match subresource {
            "scale" => scale::write_scale(resource, current, &changed)?,
            _ => changed,
        };
        set_type(resource, &mut changed);
        metadata::for_update(resource, current, &mut changed)?;
        let mut changed = strategy::prepare_update(resource, subresource, current, changed)?;
        let request = Request {
            server: self,
            resource,
            namespace: object::namespace(current),
            operation: Operation::Update { subresource },
        };
        allocation::settle(resource, current, &mut changed);
        schema::default(resource, &mut changed);
        admission::mutate(&request, &mut changed)?;
        definitions::complete(resource, &mut changed);
        definitions::check(resource, &changed)?;
        strategy::complete_update(resource, subresource, current, &mut changed);
        schema::validate_update(resource, subresource, current, &changed)?;
        if subresource.is_empty() {
            self.allocate(resource, Some(current), &mut changed)?;
        }
        let charges = admission::validate(&request, &changed)?;
        if let Some(manager) = &options.manager {
            schema::track(resource, subresource, manager, Some(current), &mut changed);
        }
        metadata::tidy(object::metadata_mut(&mut changed));
        if options.dry_run {
            return Ok(Object::new(changed));
        }
        let stored = if is_finished(resource, &changed) {
            self.store.delete(&resource.id, object::namespace(current), object::name(current), |_| Ok(()))?;
            Object::new(changed)
        } else {
            self.store.update(&resource.id, object::namespace(current), object::name(current), |_| Ok(changed))?
        };
        admission::commit(self, charges);
        self.written(&resource.id);
        Ok(stored)
    }
}

/// An object that is being deleted goes when nothing holds it any more.
fn is_finished(resource: &Resource, object: &Value) -> bool {
    let graceful = object::int_at(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) > 0;
    let held = object::finalizers(object).next().is_some()
        || (resource.id == NAMESPACES && !object::list_at(object, "/spec/finalizers").is_empty());
    object::is_deleting(object) && !graceful && !held
}
