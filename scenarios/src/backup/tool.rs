//! A pod of our own that reaches a store as its clients do, and waits to be told what to do there.

use crate::workload::clients::{Client, Load, Placement};
use crate::workload::fleet::secret_copies;
use crate::workload::pods;
use gauntlet_cluster::exec::{self, Output, Place};
use gauntlet_cluster::view::Snapshot;
use gauntlet_cluster::{apply, ready};
use gauntlet_core::Trouble;
use gauntlet_engine::Lab;
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
        let placement = Placement { fleet, node, image, load, seed: lab.seed, settled_within: None };
        let mut objects = pods::policies(lab.deployment(), std::slice::from_ref(client));
        objects.push(pods::namespace(&placement));
        objects.extend(secret_copies(lab, std::slice::from_ref(client), &placement).await?);
        objects.push(pods::pod(lab.deployment(), client, &placement));
        Self::start(lab, placement.namespace(), placement.pod_name(client), objects).await
    }

    async fn start(lab: &'a Lab, namespace: String, name: String, objects: Vec<Value>) -> Result<Self, Trouble> {
        apply::apply(lab.access(), &lab.run, objects).await.map_err(|t| t.doing(format!("cannot start {name}")))?;
        let up = |snapshot: &Snapshot| {
            let pod = snapshot.pods.iter().find(|pod| pod.name_any() == name).ok_or("it is not there")?;
            if ready::is_ready(pod) { Ok(()) } else { Err(ready::pod_trouble(pod).unwrap_or_default()) }
        };
        lab.view().until(&format!("{name} to run"), RUNNING_WITHIN, lab.progress(), up).await?;
        Ok(Self { lab, namespace, name })
    }

    /// Lets the pod do something of `agent`.
    ///
    /// # Errors
    /// It could not be told, or did not end in time.
    pub async fn run(&self, words: &[&str], within: Duration) -> Result<Output, Trouble> {
        let place = Place { namespace: &self.namespace, pod: &self.name, container: "agent" };
        let command: Vec<&str> = ["/gauntlet", "agent"].iter().chain(words).copied().collect();
        exec::exec(self.lab.access(), place, &command, within).await
    }

    /// What the pod printed; what it complained of otherwise.
    ///
    /// # Errors
    /// It failed, or did not end in time.
    pub async fn ask(&self, words: &[&str], within: Duration) -> Result<String, String> {
        match self.run(words, within).await {
            Ok(output) if output.success() => Ok(output.stdout),
            Ok(output) => {
                let said = output.stderr.trim();
                Err(format!("`{}` ended with {}: {said}", words.join(" "), output.code))
            }
            Err(trouble) => Err(trouble.message),
        }
    }
}
