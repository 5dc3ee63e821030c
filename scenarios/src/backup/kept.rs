//! Known data in a store, whatever the store is.

use async_trait::async_trait;
use gauntlet_core::Trouble;
use gauntlet_core::kept::Compared;

/// A store that known data is put into, read from and deleted in.
#[async_trait]
pub trait Kept: Send + Sync {
    /// Everything that was read, as digests.
    type Dump: Clone + Send + Sync;

    /// Puts the data of a round into every part of the store. What it took, in words.
    async fn fill(&self, round: u32) -> Result<String, Trouble>;

    /// # Errors
    /// Not all of it could be read.
    async fn dump(&self) -> Result<Self::Dump, String>;

    /// How much that is, in words.
    fn told(&self, dump: &Self::Dump) -> String;

    /// Whether nothing of it is there.
    fn is_empty(&self, dump: &Self::Dump) -> bool;

    /// Both, to be compared and kept.
    fn compared(&self, before: Self::Dump, now: Self::Dump) -> Compared;

    /// Deletes everything through the store itself.
    async fn wipe(&self) -> Result<(), Trouble>;

    /// Whether every part of the store takes new data: how that was seen.
    async fn takes_data(&self) -> Result<String, String>;
}
