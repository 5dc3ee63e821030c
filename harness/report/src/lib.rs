//! Reports: consumers of events and of nothing else, so that every report of a run can be made again from its
//! `events.jsonl`.
//!
//! - [`summary`]: events folded into what a report says of a run
//! - [`story`]: events sorted by scenario
//! - [`table`]: the verdicts as a person reads them
//! - [`matrix`]: a network matrix as a person reads it
//! - [`repeats`]: how often scenarios passed that ran several times
//! - [`broken`]: broken promises in words
//! - [`again`]: scenarios judged again, in words
//! - [`baseline`]: a run against earlier ones, in words
//! - [`diff`]: two runs side by side
//! - [`junit`]: the verdicts as CI systems read them
//! - [`markdown`]: the verdicts for job pages of CI systems
//! - [`stream`]: events as they happen, for other programs
//! - [`page`]: the run as a page for a browser
//! - [`times`]: where the time went
//! - [`terminal`]: progress while the run is under way

pub mod again;
pub mod baseline;
pub mod broken;
pub mod diff;
pub mod junit;
pub mod markdown;
pub mod matrix;
pub mod page;
pub mod repeats;
pub mod story;
pub mod stream;
pub mod summary;
pub mod table;
pub mod terminal;
pub mod times;

pub use summary::Summary;
