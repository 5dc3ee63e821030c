//! Roll-outs over the raw store, with ReplicaSets and a kubelet that only writes statuses.

use super::*;
use crate::testing::Cluster;
use crate::workloads::replica_set::ReplicaSets;
use embedded_apimachinery::object::condition;
use serde_json::json;

fn web(replicas: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 10,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "env": [{"name": "V", "value": "1"}]}]}}}})
}

fn cluster(deployment: Value) -> Cluster {
    let cluster = Cluster::new(vec![Box::new(Deployments), Box::new(ReplicaSets)]);
    cluster.create(&DEPLOYMENTS, deployment);
    cluster
}

fn set_version(cluster: &Cluster, version: &str) {
    let set = |d: &mut Value| d["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = version.into();
    cluster.modify(&DEPLOYMENTS, "web", "", &set);
}

fn set_spec(cluster: &Cluster, field: &str, value: Value) {
    cluster.modify(&DEPLOYMENTS, "web", "", &|d| d["spec"][field] = value.clone());
}

/// Revision, history and size of every ReplicaSet, by revision.
fn revisions(cluster: &Cluster) -> Vec<(i64, String, i64)> {
    let annotation = |set: &Object, key| object::annotation(set, key).unwrap_or_default().to_owned();
    let mut revisions: Vec<_> = cluster
        .list(&REPLICA_SETS)
        .iter()
        .map(|set| {
            let revision = annotation(set, family::REVISION).parse().unwrap();
            (revision, annotation(set, "deployment.kubernetes.io/revision-history"), replicas(set))
        })
        .collect();
    revisions.sort();
    revisions
}

fn reason(cluster: &Cluster, kind: &str) -> String {
    let deployment = cluster.find(&DEPLOYMENTS, "web").unwrap();
    str_at(condition(&deployment, kind).unwrap_or(&Value::Null), "/reason").to_owned()
}

/// Sizes of the sets by revision.
fn sizes(cluster: &Cluster) -> Vec<i64> {
    revisions(cluster).into_iter().map(|(_, _, size)| size).collect()
}

#[test]
fn a_new_deployment_becomes_available() {
    let mut cluster = cluster(web(2));
    cluster.run();
    let set = &cluster.list(&REPLICA_SETS)[0];
    let hash = object::label(set, "pod-template-hash").unwrap();
    assert_eq!(object::name(set), format!("web-{hash}"));
    assert_eq!(
        set["metadata"]["annotations"],
        json!({"deployment.kubernetes.io/desired-replicas": "2", "deployment.kubernetes.io/max-replicas": "3",
            "deployment.kubernetes.io/revision": "1"})
    );
    assert_eq!(set["spec"]["selector"], json!({"matchLabels": {"app": "web", "pod-template-hash": hash}}));
    let deployment = cluster.find(&DEPLOYMENTS, "web").unwrap();
    assert_eq!(object::annotation(&deployment, family::REVISION), Some("1"));
    let mut status = deployment["status"].clone();
    let conditions = status["conditions"].take();
    assert_eq!(
        status,
        json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
            "availableReplicas": 2, "terminatingReplicas": 0, "conditions": null})
    );
    let mut texts: Vec<_> = conditions.as_array().unwrap().iter().map(|c| str_at(c, "/message").to_owned()).collect();
    texts.sort();
    assert_eq!(
        texts,
        [
            "Deployment has minimum availability.".to_owned(),
            format!("ReplicaSet \"web-{hash}\" has successfully progressed.")
        ]
    );
    let scaling = format!("Deployment/web: ScalingReplicaSet: Scaled up replica set web-{hash} from 0 to 2");
    assert_eq!(cluster.events().iter().filter(|e| e.starts_with("Deployment/")).collect::<Vec<_>>(), [&scaling]);
}

#[test]
fn going_back_to_a_template_reuses_its_set() {
    let mut cluster = cluster(web(1));
    cluster.run();
    set_version(&cluster, "2");
    cluster.run();
    set_version(&cluster, "1");
    cluster.run();
    assert_eq!(revisions(&cluster), [(2, String::new(), 0), (3, "1".into(), 1)]);
    let deployment = cluster.find(&DEPLOYMENTS, "web").unwrap();
    assert_eq!(object::annotation(&deployment, family::REVISION), Some("3"));
    assert_eq!(reason(&cluster, "Progressing"), "NewReplicaSetAvailable");
}

#[test]
fn a_rolling_update_keeps_to_its_bounds() {
    let mut cluster = cluster(web(4));
    cluster.run();
    set_version(&cluster, "2");
    let mut steps = 0;
    while sizes(&cluster) != [0, 4] {
        cluster.settle();
        let pods = cluster.list(&PODS);
        let active = pods.iter().filter(|pod| pods::is_active(pod)).count();
        let available = pods.iter().filter(|pod| pods::is_active(pod) && object::pod_is_ready(pod)).count();
        assert!(active <= 5, "at most 25% too many, found {active}");
        assert!(available >= 3, "at most 25% missing, found {available}");
        let unready = pods.iter().find(|pod| str_at(pod, "/status/phase").is_empty()).cloned();
        if let Some(pod) = unready {
            cluster.ready(object::name(&pod), true);
        }
        cluster.finish_deletions();
        steps += 1;
        assert!(steps < 100, "stuck at {:?}", sizes(&cluster));
    }
    assert!(steps > 2, "a rolling update takes several steps");
}

#[test]
fn an_update_that_never_gets_ready_keeps_the_old_pods() {
    let mut cluster = cluster(web(4));
    cluster.run();
    set_version(&cluster, "2");
    cluster.settle();
    cluster.finish_deletions();
    cluster.settle();
    assert_eq!(sizes(&cluster), [3, 2]);
    assert_eq!(reason(&cluster, "Available"), "MinimumReplicasAvailable");
    let status = cluster.status(&DEPLOYMENTS, "web");
    assert_eq!(status["unavailableReplicas"], 2);
    assert_eq!(status["updatedReplicas"], 2);
}

#[test]
fn resizing_in_the_middle_of_a_roll_out_is_proportional() {
    let mut cluster = cluster(web(10));
    cluster.run();
    set_version(&cluster, "2");
    cluster.settle();
    assert_eq!(sizes(&cluster), [8, 5]);
    set_spec(&cluster, "replicas", 20.into());
    cluster.settle();
    // 20 + 25% are 25: 8 and 5 of 13 in proportion, the larger set takes the rest.
    assert_eq!(sizes(&cluster), [15, 10]);
}

#[test]
fn recreate_waits_for_the_old_pods_to_be_gone() {
    let mut deployment = web(2);
    deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    let mut cluster = cluster(deployment);
    cluster.run();
    set_version(&cluster, "2");
    cluster.settle();
    assert_eq!(sizes(&cluster), [0]);
    assert_eq!(cluster.list(&PODS).len(), 2);
    cluster.finish_deletions();
    cluster.settle();
    assert_eq!(sizes(&cluster), [0, 2]);
}

#[test]
fn a_paused_deployment_is_resized_but_not_rolled_out() {
    let mut cluster = cluster(web(1));
    cluster.run();
    set_spec(&cluster, "paused", true.into());
    set_version(&cluster, "2");
    set_spec(&cluster, "replicas", 2.into());
    cluster.run();
    assert_eq!(sizes(&cluster), [2]);
    assert_eq!(reason(&cluster, "Progressing"), "DeploymentPaused");
    assert_eq!(cluster.status(&DEPLOYMENTS, "web").get("updatedReplicas"), None);
    set_spec(&cluster, "paused", false.into());
    cluster.run();
    assert_eq!(sizes(&cluster), [0, 2]);
    assert_eq!(reason(&cluster, "Progressing"), "NewReplicaSetAvailable");
}

#[test]
fn old_revisions_are_forgotten_beyond_the_limit() {
    let mut deployment = web(1);
    deployment["spec"]["revisionHistoryLimit"] = 1.into();
    let mut cluster = cluster(deployment);
    cluster.run();
    for version in ["2", "3", "4"] {
        set_version(&cluster, version);
        cluster.run();
    }
    assert_eq!(revisions(&cluster), [(3, String::new(), 0), (4, String::new(), 1)]);
}

#[test]
fn a_roll_out_that_does_not_move_misses_its_deadline() {
    let mut cluster = cluster(web(1));
    cluster.settle();
    assert_eq!(reason(&cluster, "Progressing"), "ReplicaSetUpdated");
    let view = View::of(cluster.list(&DEPLOYMENTS).iter().map(|d| (DEPLOYMENTS, Value::clone(d))));
    let deadline_passed = Utc::now() + chrono::TimeDelta::seconds(602);
    let plan = Deployments.settle(&view, &ObjectKey::new("ns", "web"), deadline_passed, &Outcome::default());
    let [crate::runtime::Action::SetStatus { status, .. }] = &plan.actions[..] else { panic!("{plan:?}") };
    let late = status["conditions"].as_array().unwrap().iter().find(|c| str_at(c, "/type") == "Progressing").unwrap();
    assert_eq!((str_at(late, "/status"), str_at(late, "/reason")), ("False", "ProgressDeadlineExceeded"));
}

#[test]
fn sets_left_by_an_earlier_deployment_are_adopted() {
    let mut cluster = cluster(web(1));
    cluster.run();
    let pod = cluster.names(&PODS)[0].clone();
    let set = cluster.names(&REPLICA_SETS)[0].clone();
    cluster.delete(&DEPLOYMENTS, "web");
    cluster.modify(&REPLICA_SETS, &set, "", &|set| {
        object::metadata_mut(set).remove("ownerReferences");
    });
    cluster.create(&DEPLOYMENTS, web(1));
    cluster.run();
    assert_eq!(cluster.names(&PODS), [pod]);
    assert_eq!(cluster.names(&REPLICA_SETS), [set]);
}

#[test]
fn annotations_are_handed_down_except_kubectls() {
    let mut deployment = web(1);
    deployment["metadata"]["annotations"] =
        json!({"team": "a", "kubectl.kubernetes.io/last-applied-configuration": "{}"});
    let mut cluster = cluster(deployment);
    cluster.run();
    let set = &cluster.list(&REPLICA_SETS)[0];
    assert_eq!(object::annotation(set, "team"), Some("a"));
    assert_eq!(object::annotation(set, "kubectl.kubernetes.io/last-applied-configuration"), None);
}

#[test]
fn an_empty_deployment_is_complete_before_its_set_is_looked_at() {
    let mut cluster = Cluster::new(vec![Box::new(Deployments)]);
    cluster.create(&DEPLOYMENTS, web(0));
    cluster.settle();
    assert_eq!(reason(&cluster, "Progressing"), "NewReplicaSetAvailable");
    assert_eq!(cluster.status(&DEPLOYMENTS, "web")["terminatingReplicas"], 0);
}
