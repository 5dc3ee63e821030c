//! From single outcomes to a verdict: thresholds.

use std::fmt;

use embedded_apimachinery::object::int_at;
use serde_json::Value;

use super::check::Outcome;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Startup,
    Readiness,
    Liveness,
}

/// As in events: `Readiness probe failed: ...`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        })
    }
}

/// A verdict that differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    Passing,
    Failing,
}

/// Counts outcomes in a row. A container is alive until proven dead, and not ready until proven ready.
#[derive(Clone, Debug)]
pub struct Tracker {
    success_threshold: i64,
    failure_threshold: i64,
    verdict: Option<Changed>,
    /// The newest outcome and how often it came in a row.
    run: Option<(Changed, i64)>,
}

impl Tracker {
    /// Absent thresholds are Kubernetes' defaults.
    pub fn new(kind: Kind, probe: &Value) -> Self {
        let threshold = |pointer, default| int_at(probe, pointer).filter(|n| *n > 0).unwrap_or(default);
        let verdict = match kind {
            Kind::Startup => None,
            Kind::Readiness => Some(Changed::Failing),
            Kind::Liveness => Some(Changed::Passing),
        };
        Self {
            success_threshold: threshold("/successThreshold", 1),
            failure_threshold: threshold("/failureThreshold", 3),
            verdict,
            run: None,
        }
    }

    /// Whether any outcome was taken into account yet.
    pub fn has_counted(&self) -> bool {
        self.run.is_some()
    }

    /// Takes an outcome into account. One that says nothing of the container is not counted.
    pub fn record(&mut self, outcome: &Outcome) -> Option<Changed> {
        let (seen, threshold) = match outcome {
            Outcome::Success => (Changed::Passing, self.success_threshold),
            Outcome::Failure(_) => (Changed::Failing, self.failure_threshold),
            Outcome::Errored(_) => return None,
        };
        let count = match self.run {
            Some((last, count)) if last == seen => count + 1,
            _ => 1,
        };
        self.run = Some((seen, count));
        if count < threshold || self.verdict == Some(seen) {
            return None;
        }
        self.verdict = Some(seen);
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `+` success, `-` failure, `?` no answer; `P` and `F` where the verdict changes, `.` where it does not.
    fn verdicts(kind: Kind, probe: Value, outcomes: &str) -> String {
        let mut tracker = Tracker::new(kind, &probe);
        let outcome = |c| match c {
            '+' => Outcome::Success,
            '-' => Outcome::Failure(String::new()),
            _ => Outcome::Errored(String::new()),
        };
        let letter = |changed| match changed {
            Some(Changed::Passing) => 'P',
            Some(Changed::Failing) => 'F',
            None => '.',
        };
        outcomes.chars().map(|c| letter(tracker.record(&outcome(c)))).collect()
    }

    #[test]
    fn verdicts_change_at_thresholds() {
        for (kind, probe, outcomes, expected) in [
            (Kind::Readiness, json!({}), "-+-+---+", ".P....FP"),
            (Kind::Readiness, json!({"failureThreshold": 1}), "-+-", ".PF"),
            (Kind::Readiness, json!({"successThreshold": 2}), "+-++", "...P"),
            (Kind::Liveness, json!({}), "++--+---", ".......F"),
            (Kind::Startup, json!({"failureThreshold": 2}), "-+", ".P"),
            (Kind::Startup, json!({"failureThreshold": 2}), "--", ".F"),
        ] {
            assert_eq!(verdicts(kind, probe.clone(), outcomes), expected, "{kind} {probe} {outcomes}");
        }
    }

    #[test]
    fn attempts_that_could_not_be_made_do_not_count() {
        assert_eq!(verdicts(Kind::Liveness, json!({"failureThreshold": 2}), "-?-"), "..F");
    }
}
