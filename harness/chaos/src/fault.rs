//! Injecting a fault, proving that it took effect, healing it, proving that it is healed.

use crate::disturbance::Disturbance;
use crate::journal::Journal;
use async_trait::async_trait;
use gauntlet_cluster::view::View;
use gauntlet_cluster::{Cluster, Progress};
use gauntlet_core::{Evidence, Trouble};
use std::sync::Arc;

/// What a fault acts on and reports to.
#[derive(Clone)]
pub struct Scene {
    pub cluster: Arc<dyn Cluster>,
    pub view: Arc<View>,
    pub journal: Arc<Journal>,
    pub progress: Arc<dyn Progress>,
}

/// One fault. Its proofs look at the cluster, never at what the fault was told to do.
#[async_trait]
pub trait Fault: Send + Sync {
    /// What another process needs to undo it.
    fn disturbance(&self) -> Disturbance;

    /// Whether it may be done: what is so already is somebody else's doing, and not ours to undo.
    ///
    /// # Errors
    /// Why it may not; nothing was done.
    async fn check(&self, _scene: &Scene) -> Result<(), Trouble> {
        Ok(())
    }

    /// Does it. What the proofs compare with is taken down before.
    ///
    /// # Errors
    /// It could not be done.
    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble>;

    /// Whether it took effect; waits for the effect to show.
    async fn took_effect(&self, scene: &Scene) -> Evidence;

    /// Whether it is gone; waits for that to show.
    async fn is_healed(&self, scene: &Scene) -> Evidence;
}

/// Journals the fault, then injects it, then proves its effect. When injecting fails, it is undone at once.
///
/// # Errors
/// It could not be journalled or not be done.
pub async fn inject<F: Fault>(scene: &Scene, mut fault: F) -> Result<Injected<F>, Trouble> {
    let disturbance = fault.disturbance();
    fault.check(scene).await.map_err(|trouble| trouble.doing(format!("cannot {disturbance}")))?;
    let id = scene.journal.begin(scene.cluster.id(), &disturbance)?;
    if let Err(trouble) = fault.act(scene).await {
        if disturbance.undo(scene.cluster.as_ref()).await.is_ok() {
            scene.journal.healed(id)?;
        }
        return Err(trouble.doing(format!("cannot {disturbance}")));
    }
    let effect = fault.took_effect(scene).await;
    Ok(Injected { scene: scene.clone(), fault, id, effect })
}

/// A fault that is in effect until it is healed. Dropped without healing it stays in the journal, from which the
/// engine heals it at the end of the scenario.
#[must_use = "the fault stays until it is healed"]
pub struct Injected<F: Fault> {
    scene: Scene,
    fault: F,
    id: u64,
    effect: Evidence,
}

impl<F: Fault> Injected<F> {
    pub fn fault(&self) -> &F {
        &self.fault
    }

    /// The proof that it took effect.
    pub fn effect(&self) -> &Evidence {
        &self.effect
    }

    /// Undoes it and proves that it is gone.
    ///
    /// # Errors
    /// It could not be undone.
    pub async fn heal(self) -> Result<Evidence, Trouble> {
        let disturbance = self.fault.disturbance();
        disturbance.undo(self.scene.cluster.as_ref()).await?;
        self.scene.journal.healed(self.id)?;
        Ok(self.fault.is_healed(&self.scene).await)
    }
}

/// Undoes everything of one cluster that a journal has open; goes on whatever fails.
pub async fn heal_all(journal: &Journal, cluster: &dyn Cluster) -> Vec<Trouble> {
    let open = match journal.still_open() {
        Ok(open) => open,
        Err(trouble) => return vec![trouble],
    };
    let mut troubles = Vec::new();
    for open in open.into_iter().filter(|open| open.cluster == cluster.id()) {
        let undone = match open.disturbance.undo(cluster).await {
            Ok(()) => journal.healed(open.id),
            Err(trouble) => Err(trouble.doing(format!("cannot undo `{}`", open.disturbance))),
        };
        troubles.extend(undone.err());
    }
    troubles
}
