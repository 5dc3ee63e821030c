//! What clients did and what came of it: the raw material of every verdict about data.
//!
//! - [`record`]: one line of a history: an invocation, its completion, or something read back afterwards.
//! - [`log`]: a history put together from such lines, invocations paired with completions.
//! - [`slot`]: which of Redis Cluster's hash slots a key belongs to.
//!
//! A history is written as JSON lines. Invocation and completion are separate lines, so that a client that dies leaves
//! an invocation without completion: its outcome is unknown, and an unknown outcome never counts as done or as failed.

mod log;
mod record;
mod slot;

pub use log::{Attempt, History, ParseError};
pub use record::{Dump, Entry, Observation, Operation, Outcome, Reply, Stamp};
pub use slot::{SLOTS, slot_of};
