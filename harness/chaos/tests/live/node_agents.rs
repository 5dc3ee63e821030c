//! The same faults by agents on the nodes, of a cluster that is reached by its kubeconfig like any other.

use crate::support::{Outcome, check, reaches, run_pods, shown, text};
use crate::traffic;
use gauntlet_chaos::disturbance::Disturbance;
use gauntlet_chaos::fault::{Fault, Scene};
use gauntlet_chaos::hold::HoldContainer;
use gauntlet_chaos::inject;
use gauntlet_chaos::traffic::CutTraffic;
use gauntlet_cluster::Provider;
use gauntlet_cluster::images::AGENT_IMAGE;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::provider::kubeconfig::Kubeconfig;
use gauntlet_cluster::traffic::Party;
use gauntlet_core::Capability;
use kube::config::Kubeconfig as File;

const RUN: &str = "agents";

pub async fn all(scene: &Scene) -> Outcome {
    let file = scene.cluster.access().kubeconfig.clone();
    let context = File::read_from(&file)?.current_context.ok_or("the kubeconfig has no context")?;
    let provider = Kubeconfig { file, context, node_faults: true, agent_image: AGENT_IMAGE.to_owned() };
    let needs = [Capability::HoldContainer, Capability::ShapeNetwork].into();
    let wanted = Wanted { run: RUN.to_owned(), needs, ..Wanted::bare(format!("{RUN}-1-1"), 2) };
    let cluster = provider.launch(wanted).await.map_err(text)?;
    let scene = Scene { cluster: cluster.into(), ..scene.clone() };
    let capabilities = scene.cluster.capabilities();
    check(capabilities.contains(&Capability::HoldContainer), format!("{capabilities:?}"))?;
    run_pods(&scene, &[("a", ""), ("b", ""), ("client", "")]).await?;
    check(reaches(&scene, "a", "b").await?, "a does not reach b")?;
    traffic::a_cut_is_proven_and_healed(&scene).await?;
    traffic::loss_is_proven_by_what_it_dropped(&scene).await?;
    a_container_is_killed_and_kept_down(&scene).await?;
    what_was_over_before_its_time_is_not_healed(&scene, &provider).await?;
    traffic::another_process_heals_what_is_left(&scene).await?;
    scene.cluster.shutdown().await.map_err(text)
}

async fn a_container_is_killed_and_kept_down(scene: &Scene) -> Outcome {
    let held = inject(scene, HoldContainer::new("default", "a", "c")).await.map_err(text)?;
    shown(held.effect())?;
    shown(&held.heal().await.map_err(text)?)
}

/// As when the lease ran out: the proof at the beginning says nothing of how long a fault lasted.
async fn what_was_over_before_its_time_is_not_healed(scene: &Scene, provider: &Kubeconfig) -> Outcome {
    let pod = |name: &str| Party::pod("default", name);
    let cut = inject(scene, CutTraffic::between(vec![pod("a")], vec![pod("b")])).await.map_err(text)?;
    shown(cut.effect())?;
    let somebody = provider.find(scene.cluster.id()).await.map_err(text)?.ok_or("the cluster is not found again")?;
    let Disturbance::Traffic { id, .. } = cut.fault().disturbance() else { return Err("no fault of traffic".into()) };
    somebody.restore_traffic(&id).await.map_err(text)?;
    match cut.heal().await {
        Err(trouble) => check(trouble.message.contains("was over on"), trouble.message),
        Ok(evidence) => Err(format!("it counts as healed: {evidence:?}").into()),
    }
}
