//! The reconcile runtime: what every controller shares.
//!
//! A [`Controller`] says which objects it watches, which keys a change concerns, and, purely, what is to be done about
//! a key ([`Plan`]). The rest is here, once:
//!
//! - [`view`], [`informer`]: what the controller knows of the cluster, brought up to date before every look at a key
//! - [`queue`]: which keys to look at, and when
//! - [`plan`]: what controllers want done, as data
//! - [`executor`]: does it
//! - [`claim`]: adoption and release of objects by their owners
//! - [`worker`]: the loop of one controller
//!
//! The API is in the same process and synchronous, so a view that was just drained is exactly the state of the store:
//! a controller sees its own writes before it plans again, and needs no expectations against double creation.

pub mod claim;
pub mod controller;
pub mod executor;
pub mod plan;
pub mod queue;
pub mod worker;

pub use embedded_apimachinery::{informer, view};

pub use controller::Controller;
pub use plan::{Action, Failure, Outcome, Plan, Report};
pub use view::{Change, View};
pub use worker::{Worker, run};
