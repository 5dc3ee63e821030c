//! Denies all traffic into pods of our own by a NetworkPolicy, until healed: whether policies are enforced at all, shown
//! before anything is concluded from silence.

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use gauntlet_cluster::access::{RUN_LABEL, said};
use gauntlet_cluster::exec::Place;
use gauntlet_cluster::probe::{self, Target};
use gauntlet_core::matrix::Seen;
use gauntlet_core::{Evidence, Trouble};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

/// How long enforcement may take to follow a policy.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(30);

/// One try.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between tries; what a pod reaches cannot be watched.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Who asks whom, both pods of ours.
#[derive(Debug, Clone)]
pub struct Canary {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub target: Target,
}

impl Canary {
    /// What one try comes to.
    ///
    /// # Errors
    /// It could not be tried.
    pub async fn ask(&self, scene: &Scene) -> Result<Seen, Trouble> {
        let place = Place { namespace: &self.namespace, pod: &self.pod, container: &self.container };
        let seen = probe::probe(scene.cluster.access(), place, std::slice::from_ref(&self.target), PATIENCE).await?;
        seen.first().copied().ok_or_else(|| Trouble::harness("the prober said nothing"))
    }

    /// Asks until the answer is as wanted, and says so.
    pub async fn until(&self, scene: &Scene, what: &str, wanted: fn(Seen) -> bool) -> Evidence {
        self.last(scene, what, wanted).await.0
    }

    /// The same, and the last try.
    async fn last(&self, scene: &Scene, what: &str, wanted: fn(Seen) -> bool) -> (Evidence, Try) {
        let deadline = Instant::now() + FOLLOWS_WITHIN;
        loop {
            let began = Instant::now();
            let seen = match self.ask(scene).await {
                Ok(seen) => seen,
                Err(trouble) => return (Evidence::Missing(trouble.message), Try { began, seen: None }),
            };
            let said = format!("{} → {}: {seen} {what}", self.pod, self.target);
            let last = Try { began, seen: Some(seen) };
            if wanted(seen) {
                return (Evidence::Shown(said), last);
            }
            if Instant::now() >= deadline {
                return (Evidence::Missing(said), last);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// When the canary asked, and what it saw; nothing where it could not ask.
#[derive(Debug, Clone, Copy)]
struct Try {
    began: Instant,
    seen: Option<Seen>,
}

/// A policy that lets nobody reach the pods with some labels.
pub struct DenyIngress {
    run: String,
    policy: String,
    labels: BTreeMap<String, String>,
    canary: Canary,
    made: Option<Instant>,
    last: OnceLock<Try>,
}

impl DenyIngress {
    /// `run` is the label of everything that is made.
    pub fn new(run: &str, policy: &str, labels: BTreeMap<String, String>, canary: Canary) -> Self {
        Self { run: run.to_owned(), policy: policy.to_owned(), labels, canary, made: None, last: OnceLock::new() }
    }

    /// From the answer of the API server to the beginning of the first try that was denied: enforcement took no longer.
    /// Not known to less than the time between two tries.
    pub fn enforced_after(&self) -> Option<Duration> {
        let denied = self.last.get().filter(|last| last.seen.is_some_and(is_denied))?;
        Some(denied.began.duration_since(self.made?))
    }

    /// Whether the pods were still reached when there was no more time to wait.
    pub fn is_ignored(&self) -> bool {
        self.last.get().is_some_and(|last| last.seen == Some(Seen::Open))
    }
}

fn is_denied(seen: Seen) -> bool {
    matches!(seen, Seen::Timeout | Seen::Refused)
}

#[async_trait]
impl Fault for DenyIngress {
    fn disturbance(&self) -> Disturbance {
        Disturbance::Policy { namespace: self.canary.namespace.clone(), policy: self.policy.clone() }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        let api: Api<NetworkPolicy> = Api::namespaced(scene.cluster.access().client.clone(), &self.canary.namespace);
        let policy = json!({
            "metadata": {"name": self.policy, "namespace": self.canary.namespace, "labels": {RUN_LABEL: self.run}},
            "spec": {"podSelector": {"matchLabels": self.labels}, "policyTypes": ["Ingress"]},
        });
        let policy = serde_json::from_value(policy).map_err(|error| Trouble::harness(error.to_string()))?;
        let created = api.create(&PostParams::default(), &policy).await;
        self.made = Some(Instant::now());
        created.map(drop).map_err(|error| Trouble::harness(said(&error)))
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        let (evidence, last) = self.canary.last(scene, "under a policy that denies it", is_denied).await;
        let _ = self.last.set(last);
        evidence
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        self.canary.until(scene, "without the policy", |seen| seen == Seen::Open).await
    }
}
