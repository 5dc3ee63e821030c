//! The log of revisions: every write gets the next revision, watchers follow the log.
//!
//! One lock, objects as shared JSON values. The log keeps the newest [`LOG_LIMIT`] writes; who asks for older ones gets
//! `410 Expired` and lists again, as with a compacted etcd.
//!
//! The store knows nothing of schemas, admission or finalizers: that is the API server's business.

mod log;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;

use log::Log;

use crate::object::{self, Object, ObjectKey};
use crate::resource::GroupResource;
use crate::status::{Result, Status};

/// How many writes the log keeps for watchers that resume.
pub const LOG_LIMIT: usize = 4096;

/// Revisions start here, so that small numbers are always "too old", as on a cluster that has compacted.
const FIRST_REVISION: u64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
}

/// One write as watchers see it.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    pub revision: u64,
    pub kind: EventType,
    /// The object after the write. For deletions: its last state with the revision of the deletion.
    pub object: Object,
    /// The object before the write, to tell objects that enter or leave a selector.
    pub previous: Option<Object>,
}

struct Inner {
    revision: u64,
    objects: HashMap<GroupResource, BTreeMap<ObjectKey, Object>>,
    log: Log,
}

/// See the module's description.
pub struct Store {
    inner: RwLock<Inner>,
    revision: watch::Sender<u64>,
}

impl Default for Store {
    fn default() -> Self {
        let inner = Inner { revision: FIRST_REVISION, objects: HashMap::new(), log: Log::new(FIRST_REVISION) };
        Self { inner: RwLock::new(inner), revision: watch::Sender::new(FIRST_REVISION) }
    }
}

impl Store {
    /// The revision of the newest write.
    pub fn revision(&self) -> u64 {
        self.inner.read().revision
    }

    /// The newest revision that watches can no longer start from.
    pub fn compacted(&self) -> u64 {
        self.inner.read().log.compacted
    }

    pub fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<Object> {
        let key = ObjectKey::new(namespace, name);
        self.inner.read().objects.get(resource)?.get(&key).cloned()
    }

    /// Objects in order of namespace and name, with the revision at which this list is true.
    pub fn list(&self, resource: &GroupResource, namespace: Option<&str>) -> (Vec<Object>, u64) {
        let inner = self.inner.read();
        let objects = inner.objects.get(resource).map_or_else(Vec::new, |objects| match namespace {
            None => objects.values().cloned().collect(),
            Some(ns) => objects
                .range(ObjectKey::new(ns, "")..)
                .take_while(|(key, _)| key.namespace == ns)
                .map(|(_, object)| object.clone())
                .collect(),
        });
        (objects, inner.revision)
    }

    /// Every resource that has ever held an object.
    pub fn resources(&self) -> Vec<GroupResource> {
        self.inner.read().objects.keys().cloned().collect()
    }

    /// Stores a new object and stamps its `resourceVersion`. The object must carry its name (and namespace).
    pub fn create(&self, resource: &GroupResource, object: Value) -> Result<Object> {
        let mut inner = self.inner.write();
        let key = ObjectKey::of(&object);
        if inner.objects.get(resource).is_some_and(|objects| objects.contains_key(&key)) {
            return Err(Status::already_exists(resource, &key.name));
        }
        Ok(self.write(&mut inner, resource, key, object, EventType::Added))
    }

    /// Replaces an object by what `change` makes of it, atomically.
    ///
    /// A result equal to what is stored writes nothing and returns the stored object, as in Kubernetes. `change` runs
    /// under the store's lock: it must not call the store.
    pub fn update(
        &self,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&Object) -> Result<Value>,
    ) -> Result<Object> {
        let mut inner = self.inner.write();
        let key = ObjectKey::new(namespace, name);
        let current = inner.objects.get(resource).and_then(|objects| objects.get(&key)).cloned();
        let Some(current) = current else { return Err(Status::not_found(resource, name)) };
        let mut changed = change(&current)?;
        let version = current["metadata"]["resourceVersion"].clone();
        object::metadata_mut(&mut changed).insert("resourceVersion".into(), version);
        if changed == *current {
            return Ok(current);
        }
        Ok(self.write(&mut inner, resource, key, changed, EventType::Modified))
    }

    /// Removes an object if `check` lets it. Returns its last state, stamped with the revision of the deletion.
    pub fn delete(
        &self,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        check: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Object> {
        let mut inner = self.inner.write();
        let key = ObjectKey::new(namespace, name);
        let current = inner.objects.get(resource).and_then(|objects| objects.get(&key)).cloned();
        let Some(current) = current else { return Err(Status::not_found(resource, name)) };
        check(&current)?;
        Ok(self.write(&mut inner, resource, key, Value::clone(&current), EventType::Deleted))
    }

    /// Follows writes to one resource that are newer than `from`.
    pub fn watch(self: &Arc<Self>, resource: &GroupResource, namespace: Option<&str>, from: u64) -> Result<Watcher> {
        // Subscribe before the check: a write between the two must wake the watcher.
        let wake = self.revision.subscribe();
        let inner = self.inner.read();
        if from < inner.log.compacted {
            return Err(Status::expired(format!("too old resource version: {from} ({})", inner.revision)));
        }
        drop(inner);
        let namespace = namespace.map(str::to_owned);
        Ok(Watcher {
            store: self.clone(),
            resource: resource.clone(),
            namespace,
            cursor: from,
            ready: VecDeque::new(),
            wake,
        })
    }

    /// Returns once a write of this revision, or a newer one, was made.
    pub async fn wait_for_revision(&self, revision: u64) {
        let mut current = self.revision.subscribe();
        // Fails only when the sender is gone, and the sender is ours.
        let _ = current.wait_for(|now| *now >= revision).await;
    }

    fn write(
        &self,
        inner: &mut Inner,
        resource: &GroupResource,
        key: ObjectKey,
        mut object: Value,
        kind: EventType,
    ) -> Object {
        inner.revision += 1;
        let revision = inner.revision;
        object::metadata_mut(&mut object).insert("resourceVersion".into(), revision.to_string().into());
        let object = Object::new(object);
        let objects = inner.objects.entry(resource.clone()).or_default();
        let previous = match kind {
            EventType::Deleted => objects.remove(&key),
            EventType::Added | EventType::Modified => objects.insert(key, object.clone()),
        };
        let event = WatchEvent { revision, kind, object: object.clone(), previous };
        inner.log.push(resource, event);
        self.revision.send_replace(revision);
        object
    }

    /// Writes to `resource` after `from`, oldest first, and the revision up to which that is complete.
    fn events_since(
        &self,
        resource: &GroupResource,
        namespace: Option<&str>,
        from: u64,
    ) -> Result<(Vec<WatchEvent>, u64)> {
        let inner = self.inner.read();
        if from < inner.log.compacted {
            return Err(Status::expired(format!("too old resource version: {from} ({})", inner.revision)));
        }
        let events = inner.log.since(resource, namespace, from);
        Ok((events, inner.revision))
    }
}

/// A position in the log, moved forward by [`Watcher::next`].
pub struct Watcher {
    store: Arc<Store>,
    resource: GroupResource,
    namespace: Option<String>,
    cursor: u64,
    ready: VecDeque<WatchEvent>,
    wake: watch::Receiver<u64>,
}

impl Watcher {
    /// The next write; waits for one. `410 Expired` when this watcher fell behind the log. Cancel-safe.
    pub async fn next(&mut self) -> Result<WatchEvent> {
        loop {
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            if self.wake.changed().await.is_err() {
                return Err(Status::internal("the store is gone"));
            }
        }
    }

    /// The next write if there is one already.
    pub fn try_next(&mut self) -> Result<Option<WatchEvent>> {
        if self.ready.is_empty() {
            self.wake.mark_unchanged();
            let (events, upto) = self.store.events_since(&self.resource, self.namespace.as_deref(), self.cursor)?;
            self.ready = events.into();
            self.cursor = upto;
        }
        Ok(self.ready.pop_front())
    }

    /// The revision up to which everything was delivered: what a bookmark may say.
    pub fn delivered(&self) -> u64 {
        self.ready.front().map_or(self.cursor, |event| event.revision - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{CONFIG_MAPS, PODS};
    use serde_json::json;

    fn object(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "ns"}})
    }

    #[test]
    fn equal_updates_write_nothing() {
        let store = Store::default();
        let made = store.create(&PODS, object("a")).unwrap();
        let same = store.update(&PODS, "ns", "a", |o| Ok(Value::clone(o))).unwrap();
        assert_eq!(made, same);
        assert_eq!(store.revision(), object::resource_version(&made));
    }

    #[test]
    fn lists_keep_to_their_namespace() {
        let store = Store::default();
        store.create(&PODS, object("a")).unwrap();
        store.create(&PODS, json!({"metadata": {"name": "b", "namespace": "ns2"}})).unwrap();
        assert_eq!(store.list(&PODS, Some("ns")).0.len(), 1);
        assert_eq!(store.list(&PODS, None).0.len(), 2);
    }

    #[tokio::test]
    async fn watchers_see_later_writes_of_their_resource_in_order() {
        let store = Arc::new(Store::default());
        let from = store.revision();
        store.create(&PODS, object("a")).unwrap();
        store.create(&CONFIG_MAPS, object("other")).unwrap();
        store.delete(&PODS, "ns", "a", |_| Ok(())).unwrap();
        let mut watcher = store.watch(&PODS, None, from).unwrap();
        assert_eq!(watcher.next().await.unwrap().kind, EventType::Added);
        let deleted = watcher.next().await.unwrap();
        assert_eq!(deleted.kind, EventType::Deleted);
        assert_eq!(object::resource_version(&deleted.object), deleted.revision);
        assert!(watcher.try_next().unwrap().is_none());
    }

    #[test]
    fn compacted_revisions_are_expired() {
        let store = Arc::new(Store::default());
        let from = store.revision();
        for n in 0..=LOG_LIMIT {
            store.create(&PODS, object(&n.to_string())).unwrap();
        }
        assert_eq!(store.watch(&PODS, None, from).err().map(|s| s.code), Some(410));
        let mut watcher = store.watch(&PODS, None, from + 1).unwrap();
        assert_eq!(watcher.try_next().unwrap().map(|e| e.revision), Some(from + 2));
    }
}
