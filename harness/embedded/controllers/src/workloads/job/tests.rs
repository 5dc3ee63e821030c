//! Jobs over the raw store with a kubelet that only writes statuses.

use super::*;
use crate::testing::Cluster;
use chrono::TimeDelta;
use embedded_apimachinery::object::list_at;
use serde_json::json;

fn job(spec: Value) -> Value {
    let labels = json!({"batch.kubernetes.io/controller-uid": "x", "batch.kubernetes.io/job-name": "j"});
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {
        "parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false,
        "podReplacementPolicy": "TerminatingOrFailed",
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "x"}},
        "template": {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}}}});
    for (field, value) in spec.as_object().unwrap() {
        job["spec"][field] = value.clone();
    }
    job
}

fn cluster(spec: Value) -> Cluster {
    let mut cluster = Cluster::new(vec![Box::new(Jobs), Box::new(ttl::TtlAfterFinished)]);
    cluster.create(&JOBS, job(spec));
    cluster.run();
    cluster
}

fn running(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.list(&PODS);
    pods.iter().filter(|pod| pods::is_active(pod)).map(|pod| object::name(pod).to_owned()).collect()
}

fn held(cluster: &Cluster) -> usize {
    cluster.list(&PODS).iter().filter(|pod| object::has_finalizer(pod, TRACKING)).count()
}

/// The status with its conditions as `type=status reason`, and without times.
fn summary(cluster: &Cluster) -> (Value, Vec<String>) {
    let mut status = cluster.status(&JOBS, "j");
    let map = status.as_object_mut().unwrap();
    map.retain(|field, _| !["startTime", "completionTime"].contains(&field.as_str()));
    let conditions = map.shift_remove("conditions").unwrap_or_default();
    let text = |c: &Value| format!("{}={} {}", str_at(c, "/type"), str_at(c, "/status"), str_at(c, "/reason"));
    (status, list_at(&json!({"c": conditions}), "/c").iter().map(text).collect())
}

/// What the controller would do at another time with the cluster as it is.
fn plan_at(cluster: &Cluster, later: TimeDelta) -> Plan {
    let objects = |resource: GroupResource| {
        let objects = cluster.list(&resource);
        objects.into_iter().map(move |o| (resource.clone(), Value::clone(&o))).collect::<Vec<_>>()
    };
    let view = View::of(objects(JOBS).into_iter().chain(objects(PODS)));
    Jobs.plan(&view, &ObjectKey::new("ns", "j"), Utc::now() + later)
}

#[test]
fn a_job_is_complete_when_its_pod_succeeded() {
    let mut cluster = cluster(json!({}));
    let pod = running(&cluster)[0].clone();
    assert_eq!(held(&cluster), 1);
    assert_eq!(
        summary(&cluster),
        (json!({"active": 1, "ready": 1, "terminating": 0, "uncountedTerminatedPods": {}}), vec![])
    );
    cluster.end(&pod, "Succeeded", 0);
    cluster.run();
    assert_eq!(held(&cluster), 0);
    let (status, conditions) = summary(&cluster);
    assert_eq!(status, json!({"succeeded": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}));
    assert_eq!(conditions, ["SuccessCriteriaMet=True CompletionsReached", "Complete=True CompletionsReached"]);
    let status = cluster.status(&JOBS, "j");
    assert!(status["startTime"].is_string() && status["completionTime"].is_string());
    assert_eq!(
        cluster.events(),
        [format!("Job/j: SuccessfulCreate: Created pod: {pod}"), "Job/j: Completed: Job completed".into()]
    );
}

#[test]
fn counting_can_be_interrupted_anywhere() {
    let mut cluster = cluster(json!({"completions": 2, "parallelism": 2}));
    let pods = running(&cluster);
    let uid = object::uid(&cluster.find(&PODS, &pods[0]).unwrap()).to_owned();
    cluster.end(&pods[0], "Succeeded", 0);
    // As if the controller had stopped after its first step, and again after its second.
    let noted = json!({"succeeded": [uid]});
    cluster.modify(&JOBS, "j", "status", &|job| job["status"]["uncountedTerminatedPods"] = noted.clone());
    cluster.run();
    assert_eq!(cluster.status(&JOBS, "j")["succeeded"], 1);
    cluster.modify(&JOBS, "j", "status", &|job| {
        job["status"]["uncountedTerminatedPods"] = noted.clone();
        job["status"].as_object_mut().unwrap().shift_remove("succeeded");
    });
    cluster.run();
    assert_eq!(cluster.status(&JOBS, "j")["succeeded"], 1);
    assert_eq!(cluster.status(&JOBS, "j")["uncountedTerminatedPods"], json!({}));
}

#[test]
fn indexed_jobs_run_every_index_once() {
    let mut cluster = cluster(json!({"completions": 3, "parallelism": 2, "completionMode": "Indexed"}));
    let index = |cluster: &Cluster, pod: &str| index_of(&cluster.find(&PODS, pod).unwrap()).unwrap();
    let pods = running(&cluster);
    let mut indexes: Vec<i64> = pods.iter().map(|pod| index(&cluster, pod)).collect();
    indexes.sort();
    assert_eq!(indexes, [0, 1]);
    let last = pods.iter().find(|pod| index(&cluster, pod) == 1).unwrap();
    cluster.end(last, "Succeeded", 0);
    cluster.run();
    assert_eq!(cluster.status(&JOBS, "j")["completedIndexes"], "1");
    let third = running(&cluster).into_iter().find(|pod| index(&cluster, pod) == 2).unwrap();
    let pod = cluster.find(&PODS, &third).unwrap();
    assert_eq!(str_at(&pod, "/metadata/generateName"), "j-2-");
    assert_eq!(str_at(&pod, "/spec/hostname"), "j-2");
    assert_eq!(object::label(&pod, INDEX), Some("2"));
    assert_eq!(
        pod["spec"]["containers"][0]["env"],
        json!([{"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef":
            {"fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}}}])
    );
    for pod in running(&cluster) {
        cluster.end(&pod, "Succeeded", 0);
    }
    cluster.run();
    let (status, _) = summary(&cluster);
    assert_eq!(
        status,
        json!({"succeeded": 3, "completedIndexes": "0-2", "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}})
    );
}

#[test]
fn failures_are_retried_after_a_wait_until_the_limit() {
    let mut cluster = cluster(json!({"backoffLimit": 1}));
    cluster.end(&running(&cluster)[0], "Failed", 1);
    cluster.run();
    assert_eq!(cluster.status(&JOBS, "j")["failed"], 1);
    assert!(running(&cluster).is_empty(), "the next pod waits ten seconds");
    let waiting = plan_at(&cluster, TimeDelta::seconds(5));
    assert!(waiting.actions.is_empty() && waiting.recheck.is_some_and(|wait| wait <= Duration::from_secs(5)));
    let plan = plan_at(&cluster, TimeDelta::seconds(11));
    let [Action::Create { object, .. }] = &plan.actions[..] else { panic!("{plan:?}") };
    let second = cluster.create(&PODS, object.clone());
    cluster.end(object::name(&second), "Failed", 1);
    cluster.run();
    let (status, conditions) = summary(&cluster);
    assert_eq!(status, json!({"failed": 2, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}));
    assert_eq!(conditions, ["FailureTarget=True BackoffLimitExceeded", "Failed=True BackoffLimitExceeded"]);
    let last = "Job/j: BackoffLimitExceeded: Job has reached the specified backoff limit";
    assert_eq!(cluster.events().last().unwrap(), last);
    assert!(plan_at(&cluster, TimeDelta::hours(1)).actions.is_empty());
}

#[test]
fn restarts_inside_a_pod_count_with_on_failure() {
    let template = json!({"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "x",
        "batch.kubernetes.io/job-name": "j"}}, "spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c"}]}});
    let mut cluster = cluster(json!({"backoffLimit": 1, "template": template}));
    let pod = running(&cluster)[0].clone();
    cluster.modify(&PODS, &pod, "status", &|pod| {
        pod["status"]["containerStatuses"] = json!([{"name": "c", "restartCount": 1}]);
    });
    cluster.run();
    let (status, conditions) = summary(&cluster);
    assert_eq!(status, json!({"failed": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}));
    assert_eq!(conditions, ["FailureTarget=True BackoffLimitExceeded", "Failed=True BackoffLimitExceeded"]);
    assert!(cluster.list(&PODS).is_empty());
    assert!(cluster.events().contains(&format!("Job/j: SuccessfulDelete: Deleted pod: {pod}")));
}

#[test]
fn a_deadline_ends_a_job_and_its_pods() {
    let mut cluster = cluster(json!({"activeDeadlineSeconds": 100}));
    cluster.modify(&JOBS, "j", "status", &|job| job["status"]["startTime"] = "2020-01-01T00:00:00Z".into());
    cluster.settle();
    let (status, conditions) = summary(&cluster);
    assert_eq!(status, json!({"failed": 1, "ready": 0, "terminating": 1, "uncountedTerminatedPods": {}}));
    assert_eq!(conditions, ["FailureTarget=True DeadlineExceeded"], "not over while the pod is still ending");
    cluster.run();
    let (_, conditions) = summary(&cluster);
    assert_eq!(conditions, ["FailureTarget=True DeadlineExceeded", "Failed=True DeadlineExceeded"]);
}

#[test]
fn suspension_takes_the_pods_away_without_counting_them() {
    let mut cluster = cluster(json!({"suspend": true, "parallelism": 2, "completions": 2}));
    let suspended = (
        json!({"ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}),
        vec!["Suspended=True JobSuspended".to_owned()],
    );
    assert_eq!(summary(&cluster), suspended);
    assert_eq!(cluster.status(&JOBS, "j").get("startTime"), None);
    let suspend = |cluster: &Cluster, suspend: bool| {
        cluster.modify(&JOBS, "j", "", &|job| job["spec"]["suspend"] = suspend.into());
    };
    suspend(&cluster, false);
    cluster.run();
    let (status, conditions) = summary(&cluster);
    assert_eq!(status, json!({"active": 2, "ready": 2, "terminating": 0, "uncountedTerminatedPods": {}}));
    assert_eq!(conditions, ["Suspended=False JobResumed"]);
    assert!(cluster.status(&JOBS, "j")["startTime"].is_string());
    suspend(&cluster, true);
    cluster.run();
    assert_eq!(summary(&cluster), suspended);
    assert_eq!(cluster.status(&JOBS, "j").get("startTime"), None);
    assert!(cluster.list(&PODS).is_empty());
}

#[test]
fn a_failure_policy_can_end_the_job_at_once() {
    let rules = json!({"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]});
    let mut cluster = cluster(json!({"podFailurePolicy": rules}));
    cluster.end(&running(&cluster)[0], "Failed", 42);
    cluster.run();
    let (status, conditions) = summary(&cluster);
    assert_eq!(status, json!({"failed": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}));
    assert_eq!(conditions, ["FailureTarget=True PodFailurePolicy", "Failed=True PodFailurePolicy"]);
}

#[test]
fn an_index_has_its_own_limit() {
    let mut cluster = cluster(json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed",
        "backoffLimitPerIndex": 0, "backoffLimit": i32::MAX}));
    let pods = running(&cluster);
    let of_index = |cluster: &Cluster, index: i64| {
        pods.iter().find(|pod| index_of(&cluster.find(&PODS, pod).unwrap()) == Some(index)).unwrap().clone()
    };
    cluster.end(&of_index(&cluster, 0), "Failed", 1);
    cluster.run();
    assert_eq!(cluster.status(&JOBS, "j")["failedIndexes"], "0");
    assert_eq!(running(&cluster).len(), 1, "the other index goes on");
    cluster.end(&of_index(&cluster, 1), "Succeeded", 0);
    cluster.run();
    let (_, conditions) = summary(&cluster);
    assert_eq!(conditions, ["FailureTarget=True FailedIndexes", "Failed=True FailedIndexes"]);
}

#[test]
fn a_success_policy_ends_the_job_early() {
    let mut cluster = cluster(json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed",
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]}}));
    let pods = running(&cluster);
    let leader = pods.iter().find(|pod| index_of(&cluster.find(&PODS, pod).unwrap()) == Some(0)).unwrap();
    cluster.end(leader, "Succeeded", 0);
    cluster.run();
    let (status, conditions) = summary(&cluster);
    assert_eq!(conditions, ["SuccessCriteriaMet=True SuccessPolicy", "Complete=True SuccessPolicy"]);
    assert_eq!(status["completedIndexes"], "0");
}

#[test]
fn without_completions_one_success_is_enough() {
    let mut cluster = cluster(json!({"completions": null, "parallelism": 2}));
    let pods = running(&cluster);
    cluster.end(&pods[0], "Succeeded", 0);
    cluster.run();
    assert_eq!(running(&cluster), [pods[1].clone()]);
    assert_eq!(summary(&cluster).1, [""; 0]);
    cluster.end(&pods[1], "Succeeded", 0);
    cluster.run();
    assert_eq!(summary(&cluster).1.len(), 2);
}

#[test]
fn pods_of_a_job_that_is_gone_are_let_go() {
    let mut cluster = cluster(json!({}));
    cluster.delete(&JOBS, "j");
    cluster.run();
    assert_eq!(held(&cluster), 0);
}

#[test]
fn less_parallelism_removes_pods_without_counting_them() {
    let mut cluster = cluster(json!({"parallelism": 3, "completions": 3}));
    cluster.modify(&JOBS, "j", "", &|job| job["spec"]["parallelism"] = 1.into());
    cluster.run();
    assert_eq!(cluster.list(&PODS).len(), 1);
    assert_eq!(cluster.status(&JOBS, "j").get("failed"), None);
}

#[test]
fn a_job_that_another_controller_manages_is_left_alone() {
    let cluster = cluster(json!({"managedBy": "example.com/other"}));
    assert!(cluster.list(&PODS).is_empty());
    assert_eq!(cluster.find(&JOBS, "j").unwrap().get("status"), None);
}

#[test]
fn finished_jobs_go_after_their_time() {
    let mut cluster = cluster(json!({"ttlSecondsAfterFinished": 0}));
    cluster.end(&running(&cluster)[0], "Succeeded", 0);
    cluster.run();
    assert!(cluster.list(&JOBS).is_empty());
}

#[test]
fn absurd_periods_are_long_and_nothing_else() {
    let mut cluster = cluster(json!({"activeDeadlineSeconds": i64::MAX, "ttlSecondsAfterFinished": i64::MAX}));
    cluster.end(&running(&cluster)[0], "Succeeded", 0);
    cluster.run();
    assert_eq!(summary(&cluster).1.len(), 2);
}
