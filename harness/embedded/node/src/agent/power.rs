//! Whether a node has power, stands still or is off, and what that means for work in progress.

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    On,
    /// Nothing moves, and nothing is lost.
    Frozen,
    /// Nothing runs, and what only memory held is lost.
    Off,
}

/// The power of one node.
#[derive(Debug)]
pub struct Power {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    phase: Phase,
    /// Counts how often the node was started. Work of an earlier life does not go on.
    life: u64,
}

impl Default for Power {
    fn default() -> Self {
        Self { state: watch::Sender::new(State { phase: Phase::On, life: 0 }) }
    }
}

impl Power {
    pub fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    pub fn switch(&self, phase: Phase) {
        self.state.send_if_modified(|state| {
            let changed = state.phase != phase;
            state.life += u64::from(state.phase == Phase::Off && changed);
            state.phase = phase;
            changed
        });
    }

    /// Waits while the node is off.
    pub async fn started(&self) {
        let _ = self.state.subscribe().wait_for(|state| state.phase != Phase::Off).await;
    }

    /// Waits while the node is frozen. Whether it is on then.
    pub async fn awake(&self) -> bool {
        let mut states = self.state.subscribe();
        // The sender is `self`, so there is always a value to come.
        let state = states.wait_for(|state| state.phase != Phase::Frozen).await;
        state.is_ok_and(|state| state.phase == Phase::On)
    }

    /// Waits until the node is not on any more.
    pub async fn interrupted(&self) {
        let _ = self.state.subscribe().wait_for(|state| state.phase != Phase::On).await;
    }

    /// Does work only while the node is on: it rests while the node is frozen, and is dropped once the node has been
    /// off, which gives `None`.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut states = self.state.subscribe();
        let life = states.borrow().life;
        let mut work = std::pin::pin!(work);
        loop {
            let state = *states.borrow_and_update();
            if state.phase == Phase::Off || state.life != life {
                return None;
            }
            tokio::select! {
                biased;
                _ = states.changed() => {}
                done = &mut work, if state.phase == Phase::On => return Some(done),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_rests_while_the_node_is_frozen_and_then_goes_on() {
        let power = Arc::new(Power::default());
        let driver = power.clone();
        let work = tokio::spawn(async move {
            let start = Instant::now();
            driver.drive(sleep(Duration::from_secs(1))).await.map(|()| start.elapsed())
        });
        sleep(Duration::from_millis(1)).await;
        power.switch(Phase::Frozen);
        sleep(Duration::from_secs(60)).await;
        assert!(!work.is_finished());
        power.switch(Phase::On);
        let took = work.await.unwrap().expect("it was not dropped");
        assert!(took >= Duration::from_secs(60), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn work_of_an_earlier_life_does_not_go_on() {
        let power = Arc::new(Power::default());
        let driver = power.clone();
        let work = tokio::spawn(async move { driver.drive(sleep(Duration::from_secs(1))).await });
        sleep(Duration::from_millis(1)).await;
        // Off and on again before the work could see it.
        power.switch(Phase::Off);
        power.switch(Phase::On);
        assert_eq!(work.await.unwrap(), None);
        assert_eq!(power.drive(async { 7 }).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told() {
        let power = Power::default();
        assert!(power.awake().await);
        assert!(timeout(Duration::from_secs(1), power.interrupted()).await.is_err());
        power.switch(Phase::Frozen);
        power.interrupted().await;
        assert!(timeout(Duration::from_secs(1), power.awake()).await.is_err());
        power.switch(Phase::Off);
        assert!(!power.awake().await);
    }
}
