//! A backup's Job on a volume of its own, in memory and as large as we like, in place of the claim: where it is too small,
//! the fault that the volume is full.
//!
//! Two containers of ours come before those of the template. The first measures how much the volume takes and takes it
//! away again; the second stays until the others have ended, and tells then what lies on the volume, which goes with the
//! pod.

use super::judge;
use crate::backup::take::{self, Entry, Subject};
use async_trait::async_trait;
use gauntlet_chaos::fault::Scene;
use gauntlet_chaos::{Disturbance, Fault};
use gauntlet_cluster::agent_pod;
use gauntlet_cluster::claims::MOUNT;
use gauntlet_cluster::exec::{self, Place};
use gauntlet_cluster::jobs;
use gauntlet_cluster::view::Snapshot;
use gauntlet_core::{Evidence, Trouble};
use gauntlet_engine::Lab;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const MEASURE: &str = "gauntlet-measure";
const WATCH: &str = "gauntlet-watch";

const SHOWS_WITHIN: Duration = Duration::from_secs(90);

/// The volume and how much of it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Bytes that the volume has.
    pub bytes: u64,
    /// Bytes that are tried.
    pub tried: u64,
}

/// The volume that no container has.
const PLACE: &str = "place";

/// The Job with the room in place of the claim.
///
/// # Errors
/// The template mounts no such claim.
pub async fn job(lab: &Lab, subject: Subject<'_>, name: &str, room: Room) -> Result<Value, Trouble> {
    let job = judge::at_most_one_retry(take::job(lab, subject, name).await?);
    with_room(job, &subject.backup.claim, lab.cluster().agent_image(), room).ok_or_else(|| {
        Trouble::harness(format!("the pods of {} mount no claim {}", subject.workload.name.value, subject.backup.claim))
    })
}

fn with_room(mut job: Value, claim: &str, image: &str, room: Room) -> Option<Value> {
    let spec = job.pointer_mut("/spec/template/spec")?;
    let volumes = spec["volumes"].as_array_mut()?;
    let volume = volumes.iter_mut().find(|v| v["persistentVolumeClaim"]["claimName"] == claim)?;
    let name = volume["name"].clone();
    *volume = json!({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": room.bytes.to_string()}});
    // No container has the claim, but it says on which node the pod may be: elsewhere, backups that want to be beside
    // each other could not be where the claim is.
    volumes.push(json!({"name": PLACE, "persistentVolumeClaim": {"claimName": claim}}));
    let container = |called: &str, words: Value| {
        let mut container = agent_pod::container(called, image);
        container["args"] = words;
        container["resources"] =
            json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "256Mi"}});
        container["volumeMounts"] = json!([{"name": name, "mountPath": MOUNT}]);
        container
    };
    let measure = container(MEASURE, json!(["keep", "measure", MOUNT, "--at-most", room.tried.to_string()]));
    let mut watch = container(WATCH, json!(["keep", "watch", MOUNT]));
    watch["restartPolicy"] = json!("Always");
    let own = spec["initContainers"].as_array().cloned().unwrap_or_default();
    spec["initContainers"] = [measure, watch].into_iter().chain(own).collect();
    Some(job)
}

/// What lies on the volume of each of the Job's pods that has ended.
///
/// # Errors
/// One of them does not tell.
pub async fn left(lab: &Lab, namespace: &str, job: &str) -> Result<Vec<Vec<Entry>>, String> {
    let pods = pods_of(&lab.view().snapshot(), namespace, job);
    let mut all = Vec::new();
    for pod in pods {
        let pod = pod.name_any();
        let told = last_line(lab.access(), Place { namespace, pod: &pod, container: WATCH }).await?;
        all.push(serde_json::from_str(&told).map_err(|error| format!("{pod} tells nothing of its volume: {error}"))?);
    }
    if all.is_empty() { Err("none of its pods is there any more".to_owned()) } else { Ok(all) }
}

async fn last_line(access: &gauntlet_cluster::Access, place: Place<'_>) -> Result<String, String> {
    let log = exec::logs(access, place, false, Some(1)).await?;
    let line = log.lines().last().unwrap_or_default();
    // The time comes first.
    Ok(line.split_once(' ').map_or("", |(_, text)| text).to_owned())
}

fn pods_of(snapshot: &Snapshot, namespace: &str, job: &str) -> Vec<Arc<Pod>> {
    let is_owner = |pod: &Pod| pod.owner_references().iter().any(|owner| owner.kind == "Job" && owner.name == job);
    let here = |pod: &&Arc<Pod>| pod.namespace().as_deref() == Some(namespace) && is_owner(pod);
    snapshot.pods.iter().filter(here).cloned().collect()
}

/// A Job whose pods have a volume on which what they write does not fit.
pub struct SmallVolume {
    pub namespace: String,
    pub name: String,
    pub job: Value,
    /// Bytes that the same Job took where there was room.
    pub need: u64,
}

#[derive(Debug, Deserialize)]
struct Measured {
    fits: u64,
    refusal: Option<String>,
}

#[async_trait]
impl Fault for SmallVolume {
    fn disturbance(&self) -> Disturbance {
        Disturbance::SmallVolume { namespace: self.namespace.clone(), job: self.name.clone() }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        jobs::create(scene.cluster.access(), &self.namespace, self.job.clone()).await
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        let what = format!("{} to have measured its volume", self.name);
        let measured = |snapshot: &Snapshot| {
            let pods = pods_of(snapshot, &self.namespace, &self.name);
            let pod = pods.into_iter().find(|pod| has_measured(pod));
            pod.map(|pod| pod.name_any()).ok_or_else(|| "no pod has".to_owned())
        };
        let pod = match scene.view.until(&what, SHOWS_WITHIN, scene.progress.as_ref(), measured).await {
            Ok(pod) => pod,
            Err(trouble) => return Evidence::Missing(trouble.message),
        };
        let place = Place { namespace: &self.namespace, pod: &pod, container: MEASURE };
        match last_line(scene.cluster.access(), place).await {
            Ok(told) => self.is_too_small(&told).map_or_else(Evidence::Missing, Evidence::Shown),
            Err(why) => Evidence::Missing(why),
        }
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        let what = format!("the pods of {} to be gone", self.name);
        let gone = |snapshot: &Snapshot| match pods_of(snapshot, &self.namespace, &self.name).len() {
            0 => Ok(()),
            count => Err(format!("{count} left")),
        };
        match scene.view.until(&what, SHOWS_WITHIN, scene.progress.as_ref(), gone).await {
            Ok(()) => Evidence::Shown("the small volumes went with their pods".to_owned()),
            Err(trouble) => Evidence::Missing(trouble.message),
        }
    }
}

impl SmallVolume {
    fn is_too_small(&self, told: &str) -> Result<String, String> {
        let Measured { fits, refusal } =
            serde_json::from_str(told).map_err(|error| format!("the volume was not measured: {error}"))?;
        match refusal {
            Some(refusal) if fits < self.need => {
                Ok(format!("writes to the volume end after {fits} bytes ({refusal}); the backup took {}", self.need))
            }
            _ => Err(format!("the volume took {fits} bytes, the backup {}", self.need)),
        }
    }
}

fn has_measured(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let mut ours = statuses.filter(|status| status.name == MEASURE);
    ours.any(|status| {
        let state = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        state.is_some_and(|ended| ended.exit_code == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_and_nothing_else_gives_way_to_the_room() {
        let job = json!({"spec": {"template": {"spec": {
            "initContainers": [{"name": "own"}],
            "volumes": [{"name": "a", "secret": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "c"}}],
        }}}});
        let room = Room { bytes: 4096, tried: 8192 };
        assert!(with_room(job.clone(), "other", "i", room).is_none());
        let job = with_room(job, "c", "i", room).unwrap();
        let spec = &job["spec"]["template"]["spec"];
        assert_eq!(spec["volumes"][0], json!({"name": "a", "secret": {}}));
        assert_eq!(spec["volumes"][1], json!({"name": "b", "emptyDir": {"medium": "Memory", "sizeLimit": "4096"}}));
        assert_eq!(spec["volumes"][2]["persistentVolumeClaim"]["claimName"], "c", "it is where the claim is");
        let names: Vec<&Value> =
            spec["initContainers"].as_array().unwrap().iter().map(|container| &container["name"]).collect();
        assert_eq!(names, [MEASURE, WATCH, "own"]);
    }

    #[test]
    fn only_a_refusal_before_what_is_needed_is_a_volume_too_small() {
        let fault = SmallVolume { namespace: "n".into(), name: "j".into(), job: Value::Null, need: 10 };
        for (told, shown) in [
            (r#"{"fits": 9, "refusal": "No space left on device"}"#, true),
            (r#"{"fits": 10, "refusal": "No space left on device"}"#, false),
            (r#"{"fits": 10, "refusal": null}"#, false),
            ("", false),
        ] {
            assert_eq!(fault.is_too_small(told).is_ok(), shown, "{told}");
        }
    }
}
