//! Times as the API writes them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Now, with seconds: `metav1.Time`.
pub fn now() -> String {
    format(Utc::now())
}

/// Now, with microseconds: `metav1.MicroTime`.
pub fn now_micro() -> String {
    Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

pub fn format(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time so many seconds later, or the last time there is: periods come from users and may be absurd.
pub fn later(time: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    let delta = TimeDelta::try_seconds(seconds.max(0));
    delta.and_then(|delta| time.checked_add_signed(delta)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Reads a time of either precision.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|t| t.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_periods_end_at_the_end_of_time() {
        let start = parse("2030-01-01T00:00:00Z").unwrap();
        assert_eq!(format(later(start, 61)), "2030-01-01T00:01:01Z");
        assert_eq!(later(start, -1), start);
        assert_eq!(later(start, i64::MAX), DateTime::<Utc>::MAX_UTC);
        assert_eq!(later(start, i64::MAX / 1000), DateTime::<Utc>::MAX_UTC);
    }
}
