//! Nodes that are stopped or frozen.

use crate::support::{Outcome, check, reaches, run_pods, shown, text};
use gauntlet_chaos::fault::{Scene, heal_all};
use gauntlet_chaos::inject;
use gauntlet_chaos::outage::NodeOutage;
use gauntlet_core::Evidence;

pub async fn all(scene: &Scene) -> Outcome {
    run_pods(scene, &[("a", "node-1"), ("client", "node-2")]).await?;
    a_stop_is_proven_and_healed(scene).await?;
    an_outage_of_a_node_that_nobody_hears_proves_nothing(scene).await?;
    another_process_heals_a_frozen_node(scene).await
}

async fn a_stop_is_proven_and_healed(scene: &Scene) -> Outcome {
    let outage = inject(scene, NodeOutage::stop("node-1")).await.map_err(text)?;
    shown(outage.effect())?;
    check(!reaches(scene, "client", "a").await?, "a pod of a stopped node answers")?;
    shown(&outage.heal().await.map_err(text)?)?;
    check(reaches(scene, "client", "a").await?, "the pod does not answer again")
}

/// The node is frozen already.
async fn an_outage_of_a_node_that_nobody_hears_proves_nothing(scene: &Scene) -> Outcome {
    let first = inject(scene, NodeOutage::freeze("node-1")).await.map_err(text)?;
    shown(first.effect())?;
    let second = inject(scene, NodeOutage::freeze("node-1")).await.map_err(text)?;
    let vacuous = matches!(second.effect(), Evidence::Missing(why) if why.contains("silence shows nothing"));
    check(vacuous, format!("a vacuous outage has evidence: {:?}", second.effect()))?;
    second.heal().await.map_err(text)?;
    shown(&first.heal().await.map_err(text)?)
}

async fn another_process_heals_a_frozen_node(scene: &Scene) -> Outcome {
    drop(inject(scene, NodeOutage::freeze("node-1")).await.map_err(text)?);
    check(!reaches(scene, "client", "a").await?, "a pod of a frozen node answers")?;
    let troubles = heal_all(&scene.journal, scene.cluster.as_ref()).await;
    check(troubles.is_empty(), format!("{troubles:?}"))?;
    check(reaches(scene, "client", "a").await?, "the pod does not answer again")
}
