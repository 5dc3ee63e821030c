//! A cluster for tests: the raw store, some controllers driven step by step, and a kubelet that only writes statuses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{CORE_EVENTS, PODS};
use embedded_apimachinery::{Actor, Api, ApiExt, DeleteOptions, GroupResource, Object, Store, timestamp};
use serde_json::{Value, json};

use crate::runtime::queue::LONGEST_REST;
use crate::runtime::{Controller, Worker};

/// Timers further away than this belong to the test (or to nobody).
const SOON: Duration = LONGEST_REST.saturating_mul(2);

pub struct Cluster {
    pub store: Arc<Store>,
    workers: Vec<Worker>,
}

impl Cluster {
    pub fn new(controllers: Vec<Box<dyn Controller>>) -> Self {
        let store: Arc<Store> = Arc::default();
        let workers = controllers.into_iter().map(|c| Worker::new(c, Arc::new(store.clone()))).collect();
        Self { store, workers }
    }

    /// Lets the controllers work until none has anything to do soon.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let busy = self.workers.iter_mut().filter_map(|worker| worker.step().then_some(())).count();
            if busy > 0 {
                continue;
            }
            match self.workers.iter().filter_map(Worker::next_due).min() {
                Some(due) if due < Instant::now() + SOON => {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                _ => return,
            }
        }
        panic!("the controllers do not come to rest");
    }

    /// Alternates controllers and kubelet until nothing changes any more.
    pub fn run(&mut self) {
        for _ in 0..1000 {
            let before = self.store.revision();
            self.settle();
            self.start_pods();
            self.finish_deletions();
            if self.store.revision() == before {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Binds pods that are not, and makes them Running and Ready.
    pub fn start_pods(&self) {
        for pod in self.list(&PODS) {
            if str_at(&pod, "/status/phase").is_empty() && !object::is_deleting(&pod) {
                self.ready(object::name(&pod), true);
            }
        }
    }

    pub fn ready(&self, pod: &str, ready: bool) {
        let (status, now) = (if ready { "True" } else { "False" }, timestamp::now());
        self.modify(&PODS, pod, "", &|pod| {
            if str_at(pod, "/spec/nodeName").is_empty() {
                pod["spec"]["nodeName"] = "node".into();
            }
        });
        self.modify(&PODS, pod, "status", &|pod| {
            let ready = json!({"type": "Ready", "status": status, "lastTransitionTime": now});
            pod["status"] = json!({"phase": "Running", "conditions": [ready]});
        });
    }

    /// Ends a pod: `phase` is `Succeeded` or `Failed`.
    pub fn end(&self, pod: &str, phase: &str, exit_code: i64) {
        let terminated = json!({"terminated": {"exitCode": exit_code, "finishedAt": timestamp::now()}});
        self.modify(&PODS, pod, "status", &|pod| {
            pod["status"] = json!({"phase": phase, "conditions": [],
                "containerStatuses": [{"name": "c", "state": terminated}]});
        });
    }

    /// Removes pods that are being deleted and that no finalizer holds.
    pub fn finish_deletions(&self) {
        for pod in self.list(&PODS) {
            if object::is_deleting(&pod) && object::finalizers(&pod).next().is_none() {
                Store::delete(&self.store, &PODS, "ns", object::name(&pod), |_| Ok(())).unwrap();
            }
        }
    }

    pub fn create(&self, resource: &GroupResource, object: Value) -> Object {
        Api::create(&self.store, &Actor::system("test"), resource, "ns", object).unwrap()
    }

    pub fn modify(&self, resource: &GroupResource, name: &str, subresource: &str, change: &dyn Fn(&mut Value)) {
        let actor = Actor::system("test");
        let change = &mut |object: &mut Value| {
            change(object);
            Ok(())
        };
        Api::modify(&self.store, &actor, resource, "ns", name, subresource, change).unwrap();
    }

    pub fn delete(&self, resource: &GroupResource, name: &str) {
        Api::delete(&self.store, &Actor::system("test"), resource, "ns", name, &DeleteOptions::default()).unwrap();
    }

    pub fn find(&self, resource: &GroupResource, name: &str) -> Option<Object> {
        self.store.find(resource, "ns", name)
    }

    pub fn status(&self, resource: &GroupResource, name: &str) -> Value {
        self.find(resource, name).unwrap_or_else(|| panic!("no {resource} {name}"))["status"].clone()
    }

    pub fn list(&self, resource: &GroupResource) -> Vec<Object> {
        Store::list(&self.store, resource, Some("ns")).0
    }

    pub fn names(&self, resource: &GroupResource) -> Vec<String> {
        self.list(resource).iter().map(|o| object::name(o).to_owned()).collect()
    }

    /// Events as `kind/name: reason: message`, in the order of their writing, repeated as often as counted.
    pub fn events(&self) -> Vec<String> {
        let mut events = self.list(&CORE_EVENTS);
        events.sort_by_key(|e| object::resource_version(e));
        let line = |e: &Object| {
            let (kind, name) = (str_at(e, "/involvedObject/kind"), str_at(e, "/involvedObject/name"));
            format!("{kind}/{name}: {}: {}", str_at(e, "/reason"), str_at(e, "/message"))
        };
        events.iter().map(line).collect()
    }
}
