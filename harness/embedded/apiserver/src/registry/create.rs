//! Creating objects.

use embedded_apimachinery::{Object, Result, Status, object};
use serde_json::{Value, json};

use super::{ApiServer, WriteOptions, definitions, metadata, strategy};
use crate::admission::{self, Operation, Request};
use crate::catalog::Resource;
use crate::schema;

impl ApiServer {
    /// The object as it was stored; with `dry_run` as it would have been.
    pub(crate) fn create_object(
        &self,
        resource: &Resource,
        namespace: &str,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Object> {
        let _writing = self.writes.lock();
        self.create_locked(resource, namespace, object, options)
    }

    pub(super) fn create_locked(
        &self,
        resource: &Resource,
        namespace: &str,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Object> {
        set_type(resource, &mut object);
        metadata::for_create(resource, namespace, &mut object)?;
        let request = Request { server: self, resource, namespace, operation: Operation::Create };
        admission::namespace_lifecycle(&request, &object)?;
        strategy::prepare_create(resource, &mut object);
        schema::default(resource, &mut object);
        admission::mutate(&request, &mut object)?;
        strategy::complete_create(resource, &mut object);
        definitions::complete(resource, &mut object);
        definitions::check(resource, &object)?;
        schema::validate_create(resource, &object)?;
        let name = object::name(&object).to_owned();
        if self.find(&resource.id, namespace, &name).is_some() {
            return Err(Status::already_exists(&resource.id, &name));
        }
        self.allocate(resource, None, &mut object)?;
        let charges = admission::validate(&request, &object)?;
        if let Some(manager) = &options.manager {
            schema::track(resource, "", manager, None, &mut object);
        }
        // The store fills in the version, at the place where Kubernetes shows it.
        object::metadata_mut(&mut object).insert("resourceVersion".into(), "".into());
        metadata::tidy(object::metadata_mut(&mut object));
        if options.dry_run {
            object::metadata_mut(&mut object).shift_remove("resourceVersion");
            return Ok(Object::new(object));
        }
        let created = self.store.create(&resource.id, object)?;
        admission::commit(self, charges);
        self.written(&resource.id);
        Ok(created)
    }
}

/// Puts `kind` and `apiVersion` first, as Kubernetes shows them.
pub(super) fn set_type(resource: &Resource, object: &mut Value) {
    let Value::Object(fields) = object else {
        *object = json!({"kind": resource.kind, "apiVersion": resource.api_version()});
        return;
    };
    fields.shift_remove("kind");
    fields.shift_remove("apiVersion");
    let rest = std::mem::take(fields);
    fields.insert("kind".into(), resource.kind.clone().into());
    fields.insert("apiVersion".into(), resource.api_version().into());
    fields.extend(rest);
}
