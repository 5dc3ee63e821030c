//! DNS of the cluster: the zone `cluster.local` and its reverse names, nothing else.
//!
//! - [`zone`]: what a name stands for, decided from the API's objects at the time of the question (pure)
//! - [`server`]: the same over UDP and TCP
//!
//! Names outside the zone do not exist: nothing leaves the machine.

pub mod server;
pub mod zone;

pub use server::serve;
