//! The pods that the peers of a store are, and how long their probes are patient with them.

use super::checks::{self, ASK_EVERY};
use super::peers::Answer;
use super::running::{Instance, Running};
use super::{AT_WORK_WITHIN, LOST_QUORUM, Subject};
use crate::workload::Fleet;
use gauntlet_cluster::progress::Waiting;
use gauntlet_cluster::ready;
use gauntlet_cluster::view::Snapshot;
use gauntlet_core::Trouble;
use gauntlet_core::contract::workload::Workload;
use gauntlet_engine::Lab;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Probe};
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a server is looked at where no probe could kill it.
const WITHOUT_PROBE: Duration = Duration::from_secs(30);

/// How long the node may take to act on a probe's last failure.
const ACTS_WITHIN: Duration = Duration::from_secs(10);

/// The members of one store.
pub struct Members<'a> {
    pub workload: &'a Workload,
    /// Pods by the names that their servers go by.
    pods: BTreeMap<String, String>,
}

impl<'a> Members<'a> {
    /// Asks every member for its name, until all have told it.
    ///
    /// # Errors
    /// One of them does not tell, or the contract's endpoints are not the members.
    pub(super) async fn of(lab: &'a Lab, subject: Subject<'a>, fleet: &Fleet<'_>) -> Result<Self, Trouble> {
        let workload = lab.deployment().workload(&subject.store.workload.value);
        let workload = workload.ok_or_else(|| Trouble::harness(format!("{} has no workload", subject.name())))?;
        let mut waiting = Waiting::start("every peer to tell its name", AT_WORK_WITHIN, lab.progress());
        let pods = loop {
            let live: Vec<String> =
                ready::pods_of(workload, &lab.view().snapshot()).iter().map(|pod| pod.name_any()).collect();
            let answer = checks::ask(subject, fleet).await;
            match answer.and_then(|answer| named(&answer, &live)) {
                Ok(pods) => break pods,
                Err(why) if tokio::time::Instant::now() >= waiting.until() => return Err(Trouble::harness(why)),
                Err(why) => waiting.seen(&why),
            }
            tokio::time::sleep(ASK_EVERY).await;
        };
        Ok(Self { workload, pods })
    }

    /// The pods, in the order of their names.
    pub fn pods(&self) -> Vec<String> {
        let mut pods: Vec<String> = self.pods.values().cloned().collect();
        pods.sort();
        pods
    }

    /// The pod that leads a stream.
    ///
    /// # Errors
    /// None of them does.
    pub fn leader_of(&self, answer: &Answer, stream: &str) -> Result<String, Trouble> {
        let leader = answer.leader_of(stream).and_then(|server| self.pods.get(server)).cloned();
        leader.ok_or_else(|| Trouble::harness(format!("no pod leads {stream}")))
    }

    /// The server in a pod.
    pub fn server_of(&self, pod: &str) -> Option<&str> {
        self.pods.iter().find(|(_, of)| *of == pod).map(|(server, _)| server.as_str())
    }

    pub fn namespace(&self) -> &str {
        &self.workload.namespace.value
    }

    pub fn container(&self) -> &str {
        self.workload.container.as_deref().unwrap_or(&self.workload.name.value)
    }

    /// The containers that run in `pods`.
    pub fn running(&self, pods: &[String], snapshot: &Snapshot) -> Running {
        let statuses = ready::pods_of(self.workload, snapshot).into_iter().filter_map(|pod| {
            let status = self.status(&pod)?;
            Some((pod.name_any(), Instance::of(&status)))
        });
        statuses.filter(|(pod, _)| pods.contains(pod)).collect()
    }

    fn status(&self, pod: &Pod) -> Option<ContainerStatus> {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        statuses.iter().find(|status| status.name == self.container()).cloned()
    }

    /// How long a server must be without quorum so that a probe that kills it for that has done so.
    pub fn patience(&self, snapshot: &Snapshot) -> Duration {
        let probes: Vec<Probe> = ready::pods_of(self.workload, snapshot)
            .iter()
            .filter_map(|pod| {
                let containers = &pod.spec.as_ref()?.containers;
                containers.iter().find(|container| container.name == self.container())?.liveness_probe.clone()
            })
            .collect();
        let longest = probes.iter().map(patience).max();
        longest.map_or(WITHOUT_PROBE, |patience| patience + LOST_QUORUM + ACTS_WITHIN)
    }
}

/// Each member's pod, by the first label of its endpoint's host name: that is how pods of a StatefulSet are called.
fn named(answer: &Answer, live: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut pods = BTreeMap::new();
    for server in &answer.servers {
        let host = server.endpoint.rsplit("//").next().unwrap_or_default();
        let label = host.split(['.', ':']).next().unwrap_or_default();
        let name = server.name.clone().ok_or_else(|| format!("{} does not tell its name", server.endpoint))?;
        if !live.iter().any(|pod| pod == label) {
            return Err(format!("the endpoint {} is that of no pod", server.endpoint));
        }
        pods.insert(name, label.to_owned());
    }
    if pods.len() < live.len() {
        return Err(format!("{} pods go by {} names", live.len(), pods.len()));
    }
    Ok(pods)
}

/// From the first moment that a probe would find fault until it has failed often enough.
fn patience(probe: &Probe) -> Duration {
    let seconds = |value: Option<i32>, default: u64| value.and_then(|v| u64::try_from(v).ok()).unwrap_or(default);
    let period = seconds(probe.period_seconds, 10);
    let failures = seconds(probe.failure_threshold, 3);
    // The fault may begin just after a probe.
    Duration::from_secs(period * (failures + 1) + seconds(probe.timeout_seconds, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(servers: &str) -> Answer {
        Answer::parse(&format!(r#"{{"servers": {servers}, "streams": []}}"#)).unwrap()
    }

    #[test]
    fn servers_are_the_pods_that_their_endpoints_name() {
        let two =
            r#"[{"endpoint": "tls://n-0.n.ns.svc:4222", "name": "zero"}, {"endpoint": "n-1.n:4222", "name": "one"}]"#;
        let pods = named(&answer(two), &["n-0".to_owned(), "n-1".to_owned()]).unwrap();
        assert_eq!(pods.get("zero").map(String::as_str), Some("n-0"));
        assert_eq!(pods.get("one").map(String::as_str), Some("n-1"));
        assert!(named(&answer(two), &["n-0".to_owned()]).is_err());
        let silent = r#"[{"endpoint": "tls://n-0.n:4222", "error": "dead"}]"#;
        assert!(named(&answer(silent), &["n-0".to_owned()]).unwrap_err().contains("does not tell"));
        let one = r#"[{"endpoint": "tls://n-0.n:4222", "name": "zero"}]"#;
        assert!(named(&answer(one), &["n-0".to_owned(), "n-1".to_owned()]).is_err());
    }

    #[test]
    fn a_probe_is_patient_for_all_its_failures_and_the_one_that_just_passed() {
        let probe = |period, failures, timeout| Probe {
            period_seconds: period,
            failure_threshold: failures,
            timeout_seconds: timeout,
            ..Probe::default()
        };
        assert_eq!(patience(&probe(Some(10), Some(6), Some(3))), Duration::from_secs(73));
        assert_eq!(patience(&probe(None, None, None)), Duration::from_secs(41));
    }
}
