//! Clients inside the cluster: the agent's workloads, started for one part of a scenario, and what they recorded.
//!
//! - [`clients`]: what clients there are
//! - [`environment`]: what a client is told
//! - [`pods`]: the objects that a fleet of clients is
//! - [`fleet`]: starting, watching and ending a fleet
//! - [`judge`]: from histories to checks of promises

pub mod clients;
pub mod environment;
pub mod fleet;
pub mod judge;
pub mod pods;

pub use clients::{Client, Load};
pub use fleet::{Fleet, Histories};
pub use gauntlet_engine::bus::now_us;

use gauntlet_core::event::Phase;
use gauntlet_core::{Evidence, Trouble};
use gauntlet_engine::Lab;
use std::time::Duration;

/// Successes of every client that make a control, and that show that it is at work.
const AT_WORK: u64 = 50;

const AT_WORK_WITHIN: Duration = Duration::from_secs(60);

/// Lets a fleet of clients work without any fault and judges what it saw; then sets another to the same work, for the
/// fault to come.
///
/// # Errors
/// Clients could not be started or ended, or did not get to work.
pub async fn set_to_work(lab: &Lab, load: Load) -> Result<(Evidence, Fleet<'_>), Trouble> {
    let control = control_round(lab, load).await?;
    let fleet = Fleet::start(lab, "fault", load).await?;
    if !fleet.progress(AT_WORK, AT_WORK_WITHIN).await? {
        return Err(Trouble::harness("the clients do not get to work before the fault"));
    }
    Ok((control, fleet))
}

async fn control_round(lab: &Lab, load: Load) -> Result<Evidence, Trouble> {
    lab.phase(Phase::Control);
    let fleet = Fleet::start(lab, "control", load).await?;
    let worked = fleet.progress(AT_WORK, AT_WORK_WITHIN).await?;
    let histories = fleet.finish().await?;
    if !worked {
        return Ok(Evidence::Missing(format!("not every client succeeded {AT_WORK} times without the fault")));
    }
    Ok(judge::control(lab, &histories))
}
