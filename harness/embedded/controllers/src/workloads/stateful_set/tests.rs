//! StatefulSets over the raw store with a kubelet that only writes statuses.

use super::*;
use crate::testing::Cluster;
use embedded_apimachinery::Store;
use serde_json::json;

fn web(replicas: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "serviceName": "web-svc", "selector": {"matchLabels": {"app": "web"}},
        "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "env": [{"name": "V", "value": "1"}]}]}}}})
}

fn with_claims(mut set: Value) -> Value {
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Pending"}}]);
    set
}

fn cluster(set: Value) -> Cluster {
    let cluster = Cluster::new(vec![Box::new(StatefulSets)]);
    cluster.create(&STATEFUL_SETS, set);
    cluster
}

fn set_spec(cluster: &Cluster, pointer: &str, value: Value) {
    cluster.modify(&STATEFUL_SETS, "web", "", &|set| {
        *set.pointer_mut(&format!("/spec{pointer}")).unwrap() = value.clone();
    });
}

const VERSION: &str = "/template/spec/containers/0/env/0/value";

/// Each pod with the version in its environment.
fn versions(cluster: &Cluster) -> Vec<(String, String)> {
    let version = |pod: &Object| str_at(pod, "/spec/containers/0/env/0/value").to_owned();
    cluster.list(&PODS).iter().map(|pod| (object::name(pod).to_owned(), version(pod))).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
}

#[test]
fn pods_have_an_identity() {
    let mut cluster = cluster(with_claims(web(1)));
    cluster.run();
    let pod = cluster.find(&PODS, "web-0").unwrap();
    let revision = &cluster.names(&CONTROLLER_REVISIONS)[0];
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"app": "web", "apps.kubernetes.io/pod-index": "0", "controller-revision-hash": revision,
            "statefulset.kubernetes.io/pod-name": "web-0"})
    );
    assert_eq!(str_at(&pod, "/spec/hostname"), "web-0");
    assert_eq!(str_at(&pod, "/spec/subdomain"), "web-svc");
    assert_eq!(pod["spec"]["volumes"], json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]));
    let claim = cluster.find(&PERSISTENT_VOLUME_CLAIMS, "data-web-0").unwrap();
    assert_eq!(claim["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!(claim.get("status"), None);
    assert_eq!(
        cluster.events(),
        [
            "StatefulSet/web: SuccessfulCreate: Create Claim data-web-0 Pod web-0 in StatefulSet web success",
            "StatefulSet/web: SuccessfulCreate: Create Pod web-0 in StatefulSet web successful",
        ]
    );
}

#[test]
fn revisions_hold_the_template() {
    let mut cluster = cluster(web(1));
    cluster.run();
    let revision = &cluster.list(&CONTROLLER_REVISIONS)[0];
    let hash = object::label(revision, "controller.kubernetes.io/hash").unwrap();
    assert_eq!(object::name(revision), format!("web-{hash}"));
    assert_eq!(object::label(revision, "app"), Some("web"));
    assert_eq!(revision["revision"], 1);
    assert_eq!(revision["data"]["spec"]["template"]["$patch"], "replace");
}

#[test]
fn an_unready_pod_holds_back_its_successors() {
    let mut cluster = cluster(web(3));
    cluster.settle();
    assert_eq!(cluster.names(&PODS), ["web-0"]);
    cluster.ready("web-0", false);
    cluster.settle();
    assert_eq!(cluster.names(&PODS), ["web-0"]);
    let revision = cluster.names(&CONTROLLER_REVISIONS)[0].clone();
    assert_eq!(
        cluster.status(&STATEFUL_SETS, "web"),
        json!({"observedGeneration": 1, "replicas": 1, "currentReplicas": 1, "updatedReplicas": 1,
            "currentRevision": revision, "updateRevision": revision, "collisionCount": 0, "availableReplicas": 0})
    );
    cluster.ready("web-0", true);
    cluster.settle();
    assert_eq!(cluster.names(&PODS), ["web-0", "web-1"]);
    cluster.ready("web-0", false);
    cluster.ready("web-1", true);
    cluster.settle();
    assert_eq!(cluster.names(&PODS), ["web-0", "web-1"], "web-0 is unready again, so web-2 must wait");
    cluster.ready("web-0", true);
    cluster.settle();
    assert_eq!(cluster.names(&PODS), ["web-0", "web-1", "web-2"]);
}

#[test]
fn scaling_down_goes_from_the_highest_and_waits_for_unready_pods() {
    let mut cluster = cluster(web(3));
    cluster.run();
    cluster.ready("web-0", false);
    set_spec(&cluster, "/replicas", 1.into());
    cluster.settle();
    assert_eq!(cluster.names(&PODS).len(), 3, "nothing goes while web-0 is unready");
    assert!(cluster.list(&PODS).iter().all(|pod| !object::is_deleting(pod)));
    cluster.ready("web-0", true);
    cluster.settle();
    let going = |cluster: &Cluster| {
        let pods = cluster.list(&PODS);
        pods.iter().filter(|pod| object::is_deleting(pod)).map(|pod| object::name(pod).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(going(&cluster), ["web-2"], "one at a time");
    cluster.finish_deletions();
    cluster.settle();
    assert_eq!(going(&cluster), ["web-1"]);
    cluster.run();
    assert_eq!(cluster.names(&PODS), ["web-0"]);
}

#[test]
fn parallel_sets_wait_for_nobody() {
    let mut set = web(3);
    set["spec"]["podManagementPolicy"] = "Parallel".into();
    let mut cluster = cluster(set);
    cluster.settle();
    assert_eq!(cluster.names(&PODS), ["web-0", "web-1", "web-2"]);
    set_spec(&cluster, "/replicas", 0.into());
    cluster.settle();
    assert!(cluster.list(&PODS).iter().all(|pod| object::is_deleting(pod)));
}

#[test]
fn a_partition_holds_back_the_lower_ordinals() {
    let mut set = web(3);
    set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 2.into();
    let mut cluster = cluster(set);
    cluster.run();
    set_spec(&cluster, VERSION, "2".into());
    cluster.run();
    assert_eq!(versions(&cluster), pairs([("web-0", "1"), ("web-1", "1"), ("web-2", "2")]));
    let status = cluster.status(&STATEFUL_SETS, "web");
    assert_eq!((&status["currentReplicas"], &status["updatedReplicas"]), (&json!(2), &json!(1)));
    assert_ne!(status["currentRevision"], status["updateRevision"]);

    cluster.delete(&PODS, "web-0");
    cluster.run();
    assert_eq!(versions(&cluster)[0], ("web-0".into(), "1".into()), "it comes back at the old revision");

    set_spec(&cluster, "/updateStrategy/rollingUpdate/partition", 0.into());
    cluster.run();
    assert_eq!(versions(&cluster), pairs([("web-0", "2"), ("web-1", "2"), ("web-2", "2")]));
    let status = cluster.status(&STATEFUL_SETS, "web");
    assert_eq!((&status["currentReplicas"], &status["updatedReplicas"]), (&json!(3), &json!(3)));
    assert_eq!(status["currentRevision"], status["updateRevision"]);
}

#[test]
fn updates_go_one_by_one_from_the_highest() {
    let mut cluster = cluster(web(3));
    cluster.run();
    set_spec(&cluster, VERSION, "2".into());
    cluster.settle();
    let deleting = cluster.list(&PODS).iter().filter(|pod| object::is_deleting(pod)).count();
    assert_eq!(deleting, 1);
    cluster.finish_deletions();
    cluster.settle();
    assert_eq!(versions(&cluster), pairs([("web-0", "1"), ("web-1", "1"), ("web-2", "2")]));
    assert!(cluster.list(&PODS).iter().all(|pod| !object::is_deleting(pod)), "web-2 is not ready yet");
}

#[test]
fn a_broken_update_stays_stuck_even_when_it_is_taken_back() {
    let mut cluster = cluster(web(2));
    cluster.run();
    set_spec(&cluster, VERSION, "broken".into());
    cluster.settle();
    cluster.finish_deletions();
    cluster.settle();
    cluster.ready("web-1", false);
    set_spec(&cluster, VERSION, "1".into());
    cluster.run();
    assert_eq!(versions(&cluster), pairs([("web-0", "1"), ("web-1", "broken")]));
    cluster.delete(&PODS, "web-1");
    cluster.run();
    assert_eq!(versions(&cluster), pairs([("web-0", "1"), ("web-1", "1")]));
    assert_eq!(cluster.list(&CONTROLLER_REVISIONS).len(), 2, "the first revision is in use again");
}

#[test]
fn on_delete_updates_only_what_is_deleted() {
    let mut set = web(2);
    set["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    let mut cluster = cluster(set);
    cluster.run();
    set_spec(&cluster, VERSION, "2".into());
    cluster.run();
    assert_eq!(versions(&cluster), pairs([("web-0", "1"), ("web-1", "1")]));
    assert_eq!(cluster.status(&STATEFUL_SETS, "web").get("updatedReplicas"), None);
    cluster.delete(&PODS, "web-0");
    cluster.run();
    assert_eq!(versions(&cluster), pairs([("web-0", "2"), ("web-1", "1")]));
}

#[test]
fn ordinals_may_start_elsewhere_and_orphans_are_adopted() {
    let mut set = web(2);
    set["spec"]["ordinals"] = json!({"start": 5});
    let mut cluster = cluster(set.clone());
    cluster.run();
    assert_eq!(cluster.names(&PODS), ["web-5", "web-6"]);
    let uid = object::uid(&cluster.find(&PODS, "web-5").unwrap()).to_owned();
    cluster.delete(&STATEFUL_SETS, "web");
    for (resource, name) in
        [(PODS, "web-5"), (PODS, "web-6"), (CONTROLLER_REVISIONS, &cluster.names(&CONTROLLER_REVISIONS)[0])]
    {
        cluster.modify(&resource, name, "", &|o| {
            object::metadata_mut(o).remove("ownerReferences");
        });
    }
    cluster.create(&STATEFUL_SETS, set);
    cluster.run();
    let adopted = cluster.find(&PODS, "web-5").unwrap();
    assert_eq!(object::uid(&adopted), uid);
    assert_eq!(object::owner_references(&adopted).len(), 1);
    assert_eq!(cluster.list(&CONTROLLER_REVISIONS).len(), 1);
}

#[test]
fn a_failed_pod_is_replaced_under_its_name() {
    let mut cluster = cluster(web(1));
    cluster.run();
    let before = cluster.find(&PODS, "web-0").unwrap();
    cluster.end("web-0", "Failed", 1);
    cluster.run();
    let after = cluster.find(&PODS, "web-0").unwrap();
    assert_ne!(object::uid(&before), object::uid(&after));
    let note = "StatefulSet/web: RecreatingFailedPod: StatefulSet ns/web is recreating failed Pod web-0";
    assert!(cluster.events().contains(&note.to_owned()));
}

#[test]
fn claims_are_owned_as_the_retention_policy_says() {
    let owners = |cluster: &Cluster, claim: &str| -> Vec<String> {
        let claim = cluster.find(&PERSISTENT_VOLUME_CLAIMS, claim).unwrap();
        object::owner_references(&claim)
            .iter()
            .map(|r| format!("{}/{}", r["kind"], r["name"]).replace('"', ""))
            .collect()
    };
    let none: [&str; 0] = [];
    let mut set = with_claims(web(2));
    set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    let mut cluster = cluster(set);
    cluster.run();
    assert_eq!(owners(&cluster, "data-web-1"), none);
    set_spec(&cluster, "/persistentVolumeClaimRetentionPolicy/whenDeleted", "Delete".into());
    cluster.run();
    assert_eq!(owners(&cluster, "data-web-1"), ["StatefulSet/web"]);
    set_spec(&cluster, "/persistentVolumeClaimRetentionPolicy/whenScaled", "Delete".into());
    set_spec(&cluster, "/replicas", 1.into());
    cluster.settle();
    assert_eq!(owners(&cluster, "data-web-0"), ["StatefulSet/web"]);
    assert_eq!(owners(&cluster, "data-web-1"), ["Pod/web-1"]);
}

#[test]
fn a_pod_waits_until_the_claim_of_its_predecessor_is_gone() {
    let mut cluster = cluster(with_claims(web(1)));
    cluster.run();
    cluster.modify(&PERSISTENT_VOLUME_CLAIMS, "data-web-0", "", &|claim| {
        claim["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
    });
    cluster.delete(&PODS, "web-0");
    cluster.run();
    assert!(cluster.names(&PODS).is_empty());
    Store::delete(&cluster.store, &PERSISTENT_VOLUME_CLAIMS, "ns", "data-web-0", |_| Ok(())).unwrap();
    cluster.run();
    assert_eq!(cluster.names(&PODS), ["web-0"]);
}
