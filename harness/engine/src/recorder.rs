//! Tells the events what pods come to be and what the cluster records about its objects, and keeps what pods wrote that
//! go, as long as it lives.

use crate::bus::Emitter;
use crate::case::Case;
use crate::lab::Lab;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use gauntlet_cluster::Access;
use gauntlet_cluster::ours::Ours;
use gauntlet_cluster::timeline::{self, Pods};
use gauntlet_cluster::view::{Snapshot, View, watches};
use gauntlet_core::event::Event;
use k8s_openapi::api::core::v1;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Pods that are about to be gone whose logs are fetched at once.
const AT_ONCE: usize = 4;

/// Records until it is stopped.
#[must_use = "nothing is recorded once it is dropped"]
pub(crate) struct Recorder {
    tasks: JoinSet<()>,
}

impl Recorder {
    /// Of the scenario that is under way.
    pub fn start(lab: &Lab, namespaces: BTreeSet<String>) -> Self {
        let mut tasks = JoinSet::new();
        let (emitter, access, view) = (lab.emitter.clone(), lab.access().clone(), lab.scene.view.clone());
        let ours = || Ours::of(access.clone(), lab.run.clone());
        tasks.spawn(record_events(emitter.clone(), access.client.clone(), ours(), lab.name.clone()));
        tasks.spawn(record_pods(emitter, view.clone(), ours(), lab.name.clone()));
        tasks.spawn(keep_logs(lab.case.clone(), access, view, namespaces));
        Self { tasks }
    }

    /// Returns when nothing is being written any more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn record_pods(emitter: Emitter, view: Arc<View>, mut ours: Ours, scenario: String) {
    let mut changes = view.changes();
    let mut before = Pods::new();
    view.complete().await;
    loop {
        changes.mark_unchanged();
        let now = timeline::pods(&view.snapshot());
        for seen in timeline::changed(&before, &now) {
            if ours.has(&seen.namespace).await {
                emitter.emit(Event::PodChanged { scenario: Some(scenario.clone()), seen });
            }
        }
        before = now;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps what pods of the system wrote, as soon as they are seen to go.
async fn keep_logs(case: Arc<Case>, access: Access, view: Arc<View>, namespaces: BTreeSet<String>) {
    let mut changes = view.changes();
    // Within this very task, so that whoever ends it ends all of them.
    let free = Semaphore::new(AT_ONCE);
    let (mut known, mut fetching) = (BTreeSet::new(), FuturesUnordered::new());
    view.complete().await;
    loop {
        changes.mark_unchanged();
        for pod in going(&view.snapshot(), &namespaces, &mut known) {
            let (case, access, free) = (&case, &access, &free);
            fetching.push(async move {
                // It is never closed.
                let _place = free.acquire().await;
                case.pod_goes(access, &pod).await;
            });
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(()) = fetching.next() => {}
        }
    }
}

/// Pods in these namespaces that were told to end and are not `known` yet.
fn going(snapshot: &Snapshot, namespaces: &BTreeSet<String>, known: &mut BTreeSet<String>) -> Vec<Arc<v1::Pod>> {
    let is_going = |pod: &&Arc<v1::Pod>| {
        pod.metadata.deletion_timestamp.is_some() && pod.namespace().is_some_and(|of| namespaces.contains(&of))
    };
    let news = snapshot.pods.iter().filter(is_going).filter(|pod| pod.uid().is_some_and(|uid| known.insert(uid)));
    news.cloned().collect()
}

/// What was recorded before is old news: only what a watch brings is told, of the run's own namespaces and of nodes.
async fn record_events(emitter: Emitter, client: Client, mut ours: Ours, scenario: String) {
    let api: Api<v1::Event> = Api::all(client);
    let mut stream = std::pin::pin!(watcher(api, watches()).default_backoff());
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::Apply(event)) => {
                let seen = timeline::event_seen(&event);
                let is_of_node = event.involved_object.kind.as_deref() == Some("Node");
                if !is_of_node && !ours.has(&seen.namespace).await {
                    continue;
                }
                emitter.emit(Event::KubernetesEvent { scenario: Some(scenario.clone()), seen });
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the watch of event objects was interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_of_the_system_that_goes_is_seen_once() {
        let pod = |namespace: &str, name: &str, deleted: Option<&str>| {
            let metadata = json!({"namespace": namespace, "name": name, "uid": name, "deletionTimestamp": deleted});
            Arc::new(serde_json::from_value(json!({"metadata": metadata})).unwrap())
        };
        let since = Some("2026-01-01T00:00:00Z");
        let pods = vec![pod("shop", "a", since), pod("shop", "b", None), pod("gauntlet-load", "c", since)];
        let snapshot = Snapshot { pods, ..Snapshot::default() };
        let mut known = BTreeSet::new();
        let mut names = || -> Vec<String> {
            let found = going(&snapshot, &["shop".to_owned()].into(), &mut known);
            found.iter().map(|pod| pod.name_any()).collect()
        };
        assert_eq!(names(), ["a"]);
        assert!(names().is_empty());
    }
}
