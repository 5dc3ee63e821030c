//! Pure judgements over a [`History`](crate::history::History): what was lost, invented, repeated, reordered, or out
//! of reach.
//!
//! - [`redis`]: acknowledged writes against the values read back.
//! - [`nats`]: acknowledged publishes against the messages in the stream; publishes acknowledged without quorum.
//! - [`nats_consumer`]: what a durable consumer was given against what it had acknowledged.
//! - [`jobs`]: accepted jobs against how they ended.
//! - [`availability`]: the longest time without a success, overall and per group.
//!
//! Three rules hold everywhere. An unknown outcome is neither done nor failed: what it wrote may be there or not. A
//! history that shows too little is `Insufficient`, never clean. A finding stands even where the rest of the history
//! is insufficient.

pub mod availability;
mod finding;
pub mod jobs;
pub mod nats;
pub mod nats_consumer;
pub mod redis;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod testing;

pub use finding::{Conclusion, Finding, Tally};
