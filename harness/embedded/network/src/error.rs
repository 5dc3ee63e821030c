//! The error of this crate: what was being done, and what the system said.

use std::fmt::Display;
use std::io;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed step.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {source}")]
pub struct Error {
    /// What failed, on what: "mount /a/b", "add route to 10.244.1.2".
    pub doing: String,
    #[source]
    pub source: io::Error,
}

/// Names the step that an error came from.
pub(crate) trait Doing<T> {
    fn doing<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|source| Error { doing: what().to_string(), source: source.into() })
    }
}
