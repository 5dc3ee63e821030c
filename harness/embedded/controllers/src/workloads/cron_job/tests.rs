//! CronJobs over the raw store; the time is told to the plan.

use super::*;
use crate::testing::Cluster;

fn cron_job(spec: Value) -> Value {
    let mut cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {
        "schedule": "0 3 * * *", "concurrencyPolicy": "Allow", "suspend": false,
        "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1,
        "jobTemplate": {"metadata": {"labels": {"l": "v"}}, "spec": {"template": {"spec": {}}}}}});
    for (field, value) in spec.as_object().unwrap() {
        cron_job["spec"][field] = value.clone();
    }
    cron_job
}

/// One that was created at a time when yesterday's firing had not come yet.
fn cluster(spec: Value) -> Cluster {
    let mut cluster = Cluster::new(vec![Box::new(CronJobs)]);
    let mut cron_job = cron_job(spec);
    cron_job["metadata"] = json!({"name": "c", "namespace": "ns", "uid": "u", "generation": 1,
        "creationTimestamp": timestamp::format(Utc::now() - TimeDelta::hours(24))});
    embedded_apimachinery::Store::create(&cluster.store, &CRON_JOBS, cron_job).unwrap();
    cluster.settle();
    cluster
}

fn finish(cluster: &Cluster, job: &str, kind: &str) {
    cluster.modify(&JOBS, job, "status", &|job| {
        job["status"] = json!({"startTime": "2030-01-01T00:00:00Z", "completionTime": "2030-01-01T00:00:07Z",
            "conditions": [{"type": kind, "status": "True"}]});
    });
}

/// What the controller would do at this time about a CronJob with this status.
fn plan(spec: Value, status: Value, jobs: Vec<Value>, now: &str) -> Plan {
    let mut cron_job = cron_job(spec);
    cron_job["metadata"] =
        json!({"name": "c", "namespace": "ns", "uid": "u", "creationTimestamp": "2030-01-01T00:00:00Z"});
    cron_job["status"] = status;
    let owned = |mut job: Value| {
        job["metadata"]["namespace"] = "ns".into();
        job["metadata"]["ownerReferences"] = json!([object::controller_reference_to(&cron_job)]);
        (JOBS, job)
    };
    let jobs: Vec<_> = jobs.into_iter().map(owned).collect();
    let view = View::of(jobs.into_iter().chain([(CRON_JOBS, cron_job)]));
    CronJobs.plan(&view, &ObjectKey::new("ns", "c"), timestamp::parse(now).unwrap())
}

/// The names of Jobs that a plan makes and removes, and the reasons of its events.
fn outline(plan: &Plan) -> Vec<String> {
    let line = |action: &Action| match action {
        Action::Create { object, .. } => format!("create {}", object::name(object)),
        Action::Delete { object, .. } => format!("delete {}", object::name(object)),
        Action::Event { reason, .. } => (*reason).to_owned(),
        other => panic!("unexpected {other:?}"),
    };
    plan.actions.iter().map(line).collect()
}

#[test]
fn a_firing_makes_a_job_named_after_its_minute() {
    let mut cluster = cluster(json!({}));
    let job = cluster.list(&JOBS)[0].clone();
    let scheduled = timestamp::parse(object::annotation(&job, SCHEDULED).unwrap()).unwrap();
    assert_eq!(object::name(&job), format!("c-{}", scheduled.timestamp() / 60));
    assert_eq!(object::label(&job, "l"), Some("v"));
    assert_eq!(str_at(&job, "/metadata/ownerReferences/0/kind"), "CronJob");
    let status = cluster.status(&CRON_JOBS, "c");
    assert_eq!(status["lastScheduleTime"], timestamp::format(scheduled));
    assert_eq!(str_at(&status, "/active/0/uid"), object::uid(&job));

    finish(&cluster, object::name(&job), "Complete");
    cluster.settle();
    assert_eq!(
        cluster.status(&CRON_JOBS, "c"),
        json!({"lastScheduleTime": timestamp::format(scheduled), "lastSuccessfulTime": "2030-01-01T00:00:07Z"})
    );
    let name = object::name(&job);
    assert_eq!(
        cluster.events(),
        [
            format!("CronJob/c: SuccessfulCreate: Created job {name}"),
            format!("CronJob/c: SawCompletedJob: Saw completed job: {name}, condition: Complete"),
        ]
    );
}

#[test]
fn a_job_that_vanishes_is_noted() {
    let mut cluster = cluster(json!({}));
    let job = cluster.names(&JOBS)[0].clone();
    cluster.delete(&JOBS, &job);
    cluster.settle();
    assert_eq!(cluster.status(&CRON_JOBS, "c").get("active"), None);
    assert!(cluster.events().contains(&format!("CronJob/c: MissingJob: Active job went missing: {job}")));
    assert!(cluster.list(&JOBS).is_empty(), "a moment fires once");
}

#[test]
fn nothing_fires_before_its_time_but_the_time_is_awaited() {
    let plan = plan(json!({}), json!({}), vec![], "2030-01-01T02:59:00Z");
    assert!(plan.actions.is_empty());
    assert_eq!(plan.recheck, Some(Duration::from_secs(60) + MARGIN));
}

#[test]
fn policies_decide_about_overlap() {
    let running = || vec![json!({"metadata": {"name": "old"}})];
    let outline = |policy: &str| {
        outline(&plan(json!({"concurrencyPolicy": policy}), json!({}), running(), "2030-01-01T03:00:00Z"))
    };
    assert_eq!(outline("Allow"), ["create c-31557780"]);
    assert_eq!(outline("Forbid"), ["JobAlreadyActive"]);
    assert_eq!(outline("Replace"), ["delete old", "create c-31557780"]);
}

#[test]
fn what_is_too_late_does_not_fire() {
    let late = |deadline: Value, now: &str| {
        outline(&plan(json!({"startingDeadlineSeconds": deadline}), json!({}), vec![], now))
    };
    assert_eq!(late(json!(60), "2030-01-01T03:00:30Z"), ["create c-31557780"]);
    assert_eq!(late(json!(60), "2030-01-01T03:02:00Z"), [""; 0]);
    assert_eq!(late(Value::Null, "2030-01-01T23:00:00Z"), ["create c-31557780"]);
}

#[test]
fn suspended_jobs_do_not_fire_and_many_missed_moments_are_warned_of() {
    let at = "2030-01-01T02:30:00Z";
    let minutely = |suspend: bool| json!({"schedule": "* * * * *", "suspend": suspend});
    assert!(plan(minutely(true), json!({}), vec![], at).actions.is_empty());
    assert_eq!(outline(&plan(minutely(false), json!({}), vec![], at)), ["TooManyMissedTimes", "create c-31557750"]);
}

#[test]
fn the_oldest_finished_jobs_are_forgotten() {
    let job = |name: &str, kind: &str, start: &str| json!({"metadata": {"name": name}, "status": {"startTime": start, "conditions": [{"type": kind, "status": "True"}]}});
    let jobs = vec![
        job("a", "Complete", "2030-01-01T00:02:00Z"),
        job("b", "Complete", "2030-01-01T00:01:00Z"),
        job("c", "Failed", "2030-01-01T00:01:00Z"),
    ];
    assert_eq!(outline(&plan(json!({}), json!({}), jobs, "2030-01-01T01:00:00Z")), ["delete b"]);
}

#[test]
fn unusable_schedules_are_complained_about() {
    let now = "2030-01-01T01:00:00Z";
    assert_eq!(outline(&plan(json!({"schedule": "x"}), json!({}), vec![], now)), ["UnparseableSchedule"]);
    assert_eq!(outline(&plan(json!({"timeZone": "Mars/Base"}), json!({}), vec![], now)), ["UnknownTimeZone"]);
}
