//! Takes a StatefulSet's volumes away: its pods are stopped, their claims deleted with what was on them. Healed, it has
//! as many pods as before, on new and empty volumes; what was lost stays lost.

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use gauntlet_cluster::progress::Waiting;
use gauntlet_cluster::view::Snapshot;
use gauntlet_cluster::volumes;
use gauntlet_core::{Evidence, Trouble};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// Pods may take their time to end, and to start again.
const SHOWS_WITHIN: Duration = Duration::from_secs(180);

/// Claims are not among what a view shows.
const ASK_EVERY: Duration = Duration::from_millis(300);

pub struct LoseVolumes {
    namespace: String,
    stateful_set: String,
    replicas: i32,
    /// Name and uid of each claim that is lost.
    lost: Vec<(String, String)>,
}

impl LoseVolumes {
    pub fn new(namespace: impl Into<String>, stateful_set: impl Into<String>, replicas: i32) -> Self {
        Self { namespace: namespace.into(), stateful_set: stateful_set.into(), replicas, lost: vec![] }
    }

    fn pods(&self, snapshot: &Snapshot) -> Vec<Arc<Pod>> {
        let is_owner =
            |pod: &Pod| pod.owner_references().iter().any(|o| o.kind == "StatefulSet" && o.name == self.stateful_set);
        let here = |pod: &&Arc<Pod>| pod.namespace().as_deref() == Some(&self.namespace) && is_owner(pod);
        snapshot.pods.iter().filter(here).cloned().collect()
    }

    async fn no_pods(&self, scene: &Scene) -> Result<(), Trouble> {
        let what = format!("all pods of {} to be gone", self.stateful_set);
        let gone = |snapshot: &Snapshot| match self.pods(snapshot).len() {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        };
        scene.view.until(&what, SHOWS_WITHIN, scene.progress.as_ref(), gone).await
    }

    /// Waits until `is_so` holds of every lost claim, given its old uid and what is there now under its name.
    async fn claims(
        &self,
        scene: &Scene,
        what: &str,
        is_so: fn(&str, Option<&(String, String)>) -> bool,
    ) -> Result<(), String> {
        let mut waiting = Waiting::start(what, SHOWS_WITHIN, scene.progress.as_ref());
        loop {
            let mut not_so = Vec::new();
            for (name, uid) in &self.lost {
                match volumes::claim(scene.cluster.access(), &self.namespace, name).await {
                    Ok(now) if is_so(uid, now.as_ref()) => {}
                    Ok(_) => not_so.push(name.clone()),
                    Err(trouble) => not_so.push(trouble.message),
                }
            }
            if not_so.is_empty() {
                return Ok(());
            }
            waiting.seen(&format!("not yet: {}", not_so.join(", ")));
            if tokio::time::Instant::now() >= waiting.until() {
                return Err(waiting.gave_up());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

#[async_trait]
impl Fault for LoseVolumes {
    fn disturbance(&self) -> Disturbance {
        Disturbance::LoseVolumes {
            namespace: self.namespace.clone(),
            stateful_set: self.stateful_set.clone(),
            replicas: self.replicas,
        }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        scene.view.complete().await;
        let access = scene.cluster.access();
        for name in self.pods(&scene.view.snapshot()).iter().flat_map(|pod| volumes::claims_of(pod)) {
            if let Some((uid, _)) = volumes::claim(access, &self.namespace, &name).await? {
                self.lost.push((name, uid));
            }
        }
        volumes::scale(access, &self.namespace, &self.stateful_set, 0).await?;
        self.no_pods(scene).await?;
        for (name, _) in &self.lost {
            volumes::delete_claim(access, &self.namespace, name).await?;
        }
        Ok(())
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        if self.lost.is_empty() {
            return Evidence::Missing(format!("the pods of {} had no claims to lose", self.stateful_set));
        }
        let gone = |uid: &str, now: Option<&(String, String)>| now.is_none_or(|(other, _)| other != uid);
        match self.claims(scene, "the claims to be gone", gone).await {
            Ok(()) => Evidence::Shown(format!("no pod runs and {} claims are gone", self.lost.len())),
            Err(why) => Evidence::Missing(why),
        }
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        let what = format!("{} pods of {} to run", self.replicas, self.stateful_set);
        let run = |snapshot: &Snapshot| {
            let running = self.pods(snapshot).iter().filter(|pod| runs(pod)).count();
            let enough = i32::try_from(running).is_ok_and(|running| running >= self.replicas);
            if enough { Ok(()) } else { Err(format!("{running} run")) }
        };
        if let Err(trouble) = scene.view.until(&what, SHOWS_WITHIN, scene.progress.as_ref(), run).await {
            return Evidence::Missing(trouble.message);
        }
        let anew =
            |uid: &str, now: Option<&(String, String)>| now.is_some_and(|(new, phase)| new != uid && phase == "Bound");
        match self.claims(scene, "new claims to be bound", anew).await {
            Ok(()) => Evidence::Shown(format!("{} pods run on new volumes", self.replicas)),
            Err(why) => Evidence::Missing(why),
        }
    }
}

fn runs(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
}
