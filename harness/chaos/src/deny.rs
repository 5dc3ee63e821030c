//! Denies all traffic into pods of our own by a NetworkPolicy, until healed: whether policies are enforced at all, shown
//! before anything is concluded from silence.

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use gauntlet_cluster::access::{RUN_LABEL, said};
use gauntlet_cluster::exec::Place;
use gauntlet_cluster::probe::{self, Target};
use gauntlet_core::matrix::Seen;
use gauntlet_core::matrix::judge::Enforcement;
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

/// So many tries in a row must agree before anything is concluded: a network that follows a policy node by node, or that
/// refuses only so often in a second, says something else from one moment to the next.
const AGREE: usize = 3;

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

    /// Asks until the answers are as wanted and stay so, and says so.
    pub async fn until(&self, scene: &Scene, what: &str, wanted: fn(Seen) -> bool) -> Evidence {
        self.tries(scene, what, wanted).await.0
    }

    /// The same, and all tries.
    async fn tries(&self, scene: &Scene, what: &str, wanted: fn(Seen) -> bool) -> (Evidence, Vec<Try>) {
        let deadline = Instant::now() + FOLLOWS_WITHIN;
        let mut tries = Vec::new();
        loop {
            let began = Instant::now();
            match self.ask(scene).await {
                Ok(seen) => tries.push(Try { began, seen }),
                Err(trouble) => return (Evidence::Missing(trouble.message), tries),
            }
            let said = || format!("{} → {}: {} {what}", self.pod, self.target, told(&tries));
            if agreed(&tries, wanted).is_some() {
                return (Evidence::Shown(said()), tries);
            }
            if Instant::now() >= deadline {
                return (Evidence::Missing(said()), tries);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// When the canary asked, and what it saw.
#[derive(Debug, Clone, Copy)]
struct Try {
    began: Instant,
    seen: Seen,
}

/// The last tries, where all of them are as wanted.
fn agreed(tries: &[Try], wanted: fn(Seen) -> bool) -> Option<&[Try]> {
    let last = tries.get(tries.len().checked_sub(AGREE)?..)?;
    last.iter().all(|one| wanted(one.seen)).then_some(last)
}

/// What the last tries have seen, in words.
fn told(tries: &[Try]) -> String {
    let last = &tries[tries.len().saturating_sub(AGREE)..];
    match last.iter().map(|one| one.seen.to_string()).collect::<Vec<String>>() {
        same if same.iter().all(|seen| *seen == same[0]) => format!("{} ({} times)", same[0], same.len()),
        others => others.join(", then "),
    }
}

/// How policies deny, where they do: a refusal among silences is one that was not held back.
fn enforcement(tries: &[Try]) -> Option<Enforcement> {
    let refused = agreed(tries, is_denied)?.iter().any(|one| one.seen == Seen::Refused);
    Some(if refused { Enforcement::Rejects } else { Enforcement::Drops })
}

/// A policy that lets nobody reach the pods with some labels.
pub struct DenyIngress {
    run: String,
    policy: String,
    labels: BTreeMap<String, String>,
    canary: Canary,
    made: Option<Instant>,
    tries: OnceLock<Vec<Try>>,
}

impl DenyIngress {
    /// `run` is the label of everything that is made.
    pub fn new(run: &str, policy: &str, labels: BTreeMap<String, String>, canary: Canary) -> Self {
        Self { run: run.to_owned(), policy: policy.to_owned(), labels, canary, made: None, tries: OnceLock::new() }
    }

    fn tries(&self) -> &[Try] {
        self.tries.get().map_or(&[], Vec::as_slice)
    }

    /// From the answer of the API server to the beginning of the first try from which on all were denied: enforcement took
    /// no longer. Not known to less than the time between two tries.
    pub fn enforced_after(&self) -> Option<Duration> {
        let denied = agreed(self.tries(), is_denied)?.first()?;
        Some(denied.began.duration_since(self.made?))
    }

    /// How the policy denies, where it took effect.
    pub fn enforcement(&self) -> Option<Enforcement> {
        enforcement(self.tries())
    }

    /// Whether the pods were still reached, each time, when there was no more time to wait.
    pub fn is_ignored(&self) -> bool {
        agreed(self.tries(), |seen| seen == Seen::Open).is_some()
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
        let (evidence, tries) = self.canary.tries(scene, "under a policy that denies it", is_denied).await;
        let _ = self.tries.set(tries);
        evidence
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        self.canary.until(scene, "without the policy", |seen| seen == Seen::Open).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Seen::{Open, Refused, Timeout};

    fn tries(seen: &[Seen]) -> Vec<Try> {
        seen.iter().map(|seen| Try { began: Instant::now(), seen: *seen }).collect()
    }

    #[test]
    fn only_answers_that_agree_tell_whether_and_how_policies_deny() {
        use Enforcement::{Drops, Rejects};
        for (seen, expected) in [
            (&[][..], None),
            (&[Timeout, Timeout], None),
            (&[Timeout, Timeout, Timeout], Some(Drops)),
            (&[Refused, Refused, Refused], Some(Rejects)),
            // Refusals that are held back are silence.
            (&[Refused, Timeout, Timeout], Some(Rejects)),
            (&[Timeout, Refused, Timeout], Some(Rejects)),
            // The policy has come to one node and not yet to the other.
            (&[Timeout, Open, Timeout], None),
            (&[Refused, Open, Timeout, Timeout, Timeout], Some(Drops)),
            (&[Timeout, Timeout, Timeout, Open], None),
            (&[Timeout, Timeout, Seen::ProbeFailed], None),
        ] {
            assert_eq!(enforcement(&tries(seen)), expected, "{seen:?}");
        }
    }

    #[test]
    fn policies_are_ignored_where_everything_stays_open() {
        let ignored = |seen: &[Seen]| agreed(&tries(seen), |seen| seen == Open).is_some();
        assert!(ignored(&[Timeout, Open, Open, Open]));
        assert!(!ignored(&[Open, Open, Timeout]));
        assert!(!ignored(&[Open, Open]));
    }

    #[test]
    fn what_was_seen_last_is_told() {
        assert_eq!(told(&tries(&[Open, Timeout, Timeout, Timeout])), "timeout (3 times)");
        assert_eq!(told(&tries(&[Open, Timeout, Refused])), "open, then timeout, then refused");
    }
}
