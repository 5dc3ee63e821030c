//! Controllers for everything that is not a workload.
//!
//! - [`config`]: what they are told about the cluster; [`catalog`]: the kinds of objects there are
//! - [`namespace_defaults`]: what every namespace has from the start
//! - [`disruption`]: how many pods may be evicted
//! - [`endpoints`]: which pods stand behind a Service
//! - [`nodes`]: lost nodes and taints; [`zones`]: how many may be lost before that means something else; [`evictions`]: who must leave a tainted node; [`pod_gc`]: who nobody else ends
//! - [`quota`]: what is used of ResourceQuotas
//! - [`volumes`]: claims and what serves them
//! - [`garbage`]: what is owned goes with its owners; [`namespaces`]: the end of a namespace

use std::collections::{BTreeSet, HashMap};

use embedded_apimachinery::{object, timestamp};
use serde_json::{Value, json};

use crate::runtime::Controller;

pub mod catalog;
pub mod config;
pub mod disruption;
pub mod endpoints;
pub mod evictions;
pub mod garbage;
pub mod namespace_defaults;
pub mod namespaces;
pub mod nodes;
pub mod pod_gc;
pub mod quota;
pub mod volumes;
pub mod zones;

pub use config::Config;

/// All of them, ready to run.
pub fn controllers(config: &Config) -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(namespace_defaults::NamespaceDefaults { certificate: config.ca_certificate.clone() }),
        Box::new(disruption::DisruptionBudgets),
        Box::new(endpoints::EndpointSlices),
        Box::new(endpoints::LegacyEndpoints),
        Box::new(garbage::GarbageCollector),
        Box::new(namespaces::Namespaces),
        Box::new(nodes::NodeLifecycle {
            grace: config.node_grace,
            pod_network: config.pod_network,
            registered: BTreeSet::new(),
            evicted: None,
        }),
        Box::new(evictions::TaintEviction::default()),
        Box::new(volumes::VolumeBinder { root: config.volumes_root.clone() }),
        Box::new(volumes::VolumeProtection),
        Box::new(quota::Quotas),
        Box::new(pod_gc::PodCollector {
            quarantine: config.node_grace.min(pod_gc::QUARANTINE),
            missing: HashMap::new(),
        }),
    ]
}

/// The pod with the condition that says why it is about to be disrupted: a reason and a message.
fn disruption_target(pod: &Value, (reason, message): (&str, &str)) -> Value {
    let mut pod = pod.clone();
    let condition = json!({"type": "DisruptionTarget", "observedGeneration": object::generation(&pod), "status": "True",
        "lastProbeTime": null, "lastTransitionTime": timestamp::now(), "reason": reason, "message": message});
    let conditions = object::map_at_mut(&mut pod, &["status"]).entry("conditions").or_insert_with(|| json!([]));
    if let Value::Array(conditions) = conditions {
        conditions.retain(|c| object::str_at(c, "/type") != "DisruptionTarget");
        conditions.push(condition);
    }
    pod
}
