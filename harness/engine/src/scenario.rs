//! What a scenario is.

use crate::lab::Lab;
use async_trait::async_trait;
use gauntlet_core::contract::Deployment;
use gauntlet_core::{Info, Trouble};

/// One experiment, generic over contracts: it knows no system by name.
#[async_trait]
pub trait Scenario: Send + Sync {
    fn info(&self) -> Info;

    /// Whether the deployment has what this is about.
    ///
    /// # Errors
    /// Why it does not apply; the scenario is skipped with these words.
    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String>;

    /// Runs it. What is seen goes into the lab, and the verdict follows from it. The system is in its steady state when
    /// this begins. Faults still open when it ends are healed by the engine.
    ///
    /// # Errors
    /// Trouble that keeps it from being judged. A broken promise is no error but a check.
    async fn run(&self, lab: &Lab) -> Result<(), Trouble>;
}
