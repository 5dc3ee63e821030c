//! A mistake in a file that a person wrote: where it is, what is wrong, and what was probably meant.

use std::fmt;

/// One mistake. Displayed as `file:line:column: message`, with the suggestion kept apart for a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// Counted from 1; 0 when the position is unknown.
    pub line: u64,
    /// Counted from 1, in characters; 0 when the position is unknown.
    pub column: u64,
    pub message: String,
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}:{}: {}", self.file, self.column, self.message),
        }
    }
}

/// Everything that is wrong with one file; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
            if let Some(suggestion) = &problem.suggestion {
                write!(f, "\nhint: {suggestion}")?;
            }
        }
        Ok(())
    }
}
