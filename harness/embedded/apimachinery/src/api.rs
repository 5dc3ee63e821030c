//! What controllers, the scheduler and node agents see of the API server.
//!
//! The calls go through the same admission, validation and defaulting as requests over the network; they are
//! synchronous because everything is in memory. [`Store`] implements them too, without any of that, so that
//! controllers can be tested with nothing else.

use std::sync::Arc;

use serde_json::Value;

use crate::object::{self, Object};
use crate::resource::{DEPLOYMENTS, GroupResource};
use crate::status::{Result, Status};
use crate::store::{Store, Watcher};
use crate::timestamp;

/// Who does something: the user for authorization, the manager for `managedFields`.
#[derive(Clone, Debug)]
pub struct Actor {
    pub user: String,
    pub groups: Vec<String>,
    pub manager: String,
}

impl Actor {
    /// A part of the control plane, allowed everything.
    pub fn system(component: &str) -> Self {
        Self {
            user: format!("system:{component}"),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            manager: component.into(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

/// `DeleteOptions` of the API.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds; `None` takes the object's own default. 0 removes at once.
    pub grace_period: Option<i64>,
    pub propagation: Option<Propagation>,
    pub preconditions: Preconditions,
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Remove now, only if this is still the object that was seen.
    pub fn now(seen: &Value) -> Self {
        Self { grace_period: Some(0), ..Self::of(seen) }
    }

    /// Delete gracefully, only if this is still the object that was seen.
    pub fn of(seen: &Value) -> Self {
        let uid = Some(object::uid(seen).to_owned()).filter(|uid| !uid.is_empty());
        Self { preconditions: Preconditions { uid, resource_version: None }, ..Self::default() }
    }
}

/// The API server, from inside the process. `namespace` is empty for cluster-scoped resources.
pub trait Api: Send + Sync {
    fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Result<Object>;

    /// Objects in order of namespace and name, and the revision to watch from.
    fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> (Vec<Object>, u64);

    fn watch(&self, resource: &GroupResource, namespace: Option<&str>, from: u64) -> Result<Watcher>;

    /// `generateName` is honoured.
    fn create(&self, actor: &Actor, resource: &GroupResource, namespace: &str, object: Value) -> Result<Object>;

    /// Reads, lets `change` edit, and writes, atomically: never conflicts.
    ///
    /// `subresource` says what is taken from what `change` leaves: `""` all but the status; `"status"` the status only (of
    /// Deployments the annotations too); `"binding"` a pod's `spec.nodeName`, once; `"finalize"` a Namespace's `spec`;
    /// `"scale"` the replicas, of which `change` is shown a `Scale` by the API server.
    ///
    /// An error from `change` is returned and nothing is written. `change` must not call the API.
    fn modify(
        &self,
        actor: &Actor,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        change: &mut dyn FnMut(&mut Value) -> Result<()>,
    ) -> Result<Object>;

    /// The object as it is afterwards; gone objects in their last state.
    fn delete(
        &self,
        actor: &Actor,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Object>;
}

/// Conveniences over [`Api`].
pub trait ApiExt: Api {
    /// `get`, with absence as `None`.
    fn find(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<Object> {
        self.get(resource, namespace, name).ok()
    }

    /// Edits the status of an object that is still the one seen (by uid); one that is gone is no error.
    fn modify_status(
        &self,
        actor: &Actor,
        resource: &GroupResource,
        seen: &Value,
        change: &mut dyn FnMut(&mut Value),
    ) -> Result<()> {
        let uid = object::uid(seen).to_owned();
        let (namespace, name) = (object::namespace(seen), object::name(seen));
        let result = self.modify(actor, resource, namespace, name, "status", &mut |current| {
            if object::uid(current) != uid {
                return Err(Status::not_found(resource, object::name(current)));
            }
            change(current);
            Ok(())
        });
        match result {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}

impl<T: Api + ?Sized> ApiExt for T {}

/// The bare store as an API: names, uids, timestamps and graceful pod deletion, but no schemas, admission or
/// finalizers beyond refusing to remove what has one.
impl Api for Arc<Store> {
    fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Result<Object> {
        Store::get(self, resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))
    }

    fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> (Vec<Object>, u64) {
        Store::list(self, resource, namespace)
    }

    fn watch(&self, resource: &GroupResource, namespace: Option<&str>, from: u64) -> Result<Watcher> {
        Store::watch(self, resource, namespace, from)
    }

    fn create(&self, _: &Actor, resource: &GroupResource, namespace: &str, mut object: Value) -> Result<Object> {
        let meta = object::metadata_mut(&mut object);
        if !namespace.is_empty() {
            meta.insert("namespace".into(), namespace.into());
        }
        let uid = uuid::Uuid::new_v4().to_string();
        if let (None, Some(prefix)) = (meta.get("name"), meta.get("generateName").and_then(Value::as_str)) {
            let name = format!("{prefix}{}", &uid[..5]);
            meta.insert("name".into(), name.into());
        }
        meta.insert("uid".into(), uid.into());
        meta.insert("creationTimestamp".into(), timestamp::now().into());
        meta.entry("generation").or_insert_with(|| 1.into());
        Store::create(self, resource, object)
    }

    fn modify(
        &self,
        _: &Actor,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        change: &mut dyn FnMut(&mut Value) -> Result<()>,
    ) -> Result<Object> {
        Store::update(self, resource, namespace, name, |current| {
            let mut changed = Value::clone(current);
            change(&mut changed)?;
            if subresource == "status" {
                let (status, metadata) = (changed["status"].take(), changed["metadata"].take());
                changed = Value::clone(current);
                changed["status"] = status;
                if *resource == DEPLOYMENTS
                    && let Some(annotations) = metadata.get("annotations")
                {
                    changed["metadata"]["annotations"] = annotations.clone();
                }
            } else if changed.get("spec") != current.get("spec") {
                let generation = object::generation(current) + 1;
                object::metadata_mut(&mut changed).insert("generation".into(), generation.into());
            }
            Ok(changed)
        })
    }

    fn delete(
        &self,
        actor: &Actor,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Object> {
        let current = Api::get(self, resource, namespace, name)?;
        if options.preconditions.uid.as_deref().is_some_and(|uid| uid != object::uid(&current)) {
            return Err(Status::conflict(resource, name, "the UID in the precondition does not match"));
        }
        let graceful = resource.resource == "pods" && options.grace_period != Some(0);
        if graceful || object::finalizers(&current).next().is_some() {
            return self.modify(actor, resource, namespace, name, "", &mut |o| {
                let meta = object::metadata_mut(o);
                meta.entry("deletionTimestamp").or_insert_with(|| timestamp::now().into());
                Ok(())
            });
        }
        Store::delete(self, resource, namespace, name, |_| Ok(()))
    }
}
