//! Programs that tests of reports need.

pub mod browser;
