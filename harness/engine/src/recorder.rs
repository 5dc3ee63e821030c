//! Tells the events what pods come to be and what the cluster records about its objects, as long as it lives.

use crate::bus::Emitter;
use futures::StreamExt;
use gauntlet_cluster::Access;
use gauntlet_cluster::timeline::{self, Pods};
use gauntlet_cluster::view::View;
use gauntlet_core::event::Event;
use k8s_openapi::api::core::v1;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Records until it is dropped.
#[must_use = "nothing is recorded once it is dropped"]
pub(crate) struct Recorder {
    _tasks: JoinSet<()>,
}

impl Recorder {
    /// `scenario` is the one under way, if any.
    pub fn start(emitter: &Emitter, access: &Access, view: Arc<View>, scenario: Option<&str>) -> Self {
        let mut tasks = JoinSet::new();
        let scenario = scenario.map(str::to_owned);
        tasks.spawn(record_pods(emitter.clone(), view, scenario.clone()));
        tasks.spawn(record_events(emitter.clone(), access.client.clone(), scenario));
        Self { _tasks: tasks }
    }
}

async fn record_pods(emitter: Emitter, view: Arc<View>, scenario: Option<String>) {
    let mut changes = view.changes();
    let mut before = Pods::new();
    view.complete().await;
    loop {
        changes.mark_unchanged();
        let now = timeline::pods(&view.snapshot());
        for seen in timeline::changed(&before, &now) {
            emitter.emit(Event::PodChanged { scenario: scenario.clone(), seen });
        }
        before = now;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// What was recorded before is old news: only what a watch brings is told.
async fn record_events(emitter: Emitter, client: Client, scenario: Option<String>) {
    let api: Api<v1::Event> = Api::all(client);
    let mut stream = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::Apply(event)) => {
                let seen = timeline::event_seen(&event);
                emitter.emit(Event::KubernetesEvent { scenario: scenario.clone(), seen });
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the watch of event objects was interrupted"),
        }
    }
}
