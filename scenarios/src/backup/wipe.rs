//! Deletes everything in a store through the store itself, as a mistaken hand would. Healed, which nothing has to be
//! done for, the empty store takes new data.

use super::kept::Kept;
use async_trait::async_trait;
use gauntlet_chaos::fault::Scene;
use gauntlet_chaos::{Disturbance, Fault};
use gauntlet_cluster::progress::Waiting;
use gauntlet_core::{Evidence, Trouble};
use std::time::Duration;

const SHOWS_WITHIN: Duration = Duration::from_secs(60);

/// Each look takes seconds by itself.
const ASK_EVERY: Duration = Duration::from_millis(500);

pub struct Wipe<'a, K: Kept> {
    pub store: String,
    pub kept: &'a K,
}

#[async_trait]
impl<K: Kept> Fault for Wipe<'_, K> {
    fn disturbance(&self) -> Disturbance {
        Disturbance::Wipe { store: self.store.clone() }
    }

    async fn act(&mut self, _: &Scene) -> Result<(), Trouble> {
        self.kept.wipe().await
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        self.shown(scene, &format!("{} to be empty", self.store), Wanted::Empty).await
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        self.shown(scene, &format!("{} to take data", self.store), Wanted::TakesData).await
    }
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Wanted {
    Empty,
    TakesData,
}

impl<K: Kept> Wipe<'_, K> {
    async fn look(&self, wanted: Wanted) -> Result<String, String> {
        if matches!(wanted, Wanted::TakesData) {
            return self.kept.takes_data().await;
        }
        let dump = self.kept.dump().await?;
        if self.kept.is_empty(&dump) {
            Ok("nothing of what was there can be read".to_owned())
        } else {
            Err(format!("still there: {}", self.kept.told(&dump)))
        }
    }

    async fn shown(&self, scene: &Scene, what: &str, wanted: Wanted) -> Evidence {
        let mut waiting = Waiting::start(what, SHOWS_WITHIN, scene.progress.as_ref());
        loop {
            match self.look(wanted).await {
                Ok(seen) => return Evidence::Shown(seen),
                Err(why) => waiting.seen(&why),
            }
            if tokio::time::Instant::now() >= waiting.until() {
                return Evidence::Missing(waiting.gave_up());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}
