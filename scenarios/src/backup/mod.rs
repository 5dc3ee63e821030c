//! Backups that run by themselves, and the way back.
//!
//! - [`names`]: names of artefacts, with the time in them
//! - [`tool`]: a pod of our own that uses a store
//! - [`take`]: a backup taken now, and what it left
//! - [`restore`]: the contract's procedure, step by step
//! - [`kept`]: known data in a store; [`redis`], [`nats`]: of each kind
//! - [`wipe`]: deleting everything through the store
//! - [`round`]: from known data over its loss to its return
//! - [`trip`]: the scenarios `backup.redis` and `backup.nats`
//! - [`faulty`]: the scenario `backup.faulty`

pub mod faulty;
pub mod kept;
pub mod names;
pub mod nats;
pub mod redis;
pub mod restore;
pub mod round;
pub mod take;
pub mod tool;
pub mod trip;
pub mod wipe;

pub use faulty::BackupFaulty;
pub use trip::{BackupNats, BackupRedis};
