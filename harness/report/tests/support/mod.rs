//! Programs that tests of reports need.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod browser;
pub mod python;

/// Says aloud that a test is left out for want of something. Where `CI` is set everything must be there, so it fails: a
/// job that is green because it looked at nothing deceives.
pub fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "nothing may be skipped where CI is set: {why}");
    eprintln!("SKIPPED: {why}");
}
