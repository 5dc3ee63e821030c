//! The loop of one controller.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use embedded_apimachinery::{Api, ObjectKey};
use tokio_util::sync::CancellationToken;

use super::controller::Controller;
use super::executor::Executor;
use super::informer::Informer;
use super::plan::{Outcome, Plan};
use super::queue::Queue;
use super::view::{Change, View};

/// A controller with its view, its queue and its hands. Driven by [`run`], or step by step in tests.
pub struct Worker {
    controller: Box<dyn Controller>,
    informer: Informer,
    view: View,
    queue: Queue,
    executor: Executor,
}

/// Runs a controller until `shutdown`.
pub async fn run(controller: Box<dyn Controller>, api: Arc<dyn Api>, shutdown: CancellationToken) {
    let mut worker = Worker::new(controller, api);
    loop {
        while worker.step() {
            if shutdown.is_cancelled() {
                return;
            }
            tokio::task::yield_now().await;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = worker.wait() => {}
        }
    }
}

impl Worker {
    pub fn new(controller: Box<dyn Controller>, api: Arc<dyn Api>) -> Self {
        let informer = Informer::new(api.clone(), controller.watches());
        let executor = Executor::new(api, controller.component());
        Self { controller, informer, view: View::default(), queue: Queue::default(), executor }
    }

    /// Takes in what has changed and looks at one key. False when there was none to look at.
    pub fn step(&mut self) -> bool {
        self.catch_up();
        let Some(key) = self.queue.pop(Instant::now()) else { return false };
        // A mistake in deciding about one object must not end the care for all others.
        match catch_unwind(AssertUnwindSafe(|| self.look_at(&key))) {
            Ok(thinking) => self.queue.took(&key, thinking, Instant::now()),
            Err(_) => {
                let component = self.controller.component();
                tracing::error!(component, namespace = key.namespace, name = key.name, "panicked; will try again");
                self.queue.failed(&key, Instant::now());
            }
        }
        true
    }

    /// When this worker wants to look at something if nothing changes until then.
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.next_due()
    }

    /// Waits for a change or for a timer.
    async fn wait(&mut self) {
        let due = self.next_due();
        let mut changes = Vec::new();
        tokio::select! {
            () = self.informer.wait(&mut self.view, &mut changes) => {}
            () = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
        self.enqueue(&changes);
    }

    fn catch_up(&mut self) {
        let mut changes = self.informer.drain(&mut self.view);
        let discovered = self.controller.discovered(&self.view);
        if !discovered.is_empty() {
            discovered.into_iter().for_each(|resource| self.informer.follow(resource));
            changes.extend(self.informer.drain(&mut self.view));
        }
        self.enqueue(&changes);
    }

    fn enqueue(&mut self, changes: &[Change]) {
        let now = Instant::now();
        for change in changes {
            for key in self.controller.keys(&self.view, change) {
                self.queue.add(key, now);
            }
        }
    }

    /// Plans, acts, settles. Returns how long the planning took.
    fn look_at(&mut self, key: &ObjectKey) -> Duration {
        let started = Instant::now();
        let plan = self.controller.plan(&self.view, key, Utc::now());
        let mut thinking = started.elapsed();
        let acted = !plan.actions.is_empty();
        let outcome = self.carry_out(key, plan);
        if acted {
            self.catch_up();
        }
        let started = Instant::now();
        let rest = self.controller.settle(&self.view, key, Utc::now(), &outcome);
        thinking += started.elapsed();
        let settled = self.carry_out(key, rest);
        match outcome.failure.or(settled.failure) {
            None => self.queue.succeeded(key),
            // Somebody else wrote in between: look at what they wrote.
            Some(failure) if failure.status.is_conflict() => self.queue.add(key.clone(), Instant::now()),
            Some(failure) => {
                let component = self.controller.component();
                tracing::debug!(component, namespace = key.namespace, name = key.name, ?failure, "will try again");
                self.queue.failed(key, Instant::now());
            }
        }
        thinking
    }

    fn carry_out(&mut self, key: &ObjectKey, plan: Plan) -> Outcome {
        if let Some(delay) = plan.recheck {
            self.queue.add_at(key.clone(), Instant::now() + delay);
        }
        self.executor.run(plan.actions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::resource::CONFIG_MAPS;
    use embedded_apimachinery::{Actor, GroupResource, Status, Store, object};
    use serde_json::json;

    use crate::runtime::{Action, Failure, plan::Verb};
    use crate::testing::Cluster;

    /// Copies `data.wanted` of a config map into its status, and fails as often as `data.failures` says.
    struct Copier {
        failures: usize,
    }

    impl Controller for Copier {
        fn component(&self) -> &'static str {
            "copier"
        }

        fn watches(&self) -> Vec<GroupResource> {
            vec![CONFIG_MAPS]
        }

        fn keys(&self, _: &View, change: &Change) -> Vec<ObjectKey> {
            vec![change.key()]
        }

        fn plan(&mut self, view: &View, key: &ObjectKey, _: chrono::DateTime<Utc>) -> Plan {
            let Some(map) = view.get(&CONFIG_MAPS, key).filter(|_| self.failures > 0) else { return Plan::default() };
            self.failures -= 1;
            assert_ne!(map["data"]["wanted"], "panic", "as told");
            // Creating what exists fails.
            Plan::of(vec![Action::create(CONFIG_MAPS, serde_json::Value::clone(map))])
        }

        fn settle(&mut self, view: &View, key: &ObjectKey, _: chrono::DateTime<Utc>, outcome: &Outcome) -> Plan {
            let Some(map) = view.get(&CONFIG_MAPS, key) else { return Plan::default() };
            let failed = matches!(&outcome.failure, Some(Failure { verb: Verb::Create, .. }));
            let status = json!({"wanted": map["data"]["wanted"], "failed": failed});
            Plan::of(vec![Action::set_status(CONFIG_MAPS, map, status)])
        }
    }

    fn config_map(wanted: &str) -> serde_json::Value {
        json!({"kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"wanted": wanted}})
    }

    #[test]
    fn failures_are_told_to_settle_and_tried_again() {
        let mut cluster = Cluster::new(vec![Box::new(Copier { failures: 2 })]);
        cluster.create(&CONFIG_MAPS, config_map("x"));
        cluster.settle();
        assert_eq!(cluster.status(&CONFIG_MAPS, "m"), json!({"wanted": "x", "failed": false}));
    }

    #[test]
    fn a_panic_about_one_object_is_tried_again_and_spares_the_others() {
        let mut cluster = Cluster::new(vec![Box::new(Copier { failures: 2 })]);
        cluster.create(&CONFIG_MAPS, config_map("panic"));
        let mut other = config_map("x");
        other["metadata"]["name"] = "other".into();
        cluster.create(&CONFIG_MAPS, other);
        cluster.settle();
        assert_eq!(cluster.status(&CONFIG_MAPS, "m")["wanted"], "panic");
        assert_eq!(cluster.status(&CONFIG_MAPS, "other")["wanted"], "x");
    }

    #[tokio::test]
    async fn a_running_controller_follows_changes_and_ends_on_shutdown() -> Result<(), Status> {
        let store: Arc<Store> = Arc::default();
        let api: Arc<dyn Api> = Arc::new(store.clone());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(Box::new(Copier { failures: 0 }), api.clone(), shutdown.clone()));
        api.create(&Actor::system("test"), &CONFIG_MAPS, "ns", config_map("x"))?;
        let (_, revision) = api.list(&CONFIG_MAPS, None);
        let mut watcher = api.watch(&CONFIG_MAPS, None, revision)?;
        while object::str_at(&watcher.next().await?.object, "/status/wanted") != "x" {}
        shutdown.cancel();
        task.await.expect("the controller ends in order");
        Ok(())
    }
}
