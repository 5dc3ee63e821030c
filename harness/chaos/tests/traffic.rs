//! Faults of traffic on an embedded cluster, with their proofs: needs root, `runc`, `nft` and `redis-server`.
//!
//! Not an ordinary test harness, because the cluster's server is this program started again.

use gauntlet_chaos::fault::{Scene, heal_all};
use gauntlet_chaos::traffic::{CutTraffic, DisturbTraffic};
use gauntlet_chaos::{Journal, inject};
use gauntlet_cluster::progress::Quiet;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::provider::embedded::{self, Embedded};
use gauntlet_cluster::traffic::{Dialled, Effect, Party, TrafficFault};
use gauntlet_cluster::view::View;
use gauntlet_cluster::{Cluster, Provider};
use gauntlet_core::Evidence;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

type Outcome = Result<(), Failed>;

/// For what takes a moment on a machine that has nothing else to do.
const DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    embedded::dispatch();
    let arguments = Arguments::from_args();
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !root {
        eprintln!("SKIPPED: not root");
    }
    let trial = Trial::test("traffic_is_cut_degraded_and_healed_with_proof", || {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(on_a_cluster())
    });
    libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(!root)]).exit();
}

async fn on_a_cluster() -> Outcome {
    let folder = tempfile::tempdir()?;
    let provider = Embedded { state_dir: folder.path().join("state") };
    let wanted = Wanted::bare("traffic", 2);
    let cluster: Arc<dyn Cluster> = provider.launch(wanted).await.map_err(text)?.into();
    let scene = Scene {
        cluster: cluster.clone(),
        view: Arc::new(View::of(cluster.access())),
        journal: Arc::new(Journal::open(&folder.path().join("journal.jsonl")).map_err(text)?),
        progress: Arc::new(Quiet),
    };
    let outcome = async {
        run_pods(&scene, &["a", "b", "client"]).await?;
        a_cut_is_proven_and_healed(&scene).await?;
        a_cut_of_those_who_cannot_talk_proves_nothing(&scene).await?;
        loss_is_proven_by_what_it_dropped(&scene).await?;
        another_process_heals_what_is_left(&scene).await
    };
    let outcome = outcome.await;
    cluster.shutdown().await.map_err(text)?;
    outcome
}

async fn run_pods(scene: &Scene, names: &[&str]) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(scene.cluster.access().client.clone(), "default");
    for name in names {
        let container = json!({"name": "c", "image": "redis:7", "ports": [{"containerPort": 6379}],
            "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1}});
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    }
    let ready = |pod: &Arc<Pod>| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let all = scene.view.until("the pods", DEADLINE, scene.progress.as_ref(), |snapshot| {
        let count = snapshot.pods.iter().filter(|pod| ready(pod)).count();
        if count == names.len() { Ok(()) } else { Err(format!("{count} are ready")) }
    });
    all.await.map_err(text)
}

fn pod(name: &str) -> Party {
    Party::pod("default", name)
}

/// Whether a pod reaches another's port.
async fn reaches(scene: &Scene, from: &str, to: &str) -> Result<bool, Failed> {
    let pods = scene.view.snapshot().pods;
    let target = pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(to));
    let address = target.and_then(|pod| pod.status.as_ref()?.pod_ip.clone()).ok_or("the pod has no address")?;
    let to = std::net::SocketAddr::new(address.parse()?, 6379);
    let dialled = scene.cluster.dial("default", from, to, Duration::from_secs(2)).await.map_err(text)?;
    Ok(dialled == Dialled::Open)
}

async fn a_cut_is_proven_and_healed(scene: &Scene) -> Outcome {
    let cut = inject(scene, CutTraffic::between(vec![pod("a")], vec![pod("b")])).await.map_err(text)?;
    shown(cut.effect())?;
    check(!reaches(scene, "a", "b").await?, "a still reaches b")?;
    check(reaches(scene, "client", "a").await? && reaches(scene, "client", "b").await?, "the client was cut off too")?;
    shown(&cut.heal().await.map_err(text)?)?;
    check(reaches(scene, "a", "b").await?, "a does not reach b again")
}

/// A cut beside a cut, and of a port where nothing was ever heard: no answer means nothing then.
async fn a_cut_of_those_who_cannot_talk_proves_nothing(scene: &Scene) -> Outcome {
    let first = inject(scene, CutTraffic::between(vec![pod("a")], vec![pod("b")])).await.map_err(text)?;
    let second = inject(scene, CutTraffic::one_way(vec![pod("a")], vec![pod("b")])).await.map_err(text)?;
    let vacuous = matches!(second.effect(), Evidence::Missing(why) if why.contains("was answered before"));
    check(vacuous, format!("a vacuous cut has evidence: {:?}", second.effect()))?;
    second.heal().await.map_err(text)?;
    shown(&first.heal().await.map_err(text)?)
}

async fn loss_is_proven_by_what_it_dropped(scene: &Scene) -> Outcome {
    let fault = TrafficFault {
        from: vec![pod("a")],
        to: vec![pod("b")],
        both_ways: true,
        ports: vec![6379],
        effect: Effect::Loss { percent: 20 },
    };
    let lossy = inject(scene, DisturbTraffic::new(fault)).await.map_err(text)?;
    shown(lossy.effect())?;
    shown(&lossy.heal().await.map_err(text)?)
}

async fn another_process_heals_what_is_left(scene: &Scene) -> Outcome {
    drop(inject(scene, CutTraffic::between(vec![pod("a")], vec![pod("b")])).await.map_err(text)?);
    check(!reaches(scene, "a", "b").await?, "a still reaches b")?;
    let troubles = heal_all(&scene.journal, scene.cluster.as_ref()).await;
    check(troubles.is_empty(), format!("{troubles:?}"))?;
    check(reaches(scene, "a", "b").await?, "a does not reach b again")
}

fn shown(evidence: &Evidence) -> Outcome {
    println!("{evidence:?}");
    match evidence {
        Evidence::Shown(_) => Ok(()),
        Evidence::Missing(why) => Err(format!("not shown: {why}").into()),
    }
}

fn check(holds: bool, otherwise: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}

fn text(trouble: gauntlet_core::Trouble) -> Failed {
    trouble.to_string().into()
}
