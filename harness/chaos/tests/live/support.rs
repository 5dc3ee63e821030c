//! A cluster, pods on it, and what may be asked of them.

use gauntlet_chaos::Journal;
use gauntlet_chaos::fault::Scene;
use gauntlet_cluster::progress::Quiet;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::traffic::Dialled;
use gauntlet_cluster::view::View;
use gauntlet_cluster::{Cluster, Provider};
use gauntlet_core::Evidence;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use libtest_mimic::Failed;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub type Outcome = Result<(), Failed>;

/// For what takes a moment on a machine that has nothing else to do.
const DEADLINE: Duration = Duration::from_secs(60);

pub async fn on_a_cluster(name: &str, test: impl AsyncFnOnce(Scene) -> Outcome) -> Outcome {
    let folder = tempfile::tempdir()?;
    let provider = Embedded { state_dir: folder.path().join("state") };
    let id = name.split('_').next().unwrap_or(name);
    let cluster: Arc<dyn Cluster> = provider.launch(Wanted::bare(id, 2)).await.map_err(text)?.into();
    let scene = Scene {
        cluster: cluster.clone(),
        view: Arc::new(View::of(cluster.access())),
        journal: Arc::new(Journal::open(&folder.path().join("journal.jsonl")).map_err(text)?),
        progress: Arc::new(Quiet),
    };
    let outcome = test(scene).await;
    cluster.shutdown().await.map_err(text)?;
    outcome
}

/// Redis in pods, on nodes by their names; any node for "".
pub async fn run_pods(scene: &Scene, placed: &[(&str, &str)]) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(scene.cluster.access().client.clone(), "default");
    for (name, node) in placed {
        let container = json!({"name": "c", "image": "redis:7", "ports": [{"containerPort": 6379}],
            "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1}});
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}});
        if !node.is_empty() {
            pod["spec"]["nodeName"] = (*node).into();
        }
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    }
    let ready = |pod: &Arc<Pod>| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let all = scene.view.until("the pods", DEADLINE, scene.progress.as_ref(), |snapshot| {
        let ours = snapshot.pods.iter().filter(|pod| pod.metadata.namespace.as_deref() == Some("default"));
        let count = ours.filter(|pod| ready(pod)).count();
        if count == placed.len() { Ok(()) } else { Err(format!("{count} are ready")) }
    });
    all.await.map_err(text)
}

/// Whether a pod reaches another's port.
pub async fn reaches(scene: &Scene, from: &str, to: &str) -> Result<bool, Failed> {
    let pods = scene.view.snapshot().pods;
    let target = pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(to));
    let address = target.and_then(|pod| pod.status.as_ref()?.pod_ip.clone()).ok_or("the pod has no address")?;
    let to = std::net::SocketAddr::new(address.parse()?, 6379);
    let dialled = scene.cluster.dial("default", from, to, Duration::from_secs(2)).await.map_err(text)?;
    Ok(dialled == Dialled::Open)
}

pub fn shown(evidence: &Evidence) -> Outcome {
    println!("{evidence:?}");
    match evidence {
        Evidence::Shown(_) => Ok(()),
        Evidence::Missing(why) => Err(format!("not shown: {why}").into()),
    }
}

pub fn check(holds: bool, otherwise: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}

pub fn text(trouble: gauntlet_core::Trouble) -> Failed {
    trouble.to_string().into()
}
