//! Programs that tests of reports need.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod browser;
pub mod python;
