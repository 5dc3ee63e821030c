//! Lengths of time as people write them: `500ms`, `15s`, `2m`, `1m30s`, `1h`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A length of time, written with its unit wherever it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

impl Span {
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Reads `1m30s` and its like; units are ms, s, m and h, and every number has one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().ok()?;
            let after = &rest[digits..];
            let unit = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            total = total.checked_add(Duration::from_millis(number.checked_mul(millis(&after[..unit])?)?))?;
            rest = &after[unit..];
        }
        (!text.is_empty()).then_some(Self(total))
    }

    /// As sentences have it: `12 s`, `0.4 s`. However little time something took, it took some.
    pub fn in_words(self) -> String {
        let tenths = (self.0.as_millis() + 50) / 100;
        match (tenths / 10, tenths % 10) {
            (0, 0) if !self.0.is_zero() => "0.1 s".to_owned(),
            (seconds, 0) => format!("{seconds} s"),
            (seconds, tenths) => format!("{seconds}.{tenths} s"),
        }
    }
}

fn millis(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            _ if ms < 1_000 => write!(f, "{ms}ms"),
            _ if ms < 60_000 && !ms.is_multiple_of(1_000) => write!(f, "{}.{}s", ms / 1_000, ms % 1_000 / 100),
            _ if ms < 60_000 => write!(f, "{}s", ms / 1_000),
            _ if ms % 60_000 < 1_000 => write!(f, "{}m", ms / 60_000),
            _ => write!(f, "{}m{}s", ms / 60_000, ms % 60_000 / 1_000),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}ms", self.0.as_millis()))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is not a length of time; write a number with its unit, such as 500ms, 15s, 1m30s or 1h"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_have_seconds_with_a_space() {
        for (ms, told) in
            [(0, "0 s"), (1, "0.1 s"), (400, "0.4 s"), (12_000, "12 s"), (12_340, "12.3 s"), (120_000, "120 s")]
        {
            assert_eq!(Span(Duration::from_millis(ms)).in_words(), told);
        }
    }

    #[test]
    fn units_add_up() {
        assert_eq!(Span::parse("1m30s"), Some(Span::from_secs(90)));
        assert_eq!(Span::parse("500ms"), Some(Span(Duration::from_millis(500))));
        assert_eq!(Span::parse("1h"), Some(Span::from_secs(3600)));
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["15", "", "s", "1x", "-1s", "1m30", "99999999999999999999s"] {
            assert_eq!(Span::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_written_span_is_short() {
        for (ms, text) in [(250, "250ms"), (1_500, "1.5s"), (15_000, "15s"), (120_000, "2m"), (90_000, "1m30s")] {
            assert_eq!(Span(Duration::from_millis(ms)).to_string(), text);
        }
    }
}
