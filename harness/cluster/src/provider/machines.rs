//! The nodes of a cluster as machines, in the hands of who made it.

use crate::traffic::{Counters, Effect};
use async_trait::async_trait;
use gauntlet_core::Trouble;

/// Nodes can be taken out, and brought back. What is so already is no error.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Takes the power from a node: what ran there is dead, and nothing more is heard of it.
    ///
    /// # Errors
    /// The node refuses.
    async fn stop(&self, node: &str) -> Result<(), Trouble>;

    /// Lets everything on a node stand still, silently.
    ///
    /// # Errors
    /// The node refuses, or is stopped.
    async fn freeze(&self, node: &str) -> Result<(), Trouble>;

    /// Starts a node that was stopped, lets one go on that was frozen, connects one that was not.
    ///
    /// # Errors
    /// The node refuses.
    async fn bring_back(&self, node: &str) -> Result<(), Trouble>;
}

/// What connects the nodes is in hand as well. [`Machines::bring_back`] connects a node again.
#[async_trait]
pub trait Links: Send + Sync {
    /// Takes a node off its network: it runs on, and neither hears anything nor is heard.
    ///
    /// # Errors
    /// The node cannot be taken off.
    async fn disconnect(&self, node: &str) -> Result<(), Trouble>;

    /// Lets an effect have everything that a node sends to others, in the place of one that is there.
    ///
    /// # Errors
    /// The node refuses.
    async fn shape(&self, node: &str, effect: Effect) -> Result<(), Trouble>;

    /// Takes it away. A node of which nothing is shaped is no error.
    ///
    /// # Errors
    /// The node refuses.
    async fn unshape(&self, node: &str) -> Result<(), Trouble>;

    /// What the effect has done so far; `None` where nothing is shaped.
    ///
    /// # Errors
    /// The node refuses.
    async fn counters(&self, node: &str) -> Result<Option<Counters>, Trouble>;
}
