//! What resources there are: names, verbs, subresources and how their objects behave.
//!
//! Built-in ones come from [`builtin`]; custom ones are added and removed as CustomResourceDefinitions come and go.

mod builtin;
pub mod custom;

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use embedded_apimachinery::GroupResource;
use embedded_apimachinery::resource::CORE_EVENTS;
use embedded_schema::KindSchema;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

pub use custom::CustomVersion;

fn stored_id(id: &GroupResource) -> &GroupResource {
    static EVENTS: GroupResource = CORE_EVENTS;
    if id.group == "events.k8s.io" && id.resource == "events" { &EVENTS } else { id }
}

/// All that a stored, writable resource offers.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Namespaces cannot be deleted in bulk.
const NAMESPACE_VERBS: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

/// One resource in one version.
#[derive(Clone, Debug)]
pub struct Resource {
    pub id: GroupResource,
    pub version: String,
    pub kind: String,
    pub singular: String,
    pub namespaced: bool,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub verbs: &'static [&'static str],
    pub subresources: Vec<Subresource>,
    /// Only answers `create` and stores nothing: reviews and bindings.
    pub virtual_only: bool,
    /// Objects count changes of their `spec` in `metadata.generation`.
    pub has_generation: bool,
    pub schema: Option<KindSchema>,
    /// Set for custom resources.
    pub custom: Option<Arc<CustomVersion>>,
}

/// A subresource as discovery lists it.
#[derive(Clone, Debug)]
pub struct Subresource {
    pub name: &'static str,
    /// Group and version when they differ from the parent's.
    pub group_version: Option<(&'static str, &'static str)>,
    pub kind: String,
    pub verbs: &'static [&'static str],
}

impl Resource {
    pub fn api_version(&self) -> String {
        group_version(&self.id.group, &self.version)
    }

    /// Where objects are stored: events are the same in both of their groups.
    pub fn stored_id(&self) -> &GroupResource {
        stored_id(&self.id)
    }

    pub fn list_kind(&self) -> String {
        match &self.custom {
            Some(custom) => custom.list_kind.clone(),
            None => format!("{}List", self.kind),
        }
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// What discovery calls `storageVersionHash`: stable for a kind and opaque to clients.
    pub fn storage_version_hash(&self) -> String {
        let digest = Sha256::digest(format!("{}/{}/{}", self.id.group, self.version, self.kind));
        STANDARD.encode(&digest[..8])
    }
}

/// `group/version`, or the bare version for the core group.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Splits `group/version`.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Every resource that is served.
pub struct Catalog {
    builtin: Vec<Arc<Resource>>,
    custom: RwLock<Arc<Vec<Arc<Resource>>>>,
    by_path: HashMap<(String, String, String), Arc<Resource>>,
}

impl Default for Catalog {
    fn default() -> Self {
        let builtin: Vec<_> = builtin::resources().into_iter().map(Arc::new).collect();
        let by_path = builtin
            .iter()
            .map(|r| ((r.id.group.to_string(), r.version.clone(), r.id.resource.to_string()), r.clone()))
            .collect();
        Self { builtin, custom: RwLock::default(), by_path }
    }
}

impl Catalog {
    pub fn find(&self, group: &str, version: &str, resource: &str) -> Option<Arc<Resource>> {
        let key = (group.to_owned(), version.to_owned(), resource.to_owned());
        if let Some(found) = self.by_path.get(&key) {
            return Some(found.clone());
        }
        let custom = self.custom.read();
        custom.iter().find(|r| r.id.group == group && r.version == version && r.id.resource == resource).cloned()
    }

    /// The version in which objects of a resource are stored.
    pub fn stored(&self, id: &GroupResource) -> Option<Arc<Resource>> {
        let id = stored_id(id);
        let builtin = self.builtin.iter().find(|r| r.id == *id).cloned();
        builtin.or_else(|| self.custom.read().iter().find(|r| r.id == *id && r.is_storage_version()).cloned())
    }

    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.all().into_iter().find(|r| r.kind == kind && r.api_version() == api_version)
    }

    /// Whether a kind of this name exists in a version of a group.
    pub fn is_registered(&self, api_version: &str, kind: &str) -> bool {
        self.by_kind(api_version, kind).is_some()
    }

    /// Built-in ones first, custom ones in order of their definitions.
    pub fn all(&self) -> Vec<Arc<Resource>> {
        self.builtin.iter().chain(self.custom.read().iter()).cloned().collect()
    }

    /// Versions of a group in order of preference, and their resources.
    pub fn versions_of(&self, group: &str) -> Vec<(String, Vec<Arc<Resource>>)> {
        let mut versions: Vec<(String, Vec<Arc<Resource>>)> = Vec::new();
        for resource in self.all().into_iter().filter(|r| r.id.group == group) {
            match versions.iter_mut().find(|(version, _)| *version == resource.version) {
                Some((_, resources)) => resources.push(resource),
                None => versions.push((resource.version.clone(), vec![resource])),
            }
        }
        versions
    }

    /// Named groups in the order in which discovery lists them.
    pub fn groups(&self) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        for resource in self.all() {
            if !resource.id.group.is_empty() && !groups.iter().any(|g| *g == resource.id.group) {
                groups.push(resource.id.group.to_string());
            }
        }
        groups
    }

    /// Replaces what is served for all CustomResourceDefinitions.
    pub fn set_custom(&self, resources: Vec<Resource>) {
        *self.custom.write() = Arc::new(resources.into_iter().map(Arc::new).collect());
    }
}

impl Resource {
    fn is_storage_version(&self) -> bool {
        self.custom.as_ref().is_none_or(|custom| custom.storage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::resource::{CONFIG_MAPS, HORIZONTAL_POD_AUTOSCALERS};

    #[test]
    fn storage_version_hashes_are_those_of_kubernetes() {
        let catalog = Catalog::default();
        assert_eq!(catalog.stored(&CONFIG_MAPS).unwrap().storage_version_hash(), "qFsyl6wFWjQ=");
    }

    #[test]
    fn the_first_version_of_a_resource_is_the_stored_one() {
        let catalog = Catalog::default();
        assert_eq!(catalog.stored(&HORIZONTAL_POD_AUTOSCALERS).unwrap().version, "v2");
        assert!(catalog.find("autoscaling", "v1", "horizontalpodautoscalers").is_some());
    }

    #[test]
    fn unknown_versions_are_not_found() {
        assert!(Catalog::default().find("apps", "v2", "deployments").is_none());
    }
}
