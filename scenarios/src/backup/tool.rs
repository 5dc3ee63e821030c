//! A pod of our own that reaches a store as its clients do, and waits to be told what to do there.

use crate::workload::clients::{Client, Load, Placement};
use crate::workload::fleet::secret_copies;
use crate::workload::pods;
use gauntlet_cluster::exec::{self, Output, Place};
use gauntlet_cluster::view::Snapshot;
use gauntlet_cluster::{apply, ready};
use gauntlet_core::Trouble;
use gauntlet_engine::Lab;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;
use std::time::Duration;

const RUNNING_WITHIN: Duration = Duration::from_secs(90);

/// A pod of ours.
pub struct Tool<'a> {
    lab: &'a Lab,
    namespace: String,
    name: String,
}

impl<'a> Tool<'a> {
    /// A pod that can reach what the client uses.
    ///
    /// # Errors
    /// It does not run.
    pub async fn client(lab: &'a Lab, client: &Client<'a>) -> Result<Self, Trouble> {
        let node = lab.cluster().quiet_node().map(str::to_owned);
        let load = Load { pause_ms: 0, consume: false, pinned: false };
        let image = lab.cluster().agent_image().to_owned();
        let fleet = format!("{}-keeper", lab.slug());
        let run = lab.run.clone();
        let placement = Placement { run, fleet, node, image, load, seed: lab.seed, settled_within: None };
        let mut objects = pods::policies(lab.deployment(), std::slice::from_ref(client));
        objects.push(pods::namespace(&placement));
        objects.extend(secret_copies(lab, std::slice::from_ref(client), &placement).await?);
        objects.push(pods::pod(lab.deployment(), client, &placement));
        Self::start(lab, placement.namespace(), placement.pod_name(client), objects).await
    }

    async fn start(lab: &'a Lab, namespace: String, name: String, objects: Vec<Value>) -> Result<Self, Trouble> {
        apply::apply(lab.access(), &lab.run, objects).await.map_err(|t| t.doing(format!("cannot start {name}")))?;
        let up = |snapshot: &Snapshot| {
            let is_it = |pod: &Pod| pod.name_any() == name && pod.namespace().as_ref() == Some(&namespace);
            let pod = snapshot.pods.iter().find(|pod| is_it(pod)).ok_or("it is not there")?;
            if ready::is_ready(pod) { Ok(()) } else { Err(ready::pod_trouble(pod).unwrap_or_default()) }
        };
        lab.view().until(&format!("{name} to run"), RUNNING_WITHIN, lab.progress(), up).await?;
        Ok(Self { lab, namespace, name })
    }

    /// Lets the pod do something of `agent`, once: what it printed, what it complained of otherwise.
    ///
    /// # Errors
    /// It failed, or did not end in time, and may have done it.
    pub async fn tell(&self, words: &[&str], within: Duration) -> Result<String, String> {
        printed(words, exec::exec(self.lab.access(), self.place(), &command(words), within).await)
    }

    /// The same of something that only looks, which may be done twice.
    ///
    /// # Errors
    /// It failed, or did not end in time.
    pub async fn ask(&self, words: &[&str], within: Duration) -> Result<String, String> {
        printed(words, exec::ask(self.lab.access(), self.place(), &command(words), within).await)
    }

    fn place(&self) -> Place<'_> {
        Place { namespace: &self.namespace, pod: &self.name, container: "agent" }
    }
}

fn command<'a>(words: &[&'a str]) -> Vec<&'a str> {
    ["/gauntlet", "agent"].iter().chain(words).copied().collect()
}

fn printed(words: &[&str], output: Result<Output, Trouble>) -> Result<String, String> {
    match output {
        Ok(output) if output.success() => Ok(output.stdout),
        Ok(output) => {
            let said = output.stderr.trim();
            Err(format!("`{}` ended with {}: {said}", words.join(" "), output.code))
        }
        Err(trouble) => Err(trouble.message),
    }
}
