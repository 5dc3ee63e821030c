//! Many who evict at once, against the controller that keeps the budget: it holds at every revision.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use embedded_apimachinery::resource::{POD_DISRUPTION_BUDGETS, PODS, SERVICE_ACCOUNTS};
use embedded_apimachinery::{Actor, Api, ApiExt, DeleteOptions, EventType, Store, object};
use embedded_controllers::platform::disruption::DisruptionBudgets;
use embedded_controllers::runtime::Worker;
use serde_json::{Value, json};

use crate::{ApiServer, Options};

const NAMESPACE: &str = "default";
const PODS_WANTED: usize = 6;
const AVAILABLE: usize = 4;
const EVICTORS: usize = 3;
/// Few enough that the log still has all that happened.
const EVICTIONS: usize = 60;
/// Without progress it ends too.
const DEADLINE: Duration = Duration::from_secs(60);

fn actor() -> Actor {
    Actor::system("test")
}

/// A pod that runs and is ready, as if a controller and a kubelet had seen to it.
fn start_pod(api: &ApiServer) {
    let pod = json!({"metadata": {"generateName": "web-", "labels": {"app": "web"}},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    let pod = api.create(&actor(), &PODS, NAMESPACE, pod).unwrap();
    api.modify_status(&actor(), &PODS, &pod, &mut |pod| {
        pod["status"]["phase"] = "Running".into();
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    })
    .unwrap();
}

/// Ends what is being deleted, and replaces it.
fn replace_deleted(api: &ApiServer) {
    for pod in api.list(&PODS, Some(NAMESPACE)).0.iter().filter(|pod| object::is_deleting(pod)) {
        api.delete(&actor(), &PODS, NAMESPACE, object::name(pod), &DeleteOptions::now(pod)).unwrap();
        start_pod(api);
    }
}

fn evict_whatever_is_there(api: &ApiServer, granted: &AtomicUsize) {
    let started = Instant::now();
    let unfinished = || granted.load(Ordering::Relaxed) < EVICTIONS && started.elapsed() < DEADLINE;
    for attempt in (0..).take_while(|_| unfinished()) {
        std::thread::yield_now();
        let (pods, _) = api.list(&PODS, Some(NAMESPACE));
        let Some(pod) = pods.get(attempt % PODS_WANTED) else { continue };
        match api.evict(NAMESPACE, object::name(pod), &DeleteOptions::default()) {
            Ok(()) => granted.fetch_add(1, Ordering::Relaxed),
            Err(status) if status.code == 429 || status.is_not_found() => 0,
            Err(status) => panic!("{status:?}"),
        };
    }
}

fn repeat_until(done: &AtomicBool, mut work: impl FnMut()) {
    while !done.load(Ordering::Relaxed) {
        work();
        std::thread::yield_now();
    }
}

/// How many pods were healthy after each write since `from`, starting with `healthy`.
fn healthy_after_each_write(store: &Arc<Store>, from: u64, mut healthy: usize) -> Vec<usize> {
    let counts = |pod: &Value| object::pod_is_ready(pod) && !object::is_deleting(pod);
    let mut watcher = store.watch(&PODS, None, from).unwrap();
    let events = std::iter::from_fn(|| watcher.try_next().unwrap());
    let after = |event: embedded_apimachinery::WatchEvent| {
        let before = event.previous.as_deref().is_some_and(counts);
        let now = event.kind != EventType::Deleted && counts(&event.object);
        healthy = healthy + usize::from(now) - usize::from(before);
        healthy
    };
    events.map(after).collect()
}

#[test]
fn the_budget_holds_at_every_revision() {
    let store: Arc<Store> = Arc::default();
    let api = ApiServer::new(store.clone(), Options::default());
    api.create(&actor(), &SERVICE_ACCOUNTS, NAMESPACE, json!({"metadata": {"name": "default"}})).unwrap();
    (0..PODS_WANTED).for_each(|_| start_pod(&api));
    let budget = json!({"metadata": {"name": "web"},
        "spec": {"minAvailable": AVAILABLE, "selector": {"matchLabels": {"app": "web"}}}});
    api.create(&actor(), &POD_DISRUPTION_BUDGETS, NAMESPACE, budget).unwrap();

    let from = store.revision();
    let (granted, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut controller = Worker::new(Box::new(DisruptionBudgets), api.clone());
    while controller.step() {}
    std::thread::scope(|scope| {
        scope.spawn(|| repeat_until(&done, || _ = controller.step()));
        scope.spawn(|| repeat_until(&done, || replace_deleted(&api)));
        let evictors: Vec<_> = (0..EVICTORS).map(|_| scope.spawn(|| evict_whatever_is_there(&api, &granted))).collect();
        evictors.into_iter().for_each(|evictor| evictor.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });

    let healthy = healthy_after_each_write(&store, from, PODS_WANTED);
    assert!(healthy.iter().all(|healthy| *healthy >= AVAILABLE), "{healthy:?}");
    assert!(granted.into_inner() >= EVICTIONS, "the evictions came to a standstill");
}
