//! What lies on a claim: a pod of ours mounts it, does one thing there and is gone, since most claims are mounted on one
//! node at a time and the next one to mount it is the system.

use crate::access::{Access, said};
use crate::exec::{self, Place};
use crate::{agent_pod, apply, ready};
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// Where our pod mounts the claim.
pub const MOUNT: &str = "/backup";

/// Words of `agent keep` that change nothing.
const ASK: [&str; 2] = ["files", "digest"];

/// Others may have to leave the claim first.
const RUNS_WITHIN: Duration = Duration::from_secs(120);

const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// A claim, and how a pod of ours gets at it. Enough for another process to do so too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub namespace: String,
    pub claim: String,
    /// The image of the agent.
    pub image: String,
    /// The run whose label the pod bears.
    pub run: String,
    /// Whom the pod runs as: `securityContext` of the pods that write there.
    pub security: Value,
}

impl Claim {
    /// Lets `agent keep` do something on the claim, which is at [`MOUNT`]; what it printed.
    ///
    /// # Errors
    /// The pod does not run, or what it was to do did not work.
    pub async fn keep(&self, access: &Access, words: &[&str]) -> Result<String, Trouble> {
        let name = format!("gauntlet-looker-{:08x}", rand::random::<u32>());
        let doing = || format!("cannot look at the claim {}/{}", self.namespace, self.claim);
        apply::apply(access, &self.run, vec![self.pod(&name)]).await.map_err(|t| t.doing(doing()))?;
        let told = self.tell(access, &name, words).await;
        self.remove(access, &name).await?;
        told.map_err(|trouble| trouble.doing(doing()))
    }

    async fn tell(&self, access: &Access, name: &str, words: &[&str]) -> Result<String, Trouble> {
        let api: Api<Pod> = Api::namespaced(access.client.clone(), &self.namespace);
        let runs = await_condition(api.clone(), name, |pod: Option<&Pod>| pod.is_some_and(ready::is_ready));
        if tokio::time::timeout(RUNS_WITHIN, runs).await.is_err() {
            let pod = api.get_opt(name).await.ok().flatten();
            let why = pod.and_then(|pod| ready::pod_trouble(&pod)).unwrap_or_default();
            return Err(Trouble::harness(format!("{name} does not run: {why}")));
        }
        let place = Place { namespace: &self.namespace, pod: name, container: "agent" };
        let command: Vec<&str> = ["/gauntlet", "agent", "keep"].iter().chain(words).copied().collect();
        let only_asks = words.first().is_some_and(|word| ASK.contains(word));
        let output = match only_asks {
            true => exec::ask(access, place, &command, ANSWERS_WITHIN).await?,
            false => exec::exec(access, place, &command, ANSWERS_WITHIN).await?,
        };
        if output.success() {
            return Ok(output.stdout);
        }
        Err(Trouble::harness(format!(
            "`keep {}` ended with {}: {}",
            words.join(" "),
            output.code,
            output.stderr.trim()
        )))
    }

    async fn remove(&self, access: &Access, name: &str) -> Result<(), Trouble> {
        let api: Api<Pod> = Api::namespaced(access.client.clone(), &self.namespace);
        let doing = || format!("cannot remove {name}");
        let Some(pod) = api.get_opt(name).await.or_trouble(doing)? else { return Ok(()) };
        api.delete(name, &DeleteParams::default())
            .await
            .map_err(|error| Trouble::harness(format!("{}: {}", doing(), said(&error))))?;
        let uid = pod.uid().unwrap_or_default();
        match tokio::time::timeout(GONE_WITHIN, await_condition(api, name, is_deleted(&uid))).await {
            Ok(gone) => gone.map(drop).or_trouble(doing),
            Err(_) => Err(Trouble::harness(format!("{name} is not gone after {GONE_WITHIN:?}"))),
        }
    }

    /// An idle agent with the claim.
    fn pod(&self, name: &str) -> Value {
        let mut container = agent_pod::container("agent", &self.image);
        container["args"] = json!(["idle"]);
        container["resources"] = json!({
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "200m", "memory": "256Mi"},
        });
        container["volumeMounts"] = json!([{"name": "claim", "mountPath": MOUNT}]);
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"gauntlet.test/agent": "looker"}},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 1,
                "securityContext": self.security,
                "containers": [container],
                "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": self.claim}}],
            },
        })
    }
}
