//! Events worth reading: repeated ones are counted, not piled up.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::api::{Actor, Api};
use crate::object;
use crate::resource::CORE_EVENTS;
use crate::timestamp;

/// So many different Events are remembered, to count repetitions of.
const MEMORY: usize = 4096;

/// Writes Events on behalf of one component. Clones share what they remember.
#[derive(Clone)]
pub struct Recorder {
    api: Arc<dyn Api>,
    component: String,
    host: String,
    /// Names of Events by what they say.
    written: Arc<Mutex<HashMap<u64, String>>>,
}

impl Recorder {
    /// `host` is the node's name for kubelets, empty for the control plane.
    pub fn new(api: Arc<dyn Api>, component: &str, host: &str) -> Self {
        Self { api, component: component.into(), host: host.into(), written: Arc::default() }
    }

    pub fn normal(&self, about: &Value, reason: &str, message: impl Into<String>) {
        self.record("Normal", about, "", reason, message.into());
    }

    pub fn warning(&self, about: &Value, reason: &str, message: impl Into<String>) {
        self.record("Warning", about, "", reason, message.into());
    }

    /// `field_path` names a container, as in `spec.containers{redis}`. Events are best effort: failures to write one
    /// (a namespace that is going away) are ignored, as in client-go.
    pub fn record(&self, kind: &str, about: &Value, field_path: &str, reason: &str, message: String) {
        let namespace = match object::namespace(about) {
            "" => "default",
            namespace => namespace,
        };
        let now = timestamp::now();
        let said = digest(&[object::uid(about), object::name(about), field_path, kind, reason, &message]);
        let repeated = self.repeat(said, namespace, &mut |event| {
            let count = object::int_at(event, "/count").unwrap_or(1);
            event["count"] = (count + 1).into();
            event["lastTimestamp"] = now.clone().into();
        });
        if repeated {
            return;
        }
        let mut source = json!({"component": self.component});
        if !self.host.is_empty() {
            source["host"] = self.host.clone().into();
        }
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": namespace},
            "involvedObject": involved(about, field_path), "reason": reason, "message": message, "source": source,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1, "type": kind, "eventTime": null,
            "reportingComponent": self.component, "reportingInstance": self.host,
        });
        self.write(said, about, namespace, event);
    }

    /// An Event in the form of `events.k8s.io`, which the scheduler writes: it says what was attempted (`action`), and
    /// repetitions make a series.
    pub fn attempt(&self, kind: &str, about: &Value, reason: &str, action: &str, message: String) {
        let namespace = match object::namespace(about) {
            "" => "default",
            namespace => namespace,
        };
        let now = timestamp::now_micro();
        let said = digest(&[object::uid(about), object::name(about), action, kind, reason, &message]);
        let repeated = self.repeat(said, namespace, &mut |event| {
            let count = object::int_at(event, "/series/count").unwrap_or(1);
            event["series"] = json!({"count": count + 1, "lastObservedTime": now});
        });
        if repeated {
            return;
        }
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": namespace},
            "involvedObject": involved(about, ""), "reason": reason, "message": message, "source": {},
            "firstTimestamp": null, "lastTimestamp": null, "type": kind, "eventTime": now, "action": action,
            "reportingComponent": self.component, "reportingInstance": format!("{}-gauntlet", self.component),
        });
        self.write(said, about, namespace, event);
    }

    /// Changes the Event that said the same before. False when there is none, or no more.
    fn repeat(&self, said: u64, namespace: &str, change: &mut dyn FnMut(&mut Value)) -> bool {
        let Some(name) = self.written.lock().get(&said).cloned() else { return false };
        let change = &mut |event: &mut Value| {
            change(event);
            Ok(())
        };
        self.api.modify(&Actor::system(&self.component), &CORE_EVENTS, namespace, &name, "", change).is_ok()
    }

    fn write(&self, said: u64, about: &Value, namespace: &str, mut event: Value) {
        let name = event_name(about);
        event["metadata"]["name"] = name.clone().into();
        if self.api.create(&Actor::system(&self.component), &CORE_EVENTS, namespace, event).is_ok() {
            let mut written = self.written.lock();
            if written.len() >= MEMORY {
                written.clear();
            }
            written.insert(said, name);
        }
    }
}

/// A reference to the object that an Event is about.
fn involved(about: &Value, field_path: &str) -> Value {
    let mut involved = json!({"kind": object::kind(about), "namespace": object::namespace(about),
        "name": object::name(about), "uid": object::uid(about), "apiVersion": object::api_version(about),
        "resourceVersion": object::str_at(about, "/metadata/resourceVersion"), "fieldPath": field_path});
    if let Value::Object(map) = &mut involved {
        map.retain(|_, v| v.as_str() != Some(""));
    }
    involved
}

/// `<object>.<16 hexadecimal digits>`. The digits grow with time, so that Events of an object list in the order in which
/// they were written.
fn event_name(about: &Value) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(0)).unwrap_or(0);
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1))).unwrap_or(0);
    format!("{}.{:016x}", object::name(about), now.max(last + 1))
}

fn digest(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn repeated_events_are_counted() {
        let store: Arc<Store> = Arc::default();
        let recorder = Recorder::new(Arc::new(store.clone()), "kubelet", "node1");
        let pod = json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "ns", "uid": "u"}});
        recorder.normal(&pod, "Pulled", "again");
        recorder.normal(&pod, "Pulled", "again");
        recorder.normal(&pod, "Started", "other");
        let (events, _) = Store::list(&store, &CORE_EVENTS, Some("ns"));
        let counts: Vec<_> = events.iter().map(|e| e["count"].as_i64().unwrap()).collect();
        assert_eq!(counts.iter().sum::<i64>(), 3);
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn events_list_in_the_order_of_their_writing() {
        let store: Arc<Store> = Arc::default();
        let recorder = Recorder::new(Arc::new(store.clone()), "kubelet", "node1");
        let pod = json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "ns", "uid": "u"}});
        let reasons: Vec<String> = (0..50).map(|n| format!("Reason{n}")).collect();
        for reason in &reasons {
            recorder.normal(&pod, reason, "text");
        }
        let (events, _) = Store::list(&store, &CORE_EVENTS, Some("ns"));
        assert_eq!(events.iter().map(|e| object::str_at(e, "/reason")).collect::<Vec<_>>(), reasons);
    }

    #[test]
    fn repeated_attempts_make_a_series() {
        let store: Arc<Store> = Arc::default();
        let recorder = Recorder::new(Arc::new(store.clone()), "default-scheduler", "");
        let pod = json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "ns", "uid": "u"}});
        for _ in 0..3 {
            recorder.attempt("Warning", &pod, "FailedScheduling", "Scheduling", "no".into());
        }
        let (events, _) = Store::list(&store, &CORE_EVENTS, Some("ns"));
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["series"]["count"], 3);
        assert_eq!(events[0]["action"], "Scheduling");
    }
}
