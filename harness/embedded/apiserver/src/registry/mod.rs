//! The write pipeline: what happens between a request, from the network or from inside, and the store.
//!
//! One lock serializes writes, so that admission may read other objects (quotas, namespaces, budgets) and decide
//! atomically with the write. Reads go to the store and never wait for it.

mod allocation;
mod apply;
mod create;
mod definitions;
mod delete;
mod evict;
mod metadata;
mod platform;
mod scale;
mod strategy;
mod update;
mod workloads;

use std::sync::Arc;

use embedded_apimachinery::{Actor, Api, DeleteOptions, GroupResource, Object, Result, Status, Store, Watcher};
use parking_lot::Mutex;
use serde_json::Value;

use crate::auth::bootstrap;
use crate::auth::tokens::TokenKey;
use crate::catalog::{Catalog, Resource, custom};
use embedded_apimachinery::resource::CUSTOM_RESOURCE_DEFINITIONS;

pub use metadata::random_suffix;
pub use scale::scale_of;

/// Settings that differ between clusters.
#[derive(Clone, Debug)]
pub struct Options {
    /// First two octets of the range of ClusterIPs, a /16.
    pub service_network: [u8; 2],
}

impl Default for Options {
    fn default() -> Self {
        Self { service_network: [10, 96] }
    }
}

/// How a write is done.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Everything but the write.
    pub dry_run: bool,
    /// How field ownership is recorded; `None` records nothing.
    pub manager: Option<String>,
}

/// The API server: everything but its network side, which is [`crate::server`].
pub struct ApiServer {
    pub(crate) store: Arc<Store>,
    pub(crate) catalog: Catalog,
    pub(crate) options: Options,
    pub(crate) tokens: TokenKey,
    writes: Mutex<()>,
}

impl ApiServer {
    /// Creates what every cluster starts with: its namespaces, default roles and priority classes.
    pub fn new(store: Arc<Store>, options: Options) -> Arc<Self> {
        let (catalog, tokens) = (Catalog::default(), TokenKey::default());
        let server = Self { store, catalog, options, tokens, writes: Mutex::new(()) };
        server.refresh_custom_resources();
        bootstrap::run(&server);
        Arc::new(server)
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The version in which a resource is stored; 404 for a resource that nobody defined.
    pub(crate) fn stored(&self, id: &GroupResource) -> Result<Arc<Resource>> {
        self.catalog.stored(id).ok_or_else(|| {
            Status::new(404, "NotFound", "the server could not find the requested resource")
                .with_details(serde_json::json!({}))
        })
    }

    pub(crate) fn find(&self, id: &GroupResource, namespace: &str, name: &str) -> Option<Object> {
        Store::get(&self.store, id, namespace, name)
    }

    /// Serves what the stored CustomResourceDefinitions say. Called with the write lock held.
    fn refresh_custom_resources(&self) {
        let (definitions, _) = Store::list(&self.store, &CUSTOM_RESOURCE_DEFINITIONS, None);
        self.catalog.set_custom(definitions.iter().flat_map(|crd| custom::resources_of(crd)).collect());
    }

    fn written(&self, id: &GroupResource) {
        if *id == CUSTOM_RESOURCE_DEFINITIONS {
            self.refresh_custom_resources();
        }
    }
}

impl Api for ApiServer {
    fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Result<Object> {
        self.find(resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))
    }

    fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> (Vec<Object>, u64) {
        Store::list(&self.store, resource, namespace)
    }

    fn watch(&self, resource: &GroupResource, namespace: Option<&str>, from: u64) -> Result<Watcher> {
        Store::watch(&self.store, resource, namespace, from)
    }

    fn create(&self, actor: &Actor, resource: &GroupResource, namespace: &str, object: Value) -> Result<Object> {
        let resource = self.stored(resource)?;
        let options = WriteOptions { dry_run: false, manager: Some(actor.manager.clone()) };
        self.create_object(&resource, namespace, object, &options)
    }

    fn modify(
        &self,
        actor: &Actor,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        change: &mut dyn FnMut(&mut Value) -> Result<()>,
    ) -> Result<Object> {
        let resource = self.stored(resource)?;
        let options = WriteOptions { dry_run: false, manager: Some(actor.manager.clone()) };
        self.update_object(&resource, namespace, name, subresource, &options, &mut |current| {
            let mut changed = match subresource {
                "scale" => scale_of(&resource, current)?,
                _ => Value::clone(current),
            };
            change(&mut changed)?;
            Ok(changed)
        })
    }

    fn delete(
        &self,
        _: &Actor,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Object> {
        let resource = self.stored(resource)?;
        self.delete_object(&resource, namespace, name, options).map(|deleted| deleted.object)
    }
}
