//! Something that went wrong outside the system under test, said for the person who has to do something about it.

use crate::run::ExitCode;
use std::fmt;

/// Whose trouble it is; the exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What was asked for cannot be done: a name, a file, a flag, a missing package.
    Input,
    /// The harness or the cluster did not do what it was told.
    Harness,
}

/// What was being done and what was found, and on lines of their own what may be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub fault: Fault,
    pub message: String,
    pub hints: Vec<String>,
}

impl Trouble {
    pub fn input(message: impl Into<String>) -> Self {
        Self { fault: Fault::Input, message: message.into(), hints: vec![] }
    }

    pub fn harness(message: impl Into<String>) -> Self {
        Self { fault: Fault::Harness, message: message.into(), hints: vec![] }
    }

    /// Adds what may be done next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says what was being done when it happened.
    pub fn doing(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        match self.fault {
            Fault::Input => ExitCode::BadInput,
            Fault::Harness => ExitCode::Inconclusive,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trouble {}

/// Turns an error of something else into trouble with the harness.
pub trait OrTrouble<T> {
    /// `doing` says what was being done.
    ///
    /// # Errors
    /// The same error, as trouble with the harness.
    fn or_trouble<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T, Trouble>;
}

impl<T, E: fmt::Display> OrTrouble<T> for Result<T, E> {
    fn or_trouble<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T, Trouble> {
        self.map_err(|error| Trouble::harness(format!("{}: {error}", doing())))
    }
}
