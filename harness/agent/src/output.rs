//! Printing answers to standard output, where a reader that has gone is an error like any other and no panic.

use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

/// Prints a line.
///
/// # Errors
/// Nobody reads.
pub fn line(text: impl std::fmt::Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("the answer could not be printed")
}

/// Prints a JSON document for people.
///
/// # Errors
/// Nobody reads.
pub fn json(answer: &impl Serialize) -> Result<()> {
    line(serde_json::to_string_pretty(answer).context("the answer cannot be written as JSON")?)
}
