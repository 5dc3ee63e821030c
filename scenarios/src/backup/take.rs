//! A backup taken now: a Job made from the documented CronJob, and what it left on the claim.

use super::names;
use gauntlet_cluster::agent_pod;
use gauntlet_cluster::claims::{Claim, MOUNT};
use gauntlet_cluster::jobs::{self, Ended};
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::store::{Backup, Store, StoreKind};
use gauntlet_core::contract::workload::Workload;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Outcome, Trouble};
use gauntlet_engine::Lab;
use k8s_openapi::api::batch::v1::CronJob;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Something on the claim.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    pub path: String,
    pub folder: bool,
    pub size: u64,
}

/// A check: its name, what it came to, what was seen.
pub type Told = (&'static str, Outcome, String);

/// The backup of a store and what belongs to it in the contract.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub backup: &'a Backup,
    pub store: &'a Store,
    /// The CronJob.
    pub workload: &'a Workload,
}

impl<'a> Subject<'a> {
    /// All backups of the deployment.
    pub fn all(deployment: Deployment<'a>) -> impl Iterator<Item = Self> {
        deployment.backups().filter_map(move |backup| {
            let store = deployment.store(&backup.store.value)?;
            Some(Self { backup, store, workload: deployment.workload(&backup.workload.value)? })
        })
    }

    /// The first backup of a store that `is_meant`.
    pub fn find(deployment: Deployment<'a>, is_meant: fn(&StoreKind) -> bool) -> Option<Self> {
        Self::all(deployment).find(|subject| is_meant(&subject.store.kind))
    }

    pub fn namespace(&self) -> &'a str {
        &self.workload.namespace.value
    }

    /// The promise that its checks are about; the backup's own name where the contract names none.
    pub fn promise(&self) -> &'a str {
        self.backup.promise.as_ref().map_or(&self.backup.name.value, |promise| promise.as_str())
    }

    /// Patterns of everything that one backup leaves.
    pub fn patterns(&self) -> Vec<String> {
        let streams = match &self.store.kind {
            StoreKind::NatsJetstream { streams, .. } => streams.as_slice(),
            _ => &[],
        };
        names::of_streams(&self.backup.files, streams)
    }

    /// # Errors
    /// The cluster has no such CronJob, or does not answer.
    pub async fn cron_job(&self, lab: &Lab) -> Result<CronJob, Trouble> {
        let name = &self.workload.name.value;
        let found = jobs::cron_job(lab.access(), self.namespace(), name).await?;
        found.ok_or_else(|| Trouble::harness(format!("there is no CronJob {name}")))
    }

    /// The claim, as the backup's own pods get at it.
    ///
    /// # Errors
    /// As [`Subject::cron_job`].
    pub async fn claim(&self, lab: &Lab) -> Result<Claim, Trouble> {
        let cron_job = self.cron_job(lab).await?;
        let security = cron_job.spec.job_template.spec.and_then(|job| job.template.spec?.security_context);
        Ok(Claim {
            namespace: self.namespace().to_owned(),
            claim: self.backup.claim.clone(),
            image: lab.cluster().agent_image().to_owned(),
            run: lab.run.clone(),
            security: security.map_or_else(agent_pod::security, |security| json!(security)),
        })
    }
}

/// What the contract promises of the CronJob against what is there.
pub fn compare(backup: &Backup, cron_job: &CronJob) -> Vec<Told> {
    let spec = json!(cron_job.spec);
    let check = |name, wanted: Value, is: Value| {
        let outcome = if wanted == is { Outcome::Held } else { Outcome::Broken };
        (name, outcome, format!("{is}, promised {wanted}"))
    };
    let mut told = vec![check("the schedule is the promised one", json!(backup.schedule), spec["schedule"].clone())];
    let suspended = spec["suspend"].as_bool().unwrap_or(false);
    let outcome = if suspended { Outcome::Broken } else { Outcome::Held };
    told.push(("the schedule is not suspended", outcome, format!("suspend is {suspended}")));
    let limits = [
        ("as many successful jobs are kept as promised", backup.keep_successful, "successfulJobsHistoryLimit"),
        ("as many failed jobs are kept as promised", backup.keep_failed, "failedJobsHistoryLimit"),
    ];
    for (name, wanted, field) in limits {
        told.extend(wanted.map(|wanted| check(name, json!(wanted), spec[field].clone())));
    }
    told
}

/// The backup's Job, to be run under a name.
///
/// # Errors
/// The cluster has no such CronJob, or does not answer.
pub async fn job(lab: &Lab, subject: Subject<'_>, name: &str) -> Result<Value, Trouble> {
    let cron_job = subject.cron_job(lab).await?;
    Ok(jobs::from_template(&cron_job, name, &lab.run, &BTreeMap::new()))
}

/// Runs a Job of the backup to its end; `None` when it did not end in time.
///
/// # Errors
/// The Job could not be made.
pub async fn run(lab: &Lab, subject: Subject<'_>, name: &str, job: Value) -> Result<Option<Ended>, Trouble> {
    jobs::create(lab.access(), subject.namespace(), job).await?;
    Ok(await_end(lab, subject.namespace(), name, subject.backup.within.0).await.ok())
}

/// # Errors
/// It did not end in time: what was last seen.
pub async fn await_end(lab: &Lab, namespace: &str, name: &str, within: Duration) -> Result<Ended, Trouble> {
    let ended = |snapshot: &gauntlet_cluster::view::Snapshot| jobs::ended(snapshot, namespace, name);
    lab.view().until(&format!("the job {name} to end"), within, lab.progress(), ended).await
}

/// Everything on the claim.
///
/// # Errors
/// It cannot be listed.
pub async fn list(lab: &Lab, subject: Subject<'_>) -> Result<Vec<Entry>, Trouble> {
    let listed = subject.claim(lab).await?.keep(lab.access(), &["files", MOUNT]).await?;
    serde_json::from_str(&listed).or_trouble(|| "the claim's list cannot be read")
}

/// The time of the backup that a job took between its start and its end, whose artefacts are all there and not empty;
/// what is missing otherwise.
pub fn artefacts(patterns: &[String], entries: &[Entry], ended: &Ended) -> Result<String, String> {
    let (from, to) = (names::compact(&ended.started), names::compact(&ended.ended));
    let found: Vec<(&str, Vec<&str>)> =
        patterns.iter().map(|pattern| (pattern.as_str(), times(pattern, entries))).collect();
    let complete = |time: &&str| found.iter().all(|(_, times)| times.contains(time));
    let all: Vec<&str> = found.iter().flat_map(|(_, times)| times.iter().copied()).filter(complete).collect();
    match all.iter().find(|time| from.as_str() <= **time && **time <= to.as_str()) {
        Some(time) => Ok((*time).to_owned()),
        None => Err(format!(
            "nothing like {} with a time from {from} to {to} and something in it; there are {}",
            patterns.join(" and "),
            names_of(entries)
        )),
    }
}

/// Times of everything that fits a pattern and is not empty.
fn times<'a>(pattern: &str, entries: &'a [Entry]) -> Vec<&'a str> {
    let filled = entries.iter().filter(|entry| entry.size > 0);
    filled.filter_map(|entry| names::time_in(pattern, &entry.path)).collect()
}

fn names_of(entries: &[Entry]) -> String {
    let names: Vec<String> = entries.iter().map(|entry| format!("{} ({})", entry.path, entry.size)).collect();
    if names.is_empty() { "no files at all".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, size: u64) -> Entry {
        Entry { path: path.into(), folder: false, size }
    }

    fn ended() -> Ended {
        let time = |time: &str| time.to_owned();
        Ended {
            succeeded: true,
            why: String::new(),
            started: time("2026-02-13T12:00:00Z"),
            ended: time("2026-02-13T12:00:09Z"),
        }
    }

    #[test]
    fn artefacts_of_this_very_job_must_be_whole_in_number_and_not_empty() {
        let patterns = ["n-{time}/A.s".to_owned(), "n-{time}/B.s".to_owned()];
        let (now, before) = ("n-20260213T120003Z", "n-20260213T110003Z");
        for (a, b, size, is_there) in [
            (now, now, 1, true),
            (now, now, 0, false),
            (now, before, 1, false),
            (before, before, 1, false),
            ("n-20260213T210003Z", "n-20260213T210003Z", 1, false),
        ] {
            let entries = [entry(&format!("{a}/A.s"), 1), entry(&format!("{b}/B.s"), size)];
            assert_eq!(artefacts(&patterns, &entries, &ended()).is_ok(), is_there, "{entries:?}");
        }
        assert!(artefacts(&patterns, &[], &ended()).unwrap_err().contains("no files at all"));
    }

    #[test]
    fn every_promise_about_the_cron_job_is_compared() {
        let contract = crate::systems::load("cordum").unwrap().contract;
        let backup = contract.deployment(None).unwrap().backups().next().unwrap();
        let promised = json!({"schedule": "0 * * * *", "successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 2, "jobTemplate": {}});
        let broken = |change: Value| {
            let mut spec = promised.clone();
            spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let cron_job: CronJob = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
            compare(backup, &cron_job).iter().filter(|(_, outcome, _)| *outcome == Outcome::Broken).count()
        };
        assert_eq!(broken(json!({})), 0);
        for change in [
            json!({"schedule": "0 0 * * *"}),
            json!({"suspend": true}),
            json!({"successfulJobsHistoryLimit": 1}),
            json!({"failedJobsHistoryLimit": null}),
        ] {
            assert_eq!(broken(change.clone()), 1, "{change}");
        }
    }
}
