//! What the tests of network policies share.

pub mod naive;
pub mod random;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

/// A cluster as tests make it.
#[derive(Clone, Debug)]
pub struct World {
    pub namespaces: BTreeMap<String, Value>,
    pub pods: Vec<PodSpec>,
    /// NetworkPolicy objects.
    pub policies: Vec<Value>,
}

#[derive(Clone, Debug)]
pub struct PodSpec {
    pub namespace: String,
    pub name: String,
    pub labels: Value,
    /// The number of its node.
    pub node: u8,
    pub address: Ipv4Addr,
    /// `containers[0].ports`.
    pub ports: Value,
}

impl PodSpec {
    pub fn object(&self) -> Value {
        let container = serde_json::json!({"name": "c", "ports": self.ports});
        serde_json::json!({
            "metadata": {"namespace": self.namespace, "name": self.name, "uid": self.name, "labels": self.labels},
            "spec": {"containers": [container]},
        })
    }
}
