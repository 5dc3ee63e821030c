//! Keeps a view current: lists once, then follows the log; lists again when the log has moved on without us.

use std::collections::HashSet;
use std::sync::Arc;

use crate::object;
use crate::{Api, EventType, GroupResource, ObjectKey, Status, WatchEvent, Watcher};

use crate::view::{Change, View};

/// The watches of one controller.
pub struct Informer {
    api: Arc<dyn Api>,
    follows: Vec<Follow>,
}

struct Follow {
    resource: GroupResource,
    watcher: Option<Watcher>,
}

impl Informer {
    /// Nothing is listed before the first [`Informer::drain`].
    pub fn new(api: Arc<dyn Api>, resources: Vec<GroupResource>) -> Self {
        let follows = resources.into_iter().map(|resource| Follow { resource, watcher: None }).collect();
        Self { api, follows }
    }

    /// Watches one more resource from the next [`Informer::drain`] on. One that is watched already stays as it is.
    pub fn follow(&mut self, resource: GroupResource) {
        if !self.follows.iter().any(|follow| follow.resource == resource) {
            self.follows.push(Follow { resource, watcher: None });
        }
    }

    /// Brings `view` up to this moment and returns what changed.
    ///
    /// The view is consistent afterwards: whatever was written before an object that it shows is in it too. A single
    /// pass cannot promise that, since an owner may be made after its resource was drained and a dependent before the
    /// dependent's is; a pass that finds nothing new can.
    pub fn drain(&mut self, view: &mut View) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            let before = changes.len();
            for follow in &mut self.follows {
                follow.drain(&self.api, view, &mut changes);
            }
            if changes.len() == before {
                return changes;
            }
        }
    }

    /// Waits until there is something to drain. Cancel-safe: what was seen is in `view` and `changes`.
    pub async fn wait(&mut self, view: &mut View, changes: &mut Vec<Change>) {
        let waiting = self.follows.iter_mut().filter_map(|follow| {
            let watcher = follow.watcher.as_mut()?;
            Some(Box::pin(async { (&follow.resource, watcher.next().await) }))
        });
        let waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            return std::future::pending().await;
        }
        // An expired watch is noticed again, and healed, by the drain that follows.
        if let ((resource, Ok(event)), _, _) = futures::future::select_all(waiting).await {
            changes.push(apply(view, resource, event));
        }
    }
}

impl Follow {
    fn drain(&mut self, api: &Arc<dyn Api>, view: &mut View, changes: &mut Vec<Change>) {
        loop {
            match self.watcher.as_mut().map(Watcher::try_next) {
                Some(Ok(None)) => return,
                Some(Ok(Some(event))) => changes.push(apply(view, &self.resource, event)),
                Some(Err(_)) | None => match relist(api, &self.resource, view, changes) {
                    Ok(watcher) => self.watcher = Some(watcher),
                    // Writers were faster than the list: once more.
                    Err(status) if status.reason == "Expired" => {}
                    Err(status) => {
                        tracing::warn!(resource = %self.resource, %status, "cannot watch");
                        return;
                    }
                },
            }
        }
    }
}

fn apply(view: &mut View, resource: &GroupResource, event: WatchEvent) -> Change {
    let resource = resource.clone();
    match event.kind {
        EventType::Deleted => {
            let known = view.remove(&resource, &ObjectKey::of(&event.object));
            Change { resource, before: known.or(Some(event.object)), after: None }
        }
        EventType::Added | EventType::Modified => {
            let before = view.put(&resource, event.object.clone());
            Change { resource, before, after: Some(event.object) }
        }
    }
}

/// Replaces what the view has of a resource by a fresh list; only differences count as changes.
fn relist(
    api: &Arc<dyn Api>,
    resource: &GroupResource,
    view: &mut View,
    changes: &mut Vec<Change>,
) -> Result<Watcher, Status> {
    let (objects, revision) = api.list(resource, None);
    let listed: HashSet<ObjectKey> = objects.iter().map(|o| ObjectKey::of(o)).collect();
    for key in view.keys_of(resource) {
        if !listed.contains(&key) {
            let before = view.remove(resource, &key);
            changes.push(Change { resource: resource.clone(), before, after: None });
        }
    }
    for object in objects {
        let before = view.put(resource, object.clone());
        if before.as_deref().map(object::resource_version) != Some(object::resource_version(&object)) {
            changes.push(Change { resource: resource.clone(), before, after: Some(object) });
        }
    }
    api.watch(resource, None, revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::PODS;
    use crate::store::LOG_LIMIT;
    use crate::{Actor, DeleteOptions, Store};
    use serde_json::json;

    fn create(store: &Arc<Store>, name: &str) {
        let pod = json!({"metadata": {"name": name, "namespace": "ns"}});
        Api::create(store, &Actor::system("test"), &PODS, "ns", pod).unwrap();
    }

    fn summary(changes: &[Change]) -> Vec<(String, bool, bool)> {
        changes.iter().map(|c| (c.key().name, c.before.is_some(), c.after.is_some())).collect()
    }

    #[test]
    fn what_is_there_is_reported_once_then_changes_only() {
        let store: Arc<Store> = Arc::default();
        create(&store, "a");
        let (mut view, mut informer) = (View::default(), Informer::new(Arc::new(store.clone()), vec![PODS]));
        assert_eq!(summary(&informer.drain(&mut view)), [("a".into(), false, true)]);
        assert!(informer.drain(&mut view).is_empty());
        create(&store, "b");
        let options = DeleteOptions { grace_period: Some(0), ..Default::default() };
        Api::delete(&store, &Actor::system("test"), &PODS, "ns", "a", &options).unwrap();
        assert_eq!(summary(&informer.drain(&mut view)), [("b".into(), false, true), ("a".into(), true, false)]);
    }

    #[test]
    fn a_watch_that_fell_behind_is_replaced_by_a_list() {
        let store: Arc<Store> = Arc::default();
        let (mut view, mut informer) = (View::default(), Informer::new(Arc::new(store.clone()), vec![PODS]));
        create(&store, "kept");
        create(&store, "gone");
        informer.drain(&mut view);
        let options = DeleteOptions { grace_period: Some(0), ..Default::default() };
        Api::delete(&store, &Actor::system("test"), &PODS, "ns", "gone", &options).unwrap();
        for _ in 0..=LOG_LIMIT {
            create(&store, "x");
            Api::delete(&store, &Actor::system("test"), &PODS, "ns", "x", &options).unwrap();
        }
        create(&store, "new");
        assert_eq!(summary(&informer.drain(&mut view)), [("gone".into(), true, false), ("new".into(), false, true)]);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_next_write() {
        let store: Arc<Store> = Arc::default();
        let (mut view, mut informer) = (View::default(), Informer::new(Arc::new(store.clone()), vec![PODS]));
        informer.drain(&mut view);
        let mut changes = Vec::new();
        let (_, ()) = tokio::join!(informer.wait(&mut view, &mut changes), async { create(&store, "a") });
        assert_eq!(summary(&changes), [("a".into(), false, true)]);
    }
}
