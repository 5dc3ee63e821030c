//! Disturbances, each with its proof and its undo.
//!
//! - [`disturbance`]: what may be done to a cluster, as data that another process can undo
//! - [`journal`]: what was about to be done, on disk before it is done
//! - [`fault`]: injecting, proving and healing
//! - [`hold`], [`cordon`], [`outage`], [`shape`], [`traffic`], [`volumes`], [`deny`], [`cut`]: the faults there are
//! - `paths`, `dialling`: connections that faults show themselves on

pub mod cordon;
pub mod cut;
pub mod deny;
mod dialling;
pub mod disturbance;
pub mod fault;
pub mod hold;
pub mod journal;
pub mod outage;
mod paths;
pub mod shape;
pub mod traffic;
pub mod volumes;

pub use disturbance::Disturbance;
pub use fault::{Fault, Injected, inject};
pub use journal::Journal;
