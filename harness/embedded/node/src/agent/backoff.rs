//! How long a container that keeps failing waits before it is started again.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);
/// A container that ran for this long starts afresh (twice the longest wait, as client-go's back-off).
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The first restart is immediate; the next waits 10 s, and each further one twice as long, up to 5 minutes.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    entry: Option<(Duration, Instant)>,
}

impl Backoff {
    /// How long to wait still, and the whole wait, for something that failed at `failed`.
    pub fn remaining(&self, failed: Instant, now: Instant) -> Option<(Duration, Duration)> {
        let (wait, updated) = self.entry?;
        if failed.saturating_duration_since(updated) > FORGET_AFTER {
            return None;
        }
        let remaining = (failed + wait).saturating_duration_since(now);
        (!remaining.is_zero()).then_some((remaining, wait))
    }

    /// How long to wait still since the last failure that was noted.
    pub fn pending(&self, now: Instant) -> Option<Duration> {
        let (wait, updated) = self.entry?;
        let remaining = (updated + wait).saturating_duration_since(now);
        (!remaining.is_zero()).then_some(remaining)
    }

    /// Notes another try after a failure at `failed`.
    pub fn advance(&mut self, failed: Instant, now: Instant) {
        let wait = match self.entry {
            Some((wait, updated)) if failed.saturating_duration_since(updated) <= FORGET_AFTER => {
                (wait * 2).min(LONGEST)
            }
            _ => FIRST,
        };
        self.entry = Some((wait, now));
    }

    pub fn reset(&mut self) {
        self.entry = None;
    }
}

/// `10s`, `1m20s`, `5m0s`: as Go prints durations.
pub fn text(wait: Duration) -> String {
    match (wait.as_secs() / 60, wait.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_ten_seconds_to_five_minutes() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        assert_eq!(backoff.remaining(now, now), None);
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            backoff.advance(now, now);
            assert_eq!(backoff.remaining(now, now).map(|(_, wait)| wait.as_secs()), Some(expected));
        }
        assert_eq!(backoff.remaining(now, now + Duration::from_secs(301)), None);
    }

    #[test]
    fn a_long_run_is_forgiven() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        backoff.advance(now, now);
        let later = now + FORGET_AFTER + Duration::from_secs(1);
        assert_eq!(backoff.remaining(later, later), None);
        backoff.advance(later, later);
        assert_eq!(backoff.remaining(later, later).map(|(_, wait)| wait), Some(FIRST));
    }

    #[test]
    fn what_is_pending_runs_out() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        assert_eq!(backoff.pending(now), None);
        backoff.advance(now, now);
        assert_eq!(backoff.pending(now + Duration::from_secs(4)), Some(Duration::from_secs(6)));
        assert_eq!(backoff.pending(now + FIRST), None);
    }

    #[test]
    fn durations_read_as_in_go() {
        assert_eq!(text(Duration::from_secs(10)), "10s");
        assert_eq!(text(Duration::from_secs(80)), "1m20s");
        assert_eq!(text(Duration::from_secs(300)), "5m0s");
    }
}
