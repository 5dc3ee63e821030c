//! The cluster as the scheduler sees it: nodes with what runs on them, namespaces, volumes and budgets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::pod_resources;
use embedded_apimachinery::resource::{
    NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, POD_DISRUPTION_BUDGETS, STORAGE_CLASSES,
};
use embedded_apimachinery::{GroupResource, Object, ObjectKey};

use crate::pod::{Amounts, PodInfo, amounts};

/// A node and the pods bound to it, or assumed to be.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    pub object: Object,
    pub allocatable: Amounts,
    /// By uid. Pods that have ended are not here: they use nothing.
    pub pods: BTreeMap<String, Arc<PodInfo>>,
}

/// Cheap to clone: objects are shared.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub nodes: BTreeMap<String, NodeInfo>,
    /// Bound pods by uid, with those of nodes that are not known (yet).
    bound: HashMap<String, Arc<PodInfo>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    objects: HashMap<GroupResource, BTreeMap<ObjectKey, Object>>,
}

impl NodeInfo {
    pub fn name(&self) -> &str {
        object::name(&self.object)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        object::label(&self.object, key)
    }

    /// The sum of the requests of its pods for one resource.
    pub fn requested(&self, resource: &str) -> i128 {
        self.pods.values().filter_map(|pod| pod.requests.get(resource)).sum()
    }
}

impl Cluster {
    /// Resources that [`Cluster::put`] takes.
    pub const RESOURCES: [GroupResource; 6] =
        [NODES, NAMESPACES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, POD_DISRUPTION_BUDGETS];

    /// Takes in an object other than a pod.
    pub fn put(&mut self, resource: &GroupResource, object: Object) {
        if *resource == NODES {
            self.put_node(object);
        } else if *resource == NAMESPACES {
            self.namespaces.insert(object::name(&object).to_owned(), object::labels(&object));
        } else {
            self.objects.entry(resource.clone()).or_default().insert(ObjectKey::of(&object), object);
        }
    }

    pub fn remove(&mut self, resource: &GroupResource, key: &ObjectKey) {
        if *resource == NODES {
            self.nodes.remove(&key.name);
        } else if *resource == NAMESPACES {
            self.namespaces.remove(&key.name);
        } else if let Some(objects) = self.objects.get_mut(resource) {
            objects.remove(key);
        }
    }

    fn put_node(&mut self, node: Object) {
        let name = object::name(&node).to_owned();
        let allocatable = amounts(&pod_resources::quantities(node.pointer("/status/allocatable")));
        let pods = match self.nodes.remove(&name) {
            Some(known) => known.pods,
            None => {
                let here = self.bound.iter().filter(|(_, pod)| pod.node() == name);
                here.map(|(uid, pod)| (uid.clone(), pod.clone())).collect()
            }
        };
        self.nodes.insert(name, NodeInfo { object: node, allocatable, pods });
    }

    /// Counts a pod on the node it is bound to. A pod that has ended counts no longer.
    pub fn put_pod(&mut self, pod: &Arc<PodInfo>) {
        self.remove_pod(pod.uid());
        if pod.node().is_empty() || object::pod_is_terminal(&pod.object) {
            return;
        }
        self.bound.insert(pod.uid().to_owned(), pod.clone());
        self.assume(pod, pod.node());
    }

    /// Counts a pod on a node before the binding is seen.
    pub fn assume(&mut self, pod: &Arc<PodInfo>, node: &str) {
        if let Some(info) = self.nodes.get_mut(node) {
            info.pods.insert(pod.uid().to_owned(), pod.clone());
        }
    }

    pub fn remove_pod(&mut self, uid: &str) {
        self.bound.remove(uid);
        for node in self.nodes.values_mut() {
            node.pods.remove(uid);
        }
    }

    pub fn namespace_labels(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(namespace)
    }

    pub fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<&Object> {
        self.objects.get(resource)?.get(&ObjectKey::new(namespace, name))
    }

    pub fn all(&self, resource: &GroupResource) -> impl Iterator<Item = &Object> {
        self.objects.get(resource).into_iter().flat_map(BTreeMap::values)
    }

    /// Every pod on a known node.
    pub fn pods(&self) -> impl Iterator<Item = (&NodeInfo, &Arc<PodInfo>)> {
        self.nodes.values().flat_map(|node| node.pods.values().map(move |pod| (node, pod)))
    }

    /// The storage class of a claim, if it names one that exists.
    pub fn class_of(&self, claim: &Object) -> Option<&Object> {
        self.get(&STORAGE_CLASSES, "", str_at(claim, "/spec/storageClassName"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(uid: &str, node: &str, phase: &str) -> Arc<PodInfo> {
        Arc::new(PodInfo::new(Object::new(json!({"metadata": {"name": uid, "namespace": "ns", "uid": uid},
            "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": "100m"}}}]},
            "status": {"phase": phase}}))))
    }

    fn node(name: &str) -> Object {
        Object::new(json!({"metadata": {"name": name}}))
    }

    #[test]
    fn pods_count_on_their_node_whichever_is_seen_first() {
        let mut cluster = Cluster::default();
        cluster.put_pod(&pod("early", "n1", "Running"));
        cluster.put(&NODES, node("n1"));
        cluster.put_pod(&pod("late", "n1", "Pending"));
        assert_eq!(cluster.nodes["n1"].requested("cpu"), 200);
        cluster.put(&NODES, node("n1"));
        assert_eq!(cluster.nodes["n1"].requested("cpu"), 200);
    }

    #[test]
    fn pods_that_ended_free_what_they_had() {
        let mut cluster = Cluster::default();
        cluster.put(&NODES, node("n1"));
        cluster.put_pod(&pod("p", "n1", "Running"));
        cluster.put_pod(&pod("p", "n1", "Succeeded"));
        assert_eq!(cluster.nodes["n1"].requested("cpu"), 0);
    }
}
