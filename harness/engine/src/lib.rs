//! Runs scenarios: one run from its contract to its reports, with every fault journalled and everything cleaned up.
//!
//! - [`again`]: the commands that repeat a run or a part of it
//! - [`scenario`]: what a scenario is; [`lab`]: what it works with
//! - [`findings`]: what a scenario finds
//! - [`bus`]: events to disk and to their consumers, in one order
//! - [`case`]: what evidence there is of one scenario, and when it is collected
//! - [`evidence`]: collecting it; [`excerpt`]: what events tell of its files
//! - [`kept`]: why a cluster is still there
//! - [`folder`]: the run's folder of reports, and its record for `gauntlet clean`
//! - [`plan`]: which scenarios run, and which are skipped and why
//! - [`setup`]: from an overlay to a system in its steady state
//! - [`histories`]: what clients recorded and what was asked of it, as files
//! - [`listing`]: the files of a system, by digest
//! - [`header`]: what is known of a run before it begins
//! - [`lane`]: scenarios one after the other on clusters
//! - [`recorder`]: what pods and event objects come to be, told while a scenario runs
//! - [`run`]: the whole
//! - [`clean`]: healing what dead runs left

pub mod again;
pub mod bus;
mod case;
pub mod clean;
pub mod evidence;
mod excerpt;
mod findings;
pub mod folder;
mod header;
pub mod histories;
pub mod kept;
pub mod lab;
pub mod lane;
mod listing;
pub mod plan;
mod recorder;
pub mod run;
pub mod scenario;
pub mod setup;

pub use again::Again;
pub use header::redactor;
pub use lab::Lab;
pub use run::{Options, run};
pub use scenario::Scenario;
