//! When a CronJob fires.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use embedded_apimachinery::object::str_at;
use embedded_apimachinery::timestamp;
use serde_json::Value;

pub struct Schedule {
    rule: Rule,
    zone: Tz,
}

enum Rule {
    Cron(Box<Cron>),
    /// `@every 5m`: counted from the last time.
    Every(TimeDelta),
}

/// Why there is no schedule.
#[derive(Debug, PartialEq)]
pub enum Problem {
    UnknownTimeZone(String),
    Unparseable(String),
}

/// The newest moment to fire at, and how many there were.
#[derive(Debug, PartialEq)]
pub struct Due {
    pub at: DateTime<Utc>,
    pub missed: i64,
}

impl Schedule {
    /// Of `spec.schedule` and `spec.timeZone`; without one the time is UTC.
    pub fn of(cron_job: &Value) -> Result<Self, Problem> {
        let zone = match str_at(cron_job, "/spec/timeZone") {
            "" => Tz::UTC,
            name => name.parse().map_err(|_| Problem::UnknownTimeZone(name.to_owned()))?,
        };
        let text = str_at(cron_job, "/spec/schedule").trim();
        let rule = match text.strip_prefix("@every ") {
            Some(duration) => {
                let every = parse_duration(duration).filter(|every| *every >= TimeDelta::seconds(1));
                Rule::Every(every.ok_or_else(|| Problem::Unparseable(format!("failed to parse duration {text}")))?)
            }
            None => Rule::Cron(Box::new(parse_cron(text)?)),
        };
        Ok(Self { rule, zone })
    }

    /// The first moment after this one.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.rule {
            Rule::Cron(cron) => {
                cron.find_next_occurrence(&after.with_timezone(&self.zone), false).ok().map(|t| t.with_timezone(&Utc))
            }
            Rule::Every(every) => after.checked_add_signed(*every),
        }
    }

    /// The newest moment after `since` that is not after `now`.
    pub fn due(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<Due> {
        let first = self.next(since).filter(|first| *first <= now)?;
        let gap = (self.next(first)? - first).num_seconds().max(1);
        let missed = (now - first).num_seconds() / gap + 1;
        let at = match &self.rule {
            Rule::Cron(cron) => {
                let now = now.with_timezone(&self.zone);
                cron.find_previous_occurrence(&now, true).ok()?.with_timezone(&Utc).max(first)
            }
            Rule::Every(_) => timestamp::later(first, gap * (missed - 1)),
        };
        Some(Due { at, missed })
    }

    /// A moment as it is written in the annotation of Jobs: in the schedule's own time zone.
    pub fn local(&self, time: DateTime<Utc>) -> String {
        time.with_timezone(&self.zone).to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

fn parse_cron(text: &str) -> Result<Cron, Problem> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).sloppy_ranges(true).build();
    parser.parse(text).map_err(|error| Problem::Unparseable(error.to_string()))
}

/// Durations as Go writes them: `1h30m`, `90s`.
fn parse_duration(text: &str) -> Option<TimeDelta> {
    let mut total = TimeDelta::zero();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let part = match &unit[..end] {
            "h" => TimeDelta::try_hours(number)?,
            "m" => TimeDelta::try_minutes(number)?,
            "s" => TimeDelta::try_seconds(number)?,
            _ => return None,
        };
        total = total.checked_add(&part)?;
        rest = &unit[end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> DateTime<Utc> {
        timestamp::parse(text).unwrap()
    }

    fn schedule(text: &str, zone: &str) -> Schedule {
        Schedule::of(&json!({"spec": {"schedule": text, "timeZone": zone}})).unwrap_or_else(|p| panic!("{text}: {p:?}"))
    }

    #[test]
    fn the_next_moment_follows_the_rule_in_its_time_zone() {
        for (text, zone, after, expected) in [
            ("* * * * *", "", "2030-01-01T00:00:30Z", "2030-01-01T00:01:00Z"),
            ("* * * * *", "", "2030-01-01T00:01:00Z", "2030-01-01T00:02:00Z"),
            ("0 3 * * *", "", "2030-01-01T03:00:00Z", "2030-01-02T03:00:00Z"),
            ("0 3 * * *", "Europe/Berlin", "2030-01-01T00:00:00Z", "2030-01-01T02:00:00Z"),
            ("0 3 * * *", "Europe/Berlin", "2030-07-01T00:00:00Z", "2030-07-01T01:00:00Z"),
            ("@hourly", "", "2030-01-01T00:00:30Z", "2030-01-01T01:00:00Z"),
            ("@every 1h30m", "", "2030-01-01T00:00:30Z", "2030-01-01T01:30:30Z"),
            ("0 0 1 * MON", "", "2030-01-01T00:00:00Z", "2030-01-07T00:00:00Z"),
            ("5/20 * * * *", "", "2030-01-01T00:06:00Z", "2030-01-01T00:25:00Z"),
        ] {
            assert_eq!(schedule(text, zone).next(at(after)), Some(at(expected)), "{text} {zone} after {after}");
        }
    }

    #[test]
    fn of_several_missed_moments_the_newest_is_due() {
        for (text, since, now, expected) in [
            ("* * * * *", "2030-01-01T00:00:30Z", "2030-01-01T00:00:59Z", None),
            ("* * * * *", "2030-01-01T00:00:30Z", "2030-01-01T00:01:00Z", Some(("2030-01-01T00:01:00Z", 1))),
            ("* * * * *", "2030-01-01T00:00:30Z", "2030-01-01T00:05:10Z", Some(("2030-01-01T00:05:00Z", 5))),
            ("0 3 * * *", "2030-01-01T00:00:00Z", "2030-01-03T04:00:00Z", Some(("2030-01-03T03:00:00Z", 3))),
            ("@every 10s", "2030-01-01T00:00:00Z", "2030-01-01T00:00:35Z", Some(("2030-01-01T00:00:30Z", 3))),
        ] {
            let expected = expected.map(|(time, missed)| Due { at: at(time), missed });
            assert_eq!(schedule(text, "").due(at(since), at(now)), expected, "{text} at {now}");
        }
    }

    #[test]
    fn mistakes_are_told_apart() {
        let problem =
            |text: &str, zone: &str| Schedule::of(&json!({"spec": {"schedule": text, "timeZone": zone}})).err();
        assert_eq!(problem("* * * * *", "Mars/Base"), Some(Problem::UnknownTimeZone("Mars/Base".into())));
        assert!(matches!(problem("61 * * * *", ""), Some(Problem::Unparseable(_))));
        assert!(matches!(problem("@every never", ""), Some(Problem::Unparseable(_))));
        assert!(matches!(problem("@every 9999999999999h", ""), Some(Problem::Unparseable(_))));
    }
}
