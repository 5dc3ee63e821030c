//! Names of runs, and the exit codes that scripts rely on.

use crate::verdict::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of one invocation: when it started and four random digits, so that names sort and never collide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// `unix_seconds` is the time of the start; `entropy` tells apart runs of the same second.
    pub fn new(unix_seconds: i64, entropy: u16) -> Self {
        let at = time::OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let (date, clock) = (at.date(), at.time());
        Self(format!(
            "{:04}{:02}{:02}-{:02}{:02}{:02}-{entropy:04x}",
            date.year(),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second()
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How `gauntlet` ends. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ExitCode {
    /// Every scenario passed or was skipped with a reason.
    Passed = 0,
    /// At least one promise was broken.
    Failed = 1,
    /// The input cannot be used: nothing was started.
    BadInput = 2,
    /// Nothing was shown to be broken, but not everything could be judged.
    Inconclusive = 3,
    /// Stopped by the user, after cleaning up.
    Interrupted = 130,
}

impl ExitCode {
    /// The code of a run. A broken promise outweighs trouble with another scenario: it is what must be acted on.
    /// A run in which everything was skipped has proved nothing wrong; skips are allowed.
    pub fn of<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>, trouble: bool, interrupted: bool) -> Self {
        if interrupted {
            return Self::Interrupted;
        }
        let mut code = if trouble { Self::Inconclusive } else { Self::Passed };
        for verdict in verdicts {
            match verdict {
                Verdict::Failed { .. } => return Self::Failed,
                Verdict::Inconclusive { .. } => code = Self::Inconclusive,
                Verdict::Passed(_) | Verdict::Skipped { .. } => {}
            }
        }
        code
    }

    pub fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Verdict {
        Verdict::Failed { broken: vec![] }
    }

    fn inconclusive() -> Verdict {
        Verdict::Inconclusive { reasons: vec![], broken: vec![] }
    }

    fn skipped() -> Verdict {
        Verdict::Skipped { reason: "no power".into() }
    }

    #[test]
    fn a_run_is_named_after_its_start() {
        assert_eq!(RunId::new(1_763_690_400, 0xab).as_str(), "20251121-020000-00ab");
    }

    #[test]
    fn exit_codes_follow_from_verdicts() {
        for (verdicts, trouble, interrupted, expected) in [
            (vec![], false, false, ExitCode::Passed),
            (vec![skipped()], false, false, ExitCode::Passed),
            (vec![failed()], false, false, ExitCode::Failed),
            (vec![inconclusive(), failed()], true, false, ExitCode::Failed),
            (vec![inconclusive(), skipped()], false, false, ExitCode::Inconclusive),
            (vec![], true, false, ExitCode::Inconclusive),
            (vec![failed()], false, true, ExitCode::Interrupted),
        ] {
            assert_eq!(ExitCode::of(&verdicts, trouble, interrupted), expected, "{verdicts:?}");
        }
        assert_eq!(ExitCode::Interrupted.code(), 130);
    }
}
