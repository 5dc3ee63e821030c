//! What a controller knows of the cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::object;
use crate::{GroupResource, Object, ObjectKey};
use serde_json::Value;

/// A change of one object. One of the two is there at least.
#[derive(Clone, Debug)]
pub struct Change {
    pub resource: GroupResource,
    pub before: Option<Object>,
    pub after: Option<Object>,
}

impl Change {
    /// The object as it is, or was if it is gone.
    pub fn object(&self) -> &Value {
        static NOTHING: Value = Value::Null;
        self.after.as_deref().or(self.before.as_deref()).unwrap_or(&NOTHING)
    }

    pub fn key(&self) -> ObjectKey {
        ObjectKey::of(self.object())
    }

    /// Names of the controllers of this kind that own the object now or did before.
    pub fn owners(&self, kind: &str) -> Vec<ObjectKey> {
        let both = [self.before.as_deref(), self.after.as_deref()];
        let mut keys: Vec<ObjectKey> = both.into_iter().flatten().filter_map(|o| owner_key(o, kind)).collect();
        keys.dedup();
        keys
    }
}

/// The key of the controller of `object` if it is of this kind.
pub fn owner_key(object: &Value, kind: &str) -> Option<ObjectKey> {
    let owner = object::controller_ref(object).filter(|r| object::str_at(r, "/kind") == kind)?;
    Some(ObjectKey::new(object::namespace(object), object::str_at(owner, "/name")))
}

/// Objects of the watched resources, indexed by name and by controller.
#[derive(Debug, Default)]
pub struct View {
    caches: HashMap<GroupResource, Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    objects: BTreeMap<ObjectKey, Object>,
    by_controller: HashMap<String, BTreeSet<ObjectKey>>,
}

impl View {
    /// A view made by hand.
    pub fn of(objects: impl IntoIterator<Item = (GroupResource, Value)>) -> Self {
        let mut view = Self::default();
        for (resource, object) in objects {
            view.put(&resource, Object::new(object));
        }
        view
    }

    pub fn get(&self, resource: &GroupResource, key: &ObjectKey) -> Option<&Object> {
        self.caches.get(resource)?.objects.get(key)
    }

    /// Every object of a resource, in order of namespace and name.
    pub fn all<'a>(&'a self, resource: &GroupResource) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.caches.get(resource).into_iter().flat_map(|cache| cache.objects.values())
    }

    /// The objects of a namespace, in order of name.
    pub fn list<'a>(
        &'a self,
        resource: &GroupResource,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Object> + use<'a> {
        let start = ObjectKey::new(namespace, "");
        let cache = self.caches.get(resource).into_iter();
        cache
            .flat_map(move |cache| cache.objects.range(start.clone()..))
            .take_while(move |(key, _)| key.namespace == namespace)
            .map(|(_, object)| object)
    }

    /// Objects whose controller has this uid, in order of name.
    pub fn controlled_by<'a>(
        &'a self,
        resource: &GroupResource,
        uid: &str,
    ) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.indexed(resource, uid)
    }

    /// Objects of a namespace that no controller owns, in order of name.
    pub fn orphans<'a>(
        &'a self,
        resource: &GroupResource,
        namespace: &str,
    ) -> impl Iterator<Item = &'a Object> + use<'a> {
        self.indexed(resource, &orphanage(namespace))
    }

    fn indexed<'a>(&'a self, resource: &GroupResource, index: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
        let cache = self.caches.get(resource);
        let keys = cache.and_then(|cache| cache.by_controller.get(index));
        let objects = cache.map(|cache| &cache.objects);
        keys.into_iter().flatten().filter_map(move |key| objects?.get(key))
    }

    /// Names every key of a resource, for comparison with a fresh list.
    pub(crate) fn keys_of(&self, resource: &GroupResource) -> Vec<ObjectKey> {
        self.caches.get(resource).map_or_else(Vec::new, |cache| cache.objects.keys().cloned().collect())
    }

    /// Stores an object; returns what it replaces.
    pub(crate) fn put(&mut self, resource: &GroupResource, object: Object) -> Option<Object> {
        let cache = self.caches.entry(resource.clone()).or_default();
        let key = ObjectKey::of(&object);
        let index = index_of(&object);
        let before = cache.objects.insert(key.clone(), object);
        let old_index = before.as_deref().map(index_of);
        if old_index.as_ref() != Some(&index) {
            if let Some(old) = old_index {
                cache.unindex(&old, &key);
            }
            cache.by_controller.entry(index).or_default().insert(key);
        }
        before
    }

    pub(crate) fn remove(&mut self, resource: &GroupResource, key: &ObjectKey) -> Option<Object> {
        let cache = self.caches.get_mut(resource)?;
        let before = cache.objects.remove(key)?;
        cache.unindex(&index_of(&before), key);
        Some(before)
    }
}

impl Cache {
    fn unindex(&mut self, index: &str, key: &ObjectKey) {
        if let Some(keys) = self.by_controller.get_mut(index) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_controller.remove(index);
            }
        }
    }
}

fn index_of(object: &Value) -> String {
    match object::controller_ref(object) {
        Some(owner) => object::str_at(owner, "/uid").to_owned(),
        None => orphanage(object::namespace(object)),
    }
}

/// The index of what nobody owns in a namespace; a slash never occurs in a uid.
fn orphanage(namespace: &str) -> String {
    format!("/{namespace}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::PODS;
    use serde_json::json;

    fn pod(name: &str, owner: Option<&str>) -> Object {
        let mut pod = json!({"metadata": {"name": name, "namespace": "ns"}});
        if let Some(uid) = owner {
            pod["metadata"]["ownerReferences"] = json!([{"uid": uid, "controller": true}]);
        }
        Object::new(pod)
    }

    fn names<'a>(objects: impl Iterator<Item = &'a Object>) -> Vec<&'a str> {
        objects.map(|o| object::name(o)).collect()
    }

    #[test]
    fn objects_are_found_by_their_controller_as_it_changes() {
        let mut view = View::default();
        view.put(&PODS, pod("a", None));
        view.put(&PODS, pod("b", Some("u1")));
        assert_eq!(names(view.orphans(&PODS, "ns")), ["a"]);
        assert_eq!(names(view.controlled_by(&PODS, "u1")), ["b"]);

        view.put(&PODS, pod("a", Some("u1")));
        view.put(&PODS, pod("b", Some("u2")));
        assert_eq!(names(view.orphans(&PODS, "ns")), [""; 0]);
        assert_eq!(names(view.controlled_by(&PODS, "u1")), ["a"]);

        view.remove(&PODS, &ObjectKey::new("ns", "a"));
        assert_eq!(names(view.controlled_by(&PODS, "u1")), [""; 0]);
        assert_eq!(names(view.list(&PODS, "ns")), ["b"]);
    }
}
