//! The contract's way back, step by step, with nothing that the contract does not say.

use super::names;
use super::take::{Subject, await_end};
use gauntlet_cluster::exec::{self, Place};
use gauntlet_cluster::view::Snapshot;
use gauntlet_cluster::{jobs, ready};
use gauntlet_core::Trouble;
use gauntlet_core::contract::store::RestoreStep;
use gauntlet_engine::Lab;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a restore did not come to its end: the step did not do what it is for, or we could not do it.
#[derive(Debug)]
pub enum Stopped {
    Failed(String),
    Trouble(Trouble),
}

impl From<Trouble> for Stopped {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Does all steps, for the backup of that time. `part` tells the Jobs of one restore from those of another.
///
/// # Errors
/// The first step that did not work.
pub async fn restore(lab: &Lab, subject: Subject<'_>, time: &str, part: &str) -> Result<(), Stopped> {
    let steps = &subject.backup.restore;
    for (number, step) in steps.iter().enumerate() {
        let which = format!("step {} of {}", number + 1, steps.len());
        lab.note(format!("restore, {which}: {}", describe(step)));
        let job = format!("gauntlet-{}-{part}-{number}", lab.slug());
        match one(lab, subject, step, time, &job).await {
            Ok(()) => {}
            Err(Stopped::Failed(why)) => {
                return Err(Stopped::Failed(format!("{which} ({}): {why}", describe(step))));
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

fn describe(step: &RestoreStep) -> String {
    match step {
        RestoreStep::DeletePod { pod } => format!("delete {pod}"),
        RestoreStep::Exec { pod, command } => format!("`{}` in {pod}", command.join(" ")),
        RestoreStep::AwaitReady { workload } => format!("await {workload}"),
        RestoreStep::RerunJob { job } => format!("run {job} again"),
        RestoreStep::RunJob { from, .. } => format!("run a job from {from}"),
    }
}

async fn one(lab: &Lab, subject: Subject<'_>, step: &RestoreStep, time: &str, job: &str) -> Result<(), Stopped> {
    let within = subject.backup.within.0;
    let namespace = subject.namespace();
    match step {
        RestoreStep::DeletePod { pod } => delete_pod(lab, namespace, pod).await,
        RestoreStep::Exec { pod, command } => {
            let command: Vec<String> = command.iter().map(|word| names::fill(word, time)).collect();
            execute(lab, subject, pod, &command, within).await
        }
        RestoreStep::AwaitReady { workload } => await_ready(lab, workload, within).await,
        RestoreStep::RerunJob { job } => {
            let Some(anew) = jobs::to_run_again(lab.access(), namespace, job).await? else {
                return Err(Stopped::Failed("there is no such job".to_owned()));
            };
            jobs::delete(lab.access(), namespace, job).await?;
            await_gone(lab, namespace, job).await?;
            jobs::create(lab.access(), namespace, anew).await?;
            succeed(lab, namespace, job, within).await
        }
        RestoreStep::RunJob { from, env } => {
            let Some(template) = jobs::cron_job(lab.access(), namespace, from).await? else {
                return Err(Stopped::Failed("there is no such CronJob".to_owned()));
            };
            let env: BTreeMap<String, String> =
                env.iter().map(|(name, value)| (name.clone(), names::fill(value, time))).collect();
            jobs::create(lab.access(), namespace, jobs::from_template(&template, job, &lab.run, &env)).await?;
            succeed(lab, namespace, job, within).await
        }
    }
}

async fn succeed(lab: &Lab, namespace: &str, job: &str, within: Duration) -> Result<(), Stopped> {
    match await_end(lab, namespace, job, within).await {
        Ok(ended) if ended.succeeded => Ok(()),
        Ok(ended) => Err(Stopped::Failed(format!("the job failed: {}", ended.why))),
        Err(late) => Err(Stopped::Failed(late.message)),
    }
}

async fn await_gone(lab: &Lab, namespace: &str, job: &str) -> Result<(), Trouble> {
    let gone = |snapshot: &Snapshot| {
        let is_it = |name: String, of: Option<String>| name == job && of.as_deref() == Some(namespace);
        match snapshot.jobs.iter().any(|found| is_it(found.name_any(), found.namespace())) {
            true => Err("it is still there".to_owned()),
            false => Ok(()),
        }
    };
    lab.view().until(&format!("the job {job} to be gone"), Duration::from_secs(60), lab.progress(), gone).await
}

async fn await_ready(lab: &Lab, name: &str, within: Duration) -> Result<(), Stopped> {
    let Some(workload) = lab.deployment().workload(name) else {
        return Err(Stopped::Failed("this overlay has no such workload".to_owned()));
    };
    let wanted = lab.deployment().replicas(workload) as usize;
    let all = |snapshot: &Snapshot| {
        let pods = ready::pods_of(workload, snapshot);
        let up = pods.iter().filter(|pod| ready::is_ready(pod)).count();
        let troubles: Vec<String> = pods.iter().filter_map(|pod| ready::pod_trouble(pod)).take(3).collect();
        if up >= wanted { Ok(()) } else { Err(format!("{up}/{wanted} ready ({})", troubles.join("; "))) }
    };
    let waited = lab.view().until(&format!("{name} to be ready"), within, lab.progress(), all).await;
    waited.map_err(|late| Stopped::Failed(late.message))
}

async fn delete_pod(lab: &Lab, namespace: &str, pod: &str) -> Result<(), Stopped> {
    let api: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(lab.access().client.clone(), namespace);
    let deleted = api.delete(pod, &DeleteParams::default()).await;
    deleted.map(drop).map_err(|error| Stopped::Failed(gauntlet_cluster::access::said(&error)))
}

async fn execute(
    lab: &Lab,
    subject: Subject<'_>,
    pod: &str,
    command: &[String],
    within: Duration,
) -> Result<(), Stopped> {
    let workload = lab.deployment().workload(&subject.store.workload.value);
    let container = workload.map_or("", |w| w.container.as_deref().unwrap_or(&w.name.value));
    let place = Place { namespace: subject.namespace(), pod, container };
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = exec::exec(lab.access(), place, &words, within).await?;
    if output.success() {
        return Ok(());
    }
    Err(Stopped::Failed(format!("it ended with {}: {}", output.code, output.stderr.trim())))
}
