//! Kills the process of a container (SIGKILL) and keeps it down until healed.

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use gauntlet_cluster::view::Snapshot;
use gauntlet_core::{Capability, Evidence, Trouble};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// How long the node may take to notice that a process died or started.
const SHOWS_WITHIN: Duration = Duration::from_secs(30);

pub struct HoldContainer {
    namespace: String,
    pod: String,
    container: String,
    /// The container as it ran before.
    victim: Option<ContainerStatus>,
}

impl HoldContainer {
    pub const NEEDS: Capability = Capability::HoldContainer;

    pub fn new(namespace: impl Into<String>, pod: impl Into<String>, container: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), pod: pod.into(), container: container.into(), victim: None }
    }

    fn status(&self, snapshot: &Snapshot) -> Option<ContainerStatus> {
        let named = |pod: &&Arc<Pod>| pod.name_any() == self.pod && pod.namespace().as_deref() == Some(&self.namespace);
        let pod = snapshot.pods.iter().find(named)?;
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        statuses.iter().find(|status| status.name == self.container).cloned()
    }

    /// What was shown, unless a container shows as running though nothing in it does, or must not though it does.
    async fn stands_still(&self, scene: &Scene, shown: Evidence, victim: &ContainerStatus, wanted: bool) -> Evidence {
        let Evidence::Shown(what) = shown else { return shown };
        let now = self.status(&scene.view.snapshot());
        let replaced = now.is_some_and(|now| is_running(&now) && now.container_id != victim.container_id);
        let still = replaced && {
            match scene.cluster.stands_still(&self.namespace, &self.pod, &self.container).await {
                Ok(still) => still,
                Err(trouble) => return Evidence::Missing(trouble.message),
            }
        };
        match (wanted, replaced, still) {
            (true, true, false) => Evidence::Missing("another one runs in its place".to_owned()),
            (true, true, true) => Evidence::Shown(format!("{what}, and what was started in its place stands still")),
            (false, _, true) => Evidence::Missing("it was started again, and stands still".to_owned()),
            (true, false, _) | (false, _, false) => Evidence::Shown(what),
        }
    }

    async fn shows(
        &self,
        scene: &Scene,
        what: &str,
        condition: impl Fn(&ContainerStatus) -> Result<String, String> + Send,
    ) -> Evidence {
        let what = format!("{}/{} {} to {what}", self.namespace, self.pod, self.container);
        let seen = scene.view.until(&what, SHOWS_WITHIN, scene.progress.as_ref(), |snapshot| {
            self.status(snapshot).ok_or_else(|| "the pod has no such container".to_owned()).and_then(|s| condition(&s))
        });
        match seen.await {
            Ok(seen) => Evidence::Shown(seen),
            Err(trouble) => Evidence::Missing(trouble.message),
        }
    }
}

#[async_trait]
impl Fault for HoldContainer {
    fn disturbance(&self) -> Disturbance {
        Disturbance::HoldContainer {
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            container: self.container.clone(),
        }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        scene.view.complete().await;
        self.victim = self.status(&scene.view.snapshot());
        scene.cluster.hold_container(&self.namespace, &self.pod, &self.container).await
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        let Some(victim) = &self.victim else {
            return Evidence::Missing("the container did not run before it was to be killed".to_owned());
        };
        let shown = self.shows(scene, "be dead", |now| death_of(victim, now)).await;
        self.stands_still(scene, shown, victim, true).await
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        let Some(victim) = &self.victim else {
            return Evidence::Missing("the container did not run before it was to be killed".to_owned());
        };
        let shown = self.shows(scene, "run again", |now| return_of(victim, now)).await;
        self.stands_still(scene, shown, victim, false).await
    }
}

/// The very container that ran is dead by SIGKILL. What shows as running in its place must stand still.
fn death_of(victim: &ContainerStatus, now: &ContainerStatus) -> Result<String, String> {
    let state = now.state.clone().unwrap_or_default();
    if state.running.is_some() && now.container_id == victim.container_id {
        return Err("it still runs".to_owned());
    }
    let last = now.last_state.clone().unwrap_or_default();
    let end = state.terminated.or(last.terminated).ok_or("it does not run, but no end of it is on record")?;
    if end.container_id != victim.container_id {
        return Err("the end on record is that of an earlier container".to_owned());
    }
    match end.exit_code {
        137 => Ok(format!("{} ended with exit code 137 (SIGKILL)", now.name)),
        code => Err(format!("it ended with exit code {code}, not by SIGKILL")),
    }
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn return_of(victim: &ContainerStatus, now: &ContainerStatus) -> Result<String, String> {
    if !is_running(now) {
        return Err("it does not run".to_owned());
    }
    if now.container_id == victim.container_id {
        return Err("it never stopped".to_owned());
    }
    Ok(format!("{} runs again (restart {})", now.name, now.restart_count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(id: &str, state: Value) -> ContainerStatus {
        serde_json::from_value(json!({"name": "redis", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
            "containerID": id, "state": state}))
        .unwrap()
    }

    fn running() -> Value {
        json!({"running": {}})
    }

    fn ended(id: &str, code: i32) -> Value {
        json!({"terminated": {"exitCode": code, "containerID": id}})
    }

    /// Another one shows as running, and the last end on record is this.
    fn replaced(id: &str, code: i32) -> ContainerStatus {
        let last = serde_json::from_value(ended(id, code)).unwrap();
        ContainerStatus { last_state: Some(last), ..status("b", running()) }
    }

    #[test]
    fn only_the_death_of_the_very_container_by_sigkill_counts() {
        let victim = status("a", running());
        for (now, effective) in [
            (status("a", ended("a", 137)), true),
            (status("a", running()), false),
            (status("b", running()), false),
            (status("a", ended("a", 0)), false),
            (status("b", ended("b", 137)), false),
            (replaced("a", 137), true),
            (replaced("a", 0), false),
            (replaced("0", 137), false),
            (status("a", json!({"waiting": {"reason": "x"}})), false),
        ] {
            assert_eq!(death_of(&victim, &now).is_ok(), effective, "{now:?}");
        }
    }

    #[test]
    fn only_a_new_container_that_runs_is_a_return() {
        let victim = status("a", running());
        assert!(return_of(&victim, &status("b", running())).is_ok());
        assert_eq!(return_of(&victim, &status("a", running())), Err("it never stopped".to_owned()));
        assert!(return_of(&victim, &status("b", ended("b", 1))).is_err());
    }
}
