//! Clients inside the cluster: the agent's workloads, started for one part of a scenario, and what they recorded.
//!
//! - [`pods`]: the objects that a fleet of clients is
//! - [`fleet`]: starting, watching and ending a fleet
//! - [`judge`]: from histories to checks of promises

pub mod fleet;
pub mod judge;
pub mod pods;

pub use fleet::{Fleet, Histories};
pub use pods::{Client, Load};

use gauntlet_core::event::Phase;
use gauntlet_core::{Evidence, Trouble};
use gauntlet_engine::Lab;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Successes of every client that make a control.
const CONTROL: u64 = 50;

const CONTROL_WITHIN: Duration = Duration::from_secs(60);

/// Lets a fleet of clients of its own work without any fault, and judges what it saw.
///
/// # Errors
/// The clients could not be started or ended.
pub async fn control_round(lab: &Lab) -> Result<Evidence, Trouble> {
    control_round_with(lab, Load { pause_ms: 20, consume: false, pinned: false }).await
}

/// As [`control_round`], with that load.
///
/// # Errors
/// As there.
pub async fn control_round_with(lab: &Lab, load: Load) -> Result<Evidence, Trouble> {
    lab.phase(Phase::Control);
    let fleet = Fleet::start_with(lab, "control", load).await?;
    let worked = fleet.progress(CONTROL, CONTROL_WITHIN).await?;
    let histories = fleet.finish().await?;
    if !worked {
        return Ok(Evidence::Missing(format!("not every client succeeded {CONTROL} times without the fault")));
    }
    Ok(judge::control(lab.deployment(), &histories))
}

/// Microseconds since 1970, the clock of histories.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
