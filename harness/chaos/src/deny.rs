//! Denies all traffic into pods of our own by a NetworkPolicy, until healed: whether policies are enforced at all, shown
//! before anything is concluded from silence.

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use gauntlet_cluster::access::said;
use gauntlet_cluster::exec::Place;
use gauntlet_cluster::probe::{self, Target};
use gauntlet_core::matrix::Seen;
use gauntlet_core::{Evidence, Trouble};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

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
        let deadline = tokio::time::Instant::now() + FOLLOWS_WITHIN;
        loop {
            let seen = match self.ask(scene).await {
                Ok(seen) => seen,
                Err(trouble) => return Evidence::Missing(trouble.message),
            };
            let said = format!("{} → {}: {seen} {what}", self.pod, self.target);
            if wanted(seen) {
                return Evidence::Shown(said);
            }
            if tokio::time::Instant::now() >= deadline {
                return Evidence::Missing(said);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// A policy that lets nobody reach the pods with some labels.
pub struct DenyIngress {
    pub policy: String,
    pub labels: BTreeMap<String, String>,
    pub canary: Canary,
}

#[async_trait]
impl Fault for DenyIngress {
    fn disturbance(&self) -> Disturbance {
        Disturbance::Policy { namespace: self.canary.namespace.clone(), policy: self.policy.clone() }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        let api: Api<NetworkPolicy> = Api::namespaced(scene.cluster.access().client.clone(), &self.canary.namespace);
        let policy = json!({
            "metadata": {"name": self.policy, "namespace": self.canary.namespace},
            "spec": {"podSelector": {"matchLabels": self.labels}, "policyTypes": ["Ingress"]},
        });
        let policy = serde_json::from_value(policy).map_err(|error| Trouble::harness(error.to_string()))?;
        let created = api.create(&PostParams::default(), &policy).await;
        created.map(drop).map_err(|error| Trouble::harness(said(&error)))
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        self.canary
            .until(scene, "under a policy that denies it", |seen| matches!(seen, Seen::Timeout | Seen::Refused))
            .await
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        self.canary.until(scene, "without the policy", |seen| seen == Seen::Open).await
    }
}
