//! The live state of a cluster: kept up to date by watches, waited on by conditions over it.

use crate::access::Access;
use crate::progress::{Progress, Waiting};
use futures::StreamExt;
use gauntlet_core::Trouble;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::{Lookup, Store};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Watches of everything that decides whether a system is in order.
pub struct View {
    pods: Store<Pod>,
    deployments: Store<Deployment>,
    stateful_sets: Store<StatefulSet>,
    daemon_sets: Store<DaemonSet>,
    jobs: Store<Job>,
    budgets: Store<PodDisruptionBudget>,
    nodes: Store<Node>,
    changed: watch::Receiver<u64>,
    /// Ends the watches when the view is dropped.
    _watches: JoinSet<()>,
}

/// What a view showed at one moment.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    pub pods: Vec<Arc<Pod>>,
    pub deployments: Vec<Arc<Deployment>>,
    pub stateful_sets: Vec<Arc<StatefulSet>>,
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    pub jobs: Vec<Arc<Job>>,
    pub budgets: Vec<Arc<PodDisruptionBudget>>,
    pub nodes: Vec<Arc<Node>>,
}

impl View {
    /// Starts the watches. What is there already shows once the first lists are in, which conditions simply await.
    pub fn of(access: &Access) -> Self {
        let client = access.client.clone();
        let (changes, changed) = watch::channel(0);
        let mut watches = JoinSet::new();
        Self {
            pods: keep(Api::all(client.clone()), &changes, &mut watches),
            deployments: keep(Api::all(client.clone()), &changes, &mut watches),
            stateful_sets: keep(Api::all(client.clone()), &changes, &mut watches),
            daemon_sets: keep(Api::all(client.clone()), &changes, &mut watches),
            jobs: keep(Api::all(client.clone()), &changes, &mut watches),
            budgets: keep(Api::all(client.clone()), &changes, &mut watches),
            nodes: keep(Api::all(client), &changes, &mut watches),
            changed,
            _watches: watches,
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            pods: self.pods.state(),
            deployments: self.deployments.state(),
            stateful_sets: self.stateful_sets.state(),
            daemon_sets: self.daemon_sets.state(),
            jobs: self.jobs.state(),
            budgets: self.budgets.state(),
            nodes: self.nodes.state(),
        }
    }

    /// The first lists are in: from here on an object that does not show does not exist.
    pub async fn complete(&self) {
        // The writers live as long as the view, so waiting for them cannot fail.
        let _ = tokio::join!(
            self.pods.wait_until_ready(),
            self.deployments.wait_until_ready(),
            self.stateful_sets.wait_until_ready(),
            self.daemon_sets.wait_until_ready(),
            self.jobs.wait_until_ready(),
            self.budgets.wait_until_ready(),
            self.nodes.wait_until_ready(),
        );
    }

    /// Notified at every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// Waits until `condition` gives a value; what it gives instead is what was last seen.
    ///
    /// # Errors
    /// The deadline passed: what was awaited, and what was last seen.
    pub async fn until<T>(
        &self,
        what: &str,
        deadline: Duration,
        progress: &dyn Progress,
        mut condition: impl FnMut(&Snapshot) -> Result<T, String>,
    ) -> Result<T, Trouble> {
        let mut waiting = Waiting::start(what, deadline, progress);
        let mut changes = self.changes();
        let met = async {
            self.complete().await;
            loop {
                changes.mark_unchanged();
                match condition(&self.snapshot()) {
                    Ok(value) => return value,
                    Err(lacking) => waiting.seen(&lacking),
                }
                // The sender lives in the watches of this view.
                let _ = changes.changed().await;
            }
        };
        let until = tokio::time::Instant::now() + deadline;
        match tokio::time::timeout_at(until, met).await {
            Ok(value) => Ok(value),
            Err(_) => Err(Trouble::harness(waiting.gave_up())),
        }
    }
}

/// How the harness watches: a server ends such a watch after 20 s, and one that says nothing for 25 s is begun anew, so that
/// a connection that has died silently is noticed before a wait on it is given up.
pub fn watches() -> watcher::Config {
    watcher::Config::default().timeout(20)
}

fn keep<K>(api: Api<K>, changes: &watch::Sender<u64>, watches: &mut JoinSet<()>) -> Store<K>
where
    K: Resource + Lookup + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    <K as Resource>::DynamicType: Default + Eq + Hash + Clone,
    <K as Lookup>::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
{
    let (store, writer) = reflector::store();
    let stream = watcher(api, self::watches()).default_backoff().reflect(writer);
    let changes = changes.clone();
    watches.spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(_) => changes.send_modify(|n| *n += 1),
                Err(error) => tracing::debug!(%error, "a watch was interrupted"),
            }
        }
    });
    store
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::{BodyExt, Full, StreamBody};
    use hyper::body::{Bytes, Frame};
    use kube::client::Body;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A server that lists no pod and then says nothing, however long it is watched.
    fn silent(watched: Arc<AtomicUsize>) -> kube::Client {
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let body = if is_watch {
                watched.fetch_add(1, Ordering::SeqCst);
                StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync()
            } else {
                let list =
                    r#"{"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}"#;
                Full::new(Bytes::from(list)).boxed_unsync()
            };
            async move { http::Response::builder().body(body) }
        });
        kube::Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_goes_quiet_is_begun_anew() {
        let watched = Arc::new(AtomicUsize::new(0));
        let (changed, _keep) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let _store: Store<Pod> = keep(Api::all(silent(watched.clone())), &changed, &mut tasks);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let times = watched.load(Ordering::SeqCst);
        assert!(times >= 2, "watched {times} times in a minute of silence");
    }
}
