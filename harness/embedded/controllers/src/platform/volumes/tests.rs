//! Volumes and claims, driven against a store.

use embedded_apimachinery::resource::CORE_EVENTS;
use embedded_apimachinery::{Actor, Api, ApiExt, DeleteOptions, Store, volume_match};
use std::sync::Arc;

use super::*;
use crate::runtime::Worker;

struct Cluster {
    store: Arc<Store>,
    workers: Vec<Worker>,
    root: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let (store, root): (Arc<Store>, _) = (Arc::default(), tempfile::tempdir().unwrap());
        let binder = VolumeBinder { root: root.path().to_owned() };
        let controllers: Vec<Box<dyn Controller>> = vec![Box::new(binder), Box::new(VolumeProtection)];
        let workers = controllers.into_iter().map(|c| Worker::new(c, Arc::new(store.clone()))).collect();
        Self { store, workers, root }
    }

    fn settle(&mut self) {
        for _ in 0..1000 {
            if self.workers.iter_mut().filter_map(|worker| worker.step().then_some(())).count() == 0 {
                return;
            }
        }
        panic!("the controllers do not come to rest");
    }

    fn create(&mut self, resource: &GroupResource, object: Value) {
        let namespace = if *resource == PERSISTENT_VOLUMES || *resource == STORAGE_CLASSES { "" } else { "ns" };
        Api::create(&self.store, &Actor::system("test"), resource, namespace, object).unwrap();
        self.settle();
    }

    fn modify(&mut self, resource: &GroupResource, namespace: &str, name: &str, change: impl Fn(&mut Value)) {
        let change = &mut |object: &mut Value| {
            change(object);
            Ok(())
        };
        Api::modify(&self.store, &Actor::system("test"), resource, namespace, name, "", change).unwrap();
        self.settle();
    }

    fn delete(&mut self, resource: &GroupResource, name: &str) {
        let now = DeleteOptions { grace_period: Some(0), ..Default::default() };
        Api::delete(&self.store, &Actor::system("test"), resource, "ns", name, &now).unwrap();
        self.settle();
        // The API server removes what has no finalizer left; the bare store has to be told.
        let released = self.store.find(resource, "ns", name).is_some_and(|o| object::finalizers(&o).next().is_none());
        if released {
            Api::delete(&self.store, &Actor::system("test"), resource, "ns", name, &now).unwrap();
            self.settle();
        }
    }

    fn claim(&self, name: &str) -> Object {
        Api::get(&self.store, &PERSISTENT_VOLUME_CLAIMS, "ns", name).unwrap()
    }

    fn volume(&self, name: &str) -> Object {
        Api::get(&self.store, &PERSISTENT_VOLUMES, "", name).unwrap()
    }

    fn volumes(&self) -> Vec<Object> {
        Api::list(&self.store, &PERSISTENT_VOLUMES, None).0
    }

    fn events(&self, about: &str) -> Vec<(String, String)> {
        let events = Api::list(&self.store, &CORE_EVENTS, Some("ns")).0;
        let about = events.iter().filter(|e| str_at(e, "/involvedObject/name") == about);
        about.map(|e| (str_at(e, "/reason").to_owned(), str_at(e, "/message").to_owned())).collect()
    }
}

fn volume(name: &str, size: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"],
        "storageClassName": "manual", "persistentVolumeReclaimPolicy": "Retain"}, "status": {"phase": "Pending"}})
}

fn claim(name: &str, size: &str, class: &str) -> Value {
    json!({"metadata": {"name": name, "finalizers": ["kubernetes.io/pvc-protection"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": size}}}, "status": {"phase": "Pending"}})
}

fn user(name: &str, claim: &str, node: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"nodeName": node,
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}})
}

#[test]
fn a_claim_and_a_volume_that_suit_are_bound_to_each_other() {
    let mut cluster = Cluster::new();
    cluster.create(&PERSISTENT_VOLUMES, volume("v", "1Gi"));
    assert_eq!(cluster.volume("v")["status"]["phase"], "Available");
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, claim("big", "5Gi", "manual"));
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, claim("c", "1Gi", "manual"));
    let (bound, volume) = (cluster.claim("c"), cluster.volume("v"));
    assert_eq!(bound["spec"]["volumeName"], "v");
    assert_eq!(
        bound["metadata"]["annotations"],
        json!({"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"})
    );
    assert_eq!(
        bound["status"],
        json!({"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}})
    );
    assert_eq!(volume["status"]["phase"], "Bound");
    assert_eq!(volume["spec"]["claimRef"]["uid"], bound["metadata"]["uid"]);
    assert_eq!(volume["metadata"]["annotations"], json!({"pv.kubernetes.io/bound-by-controller": "yes"}));
    assert_eq!(cluster.claim("big")["status"], json!({"phase": "Pending"}));
    let missing = "storageclass.storage.k8s.io \"manual\" not found".to_owned();
    assert_eq!(cluster.events("big"), [("ProvisioningFailed".to_owned(), missing)]);
}

#[test]
fn a_claim_in_use_stays_and_its_volume_is_kept_from_others_afterwards() {
    let mut cluster = Cluster::new();
    cluster.create(&PERSISTENT_VOLUMES, volume("v", "1Gi"));
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, claim("c", "1Gi", "manual"));
    cluster.create(&PODS, user("p", "c", "n1"));
    cluster.delete(&PERSISTENT_VOLUME_CLAIMS, "c");
    assert!(object::is_deleting(&cluster.claim("c")));
    assert_eq!(cluster.volume("v")["status"]["phase"], "Bound");

    cluster.delete(&PODS, "p");
    cluster.delete(&PERSISTENT_VOLUME_CLAIMS, "c");
    let released = cluster.volume("v");
    assert_eq!(released["status"]["phase"], "Released");
    assert_eq!(released["spec"]["claimRef"]["name"], "c");

    cluster.create(&PERSISTENT_VOLUME_CLAIMS, claim("d", "1Gi", "manual"));
    assert_eq!(cluster.claim("d")["status"]["phase"], "Pending");
    cluster.modify(&PERSISTENT_VOLUMES, "", "v", |v| drop(v["spec"].as_object_mut().unwrap().remove("claimRef")));
    assert_eq!(cluster.claim("d")["status"]["phase"], "Bound");
}

#[test]
fn volumes_are_made_where_the_consumer_was_placed_and_removed_with_their_claim() {
    let mut cluster = Cluster::new();
    cluster.create(&STORAGE_CLASSES, default_storage_class());
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, claim("c", "1Gi", "standard"));
    let waiting = "waiting for first consumer to be created before binding".to_owned();
    assert_eq!(cluster.events("c"), [("WaitForFirstConsumer".to_owned(), waiting)]);
    assert!(cluster.volumes().is_empty());

    let select = |claim: &mut Value| object::set_annotation(claim, volume_match::SELECTED_NODE, "n1");
    cluster.modify(&PERSISTENT_VOLUME_CLAIMS, "ns", "c", select);
    assert_eq!(cluster.claim("c")["status"]["phase"], "Bound");
    let made = cluster.volumes().remove(0);
    assert_eq!(object::name(&made), format!("pvc-{}", object::uid(&cluster.claim("c"))));
    assert_eq!(made["status"]["phase"], "Bound");
    let path = PathBuf::from(str_at(&made, "/spec/hostPath/path"));
    assert!(path.starts_with(cluster.root.path()) && path.is_dir());

    std::fs::write(path.join("data"), "x").unwrap();
    cluster.delete(&PERSISTENT_VOLUME_CLAIMS, "c");
    assert!(cluster.volumes().is_empty());
    assert!(!path.exists());
}

#[test]
fn local_volumes_stay_on_their_node_and_retained_ones_keep_their_data() {
    let mut cluster = Cluster::new();
    cluster.create(
        &STORAGE_CLASSES,
        json!({"metadata": {"name": "local"}, "provisioner": LOCAL_PROVISIONER,
        "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer"}),
    );
    let mut selected = claim("c", "1Gi", "local");
    object::set_annotation(&mut selected, volume_match::SELECTED_NODE, "n1");
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, selected);
    let made = cluster.volumes().remove(0);
    let node = |name: &str| json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
    assert!(volume_match::usable_on(&made, &node("n1")) && !volume_match::usable_on(&made, &node("n2")));
    cluster.delete(&PERSISTENT_VOLUME_CLAIMS, "c");
    assert_eq!(cluster.volume(object::name(&made))["status"]["phase"], "Released");
    assert!(PathBuf::from(str_at(&made, "/spec/hostPath/path")).is_dir());
}

#[test]
fn a_claim_that_names_its_volume_gets_that_one_or_none() {
    let mut cluster = Cluster::new();
    cluster.create(&PERSISTENT_VOLUMES, volume("v", "1Gi"));
    let naming = |name: &str| {
        let mut claim = claim(name, "1Gi", "manual");
        claim["spec"]["volumeName"] = "v".into();
        claim
    };
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, naming("first"));
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, naming("second"));
    assert_eq!(cluster.claim("first")["status"]["phase"], "Bound");
    assert!(object::annotation(&cluster.claim("first"), volume_match::BOUND_BY_CONTROLLER).is_none());
    assert_eq!(cluster.claim("second")["status"]["phase"], "Pending");
    let taken = "volume \"v\" already bound to a different claim.".to_owned();
    assert_eq!(cluster.events("second"), [("FailedBinding".to_owned(), taken)]);
}

#[test]
fn a_claim_whose_volume_vanished_is_lost() {
    let mut cluster = Cluster::new();
    cluster.create(&PERSISTENT_VOLUMES, volume("v", "1Gi"));
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, claim("c", "1Gi", "manual"));
    Store::delete(&cluster.store, &PERSISTENT_VOLUMES, "", "v", |_| Ok(())).unwrap();
    cluster.settle();
    assert_eq!(cluster.claim("c")["status"]["phase"], "Lost");
}

#[test]
fn nothing_outside_of_the_volumes_root_is_ever_removed() {
    let mut cluster = Cluster::new();
    let precious = tempfile::tempdir().unwrap();
    let inside = cluster.root.path().join("..").join(precious.path().file_name().unwrap());
    for (name, path) in
        [("stranger", precious.path().to_owned()), ("climber", inside), ("root", cluster.root.path().into())]
    {
        let mut forged = volume(name, "1Gi");
        forged["metadata"]["annotations"] = json!({PROVISIONED_BY: PROVISIONER});
        forged["spec"]["persistentVolumeReclaimPolicy"] = "Delete".into();
        forged["spec"]["hostPath"] = json!({"path": path});
        forged["spec"]["claimRef"] = json!({"namespace": "ns", "name": "never", "uid": "was"});
        cluster.create(&PERSISTENT_VOLUMES, forged);
        assert_eq!(cluster.volume(name)["status"]["phase"], "Released");
    }
    assert!(precious.path().is_dir() && cluster.root.path().is_dir());
}
