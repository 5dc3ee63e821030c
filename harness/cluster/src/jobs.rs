//! Jobs by hand: made from a CronJob's template, as `kubectl create job --from` does, and run again.

use crate::access::{Access, RUN_LABEL, said};
use crate::view::Snapshot;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Api, DeleteParams, PostParams, PropagationPolicy};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// # Errors
/// What the API said; `None` when there is no such CronJob.
pub async fn cron_job(access: &Access, namespace: &str, name: &str) -> Result<Option<CronJob>, Trouble> {
    let api: Api<CronJob> = Api::namespaced(access.client.clone(), namespace);
    api.get_opt(name).await.map_err(|e| Trouble::harness(format!("cannot get CronJob {name}: {}", said(&e))))
}

/// A Job from the template of a CronJob, with further variables in its containers.
pub fn from_template(cron_job: &CronJob, name: &str, run: &str, env: &BTreeMap<String, String>) -> Value {
    let template = json!(cron_job.spec.job_template);
    let mut labels = template["metadata"]["labels"].clone();
    labels[RUN_LABEL] = json!(run);
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": cron_job.namespace(),
            "labels": labels,
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": cron_job.controller_owner_ref(&()).map(|owner| vec![owner]),
        },
        "spec": template["spec"],
    });
    for container in job["spec"]["template"]["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let own = container["env"].as_array().cloned().unwrap_or_default();
        let kept = own.into_iter().filter(|v| !env.contains_key(v["name"].as_str().unwrap_or_default()));
        let added = env.iter().map(|(name, value)| json!({"name": name, "value": value}));
        container["env"] = kept.chain(added).collect();
    }
    job
}

/// Creates a Job.
///
/// # Errors
/// What the API said.
pub async fn create(access: &Access, namespace: &str, job: Value) -> Result<(), Trouble> {
    let job: Job = serde_json::from_value(job).or_trouble(|| "a job could not be made")?;
    let api: Api<Job> = Api::namespaced(access.client.clone(), namespace);
    let name = job.name_any();
    api.create(&PostParams::default(), &job)
        .await
        .map(drop)
        .map_err(|e| Trouble::harness(format!("cannot create the job {name}: {}", said(&e))))
}

/// A Job as it was before it ran: without what the cluster added. `None` when there is none of that name.
///
/// # Errors
/// What the API said.
pub async fn to_run_again(access: &Access, namespace: &str, name: &str) -> Result<Option<Value>, Trouble> {
    let api: Api<Job> = Api::namespaced(access.client.clone(), namespace);
    let job = api.get_opt(name).await.map_err(|e| Trouble::harness(format!("cannot get job {name}: {}", said(&e))))?;
    Ok(job.map(|job| anew(&json!(job))))
}

fn anew(job: &Value) -> Value {
    const ADDED: [&str; 4] =
        ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"];
    let mut spec = job["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("selector");
    }
    if let Some(labels) = spec["template"]["metadata"]["labels"].as_object_mut() {
        labels.retain(|name, _| !ADDED.contains(&name.as_str()));
    }
    let old = &job["metadata"];
    let metadata = json!({"name": old["name"], "namespace": old["namespace"], "labels": old["labels"]});
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
}

/// Deletes a Job with its pods.
///
/// # Errors
/// What the API said; a Job that is not there is deleted.
pub async fn delete(access: &Access, namespace: &str, name: &str) -> Result<(), Trouble> {
    let api: Api<Job> = Api::namespaced(access.client.clone(), namespace);
    let parameters =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    match api.delete(name, &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Trouble::harness(format!("cannot delete the job {name}: {}", said(&error)))),
    }
}

/// How a Job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub succeeded: bool,
    pub why: String,
    /// When it started, and when its end was noted, as Kubernetes writes times.
    pub started: String,
    pub ended: String,
}

/// How a Job ended; what is known instead while it has not.
///
/// # Errors
/// It has not ended.
pub fn ended(snapshot: &Snapshot, namespace: &str, name: &str) -> Result<Ended, String> {
    let is_it = |job: &&std::sync::Arc<Job>| job.name_any() == name && job.namespace().as_deref() == Some(namespace);
    let job = snapshot.jobs.iter().find(is_it).ok_or("it is not there")?;
    let status = json!(job.status);
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let end =
        conditions.iter().find(|c| matches!(c["type"].as_str(), Some("Complete" | "Failed")) && c["status"] == "True");
    let Some(end) = end else {
        let count = |what: &str| status[what].as_i64().unwrap_or(0);
        return Err(format!("{} active, {} failed", count("active"), count("failed")));
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reason = [text(&end["reason"]), text(&end["message"])].join(" ");
    Ok(Ended {
        succeeded: end["type"] == "Complete",
        why: reason.trim().to_owned(),
        started: text(&status["startTime"]),
        ended: text(&end["lastTransitionTime"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn nightly() -> CronJob {
        serde_json::from_value(json!({
            "metadata": {"name": "nightly", "namespace": "ns", "uid": "u"},
            "spec": {"schedule": "0 * * * *", "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "template": {"spec": {"containers": [{"name": "c", "env": [{"name": "WHICH", "value": "old"}, {"name": "X", "value": "x"}]}]}}
            }}}
        }))
        .unwrap()
    }

    #[test]
    fn a_job_by_hand_has_the_template_an_owner_and_the_further_variables() {
        let env = BTreeMap::from([("WHICH".to_owned(), "new".to_owned())]);
        let job = from_template(&nightly(), "by-hand", "r", &env);
        assert_eq!(job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
        assert_eq!(job["metadata"]["ownerReferences"][0]["name"], "nightly");
        assert_eq!(job["metadata"]["labels"]["a"], "b");
        let env = &job["spec"]["template"]["spec"]["containers"][0]["env"];
        assert_eq!(*env, json!([{"name": "X", "value": "x"}, {"name": "WHICH", "value": "new"}]));
    }

    #[test]
    fn a_job_to_run_again_has_nothing_of_its_first_life() {
        let old = json!({"metadata": {"name": "j", "namespace": "ns", "uid": "u", "labels": {"a": "b"}}, "spec": {
            "selector": {"matchLabels": {"controller-uid": "u"}},
            "template": {"metadata": {"labels": {"app": "j", "controller-uid": "u", "batch.kubernetes.io/job-name": "j"}}},
        }, "status": {"succeeded": 1}});
        let job = anew(&old);
        assert_eq!(job["spec"], json!({"template": {"metadata": {"labels": {"app": "j"}}}}));
        assert_eq!(job["metadata"], json!({"name": "j", "namespace": "ns", "labels": {"a": "b"}}));
        assert!(job.get("status").is_none());
    }

    #[test]
    fn a_job_has_ended_when_a_condition_says_so() {
        let job = |conditions: Value| {
            let job = json!({"metadata": {"name": "j", "namespace": "ns"}, "status": {"failed": 1, "conditions": conditions}});
            Snapshot { jobs: vec![Arc::new(serde_json::from_value(job).unwrap())], ..Snapshot::default() }
        };
        let condition = |kind: &str| json!([{"type": kind, "status": "True", "reason": "R", "message": "m"}]);
        assert_eq!(ended(&job(json!([])), "ns", "j"), Err("0 active, 1 failed".to_owned()));
        assert!(ended(&job(condition("Complete")), "ns", "j").unwrap().succeeded);
        let failed = ended(&job(condition("Failed")), "ns", "j").unwrap();
        assert_eq!((failed.succeeded, failed.why.as_str()), (false, "R m"));
        assert!(ended(&Snapshot::default(), "ns", "j").is_err());
    }
}
