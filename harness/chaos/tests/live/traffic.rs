//! Traffic that is cut or degraded.

use crate::support::{Outcome, check, reaches, run_pods, shown, text};
use gauntlet_chaos::fault::{Scene, heal_all};
use gauntlet_chaos::inject;
use gauntlet_chaos::traffic::{CutTraffic, DisturbTraffic};
use gauntlet_cluster::traffic::{Effect, Party, TrafficFault};
use gauntlet_core::Evidence;

pub async fn all(scene: &Scene) -> Outcome {
    run_pods(scene, &[("a", ""), ("b", ""), ("client", "")]).await?;
    a_cut_is_proven_and_healed(scene).await?;
    a_cut_of_those_who_cannot_talk_proves_nothing(scene).await?;
    loss_is_proven_by_what_it_dropped(scene).await?;
    a_delay_is_proven_by_how_long_it_took(scene).await?;
    another_process_heals_what_is_left(scene).await
}

fn pod(name: &str) -> Party {
    Party::pod("default", name)
}

pub async fn a_cut_is_proven_and_healed(scene: &Scene) -> Outcome {
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

pub async fn loss_is_proven_by_what_it_dropped(scene: &Scene) -> Outcome {
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

async fn a_delay_is_proven_by_how_long_it_took(scene: &Scene) -> Outcome {
    let fault = TrafficFault {
        from: vec![pod("a")],
        to: vec![pod("b")],
        both_ways: false,
        ports: vec![],
        effect: Effect::Delay { ms: 200, jitter_ms: 50 },
    };
    let late = inject(scene, DisturbTraffic::new(fault)).await.map_err(text)?;
    shown(late.effect())?;
    shown(&late.heal().await.map_err(text)?)
}

pub async fn another_process_heals_what_is_left(scene: &Scene) -> Outcome {
    drop(inject(scene, CutTraffic::between(vec![pod("a")], vec![pod("b")])).await.map_err(text)?);
    check(!reaches(scene, "a", "b").await?, "a still reaches b")?;
    let troubles = heal_all(&scene.journal, scene.cluster.as_ref()).await;
    check(troubles.is_empty(), format!("{troubles:?}"))?;
    check(reaches(scene, "a", "b").await?, "a does not reach b again")
}
