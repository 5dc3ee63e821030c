//! Disturbances, each with its proof and its undo.
//!
//! - [`disturbance`]: what may be done to a cluster, as data that another process can undo
//! - [`journal`]: what was about to be done, on disk before it is done
//! - [`fault`]: injecting, proving and healing
//! - [`hold`], [`cordon`], [`traffic`], [`volumes`], [`deny`]: the faults there are

pub mod cordon;
pub mod deny;
pub mod disturbance;
pub mod fault;
pub mod hold;
pub mod journal;
pub mod traffic;
pub mod volumes;

pub use disturbance::Disturbance;
pub use fault::{Fault, Injected, inject};
pub use journal::Journal;
