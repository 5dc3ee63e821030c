//! Known data before and after it was lost and restored: what a store holds, told by digests, and how two such tellings
//! differ.
//!
//! - [`redis`]: keys with type, value and expiry
//! - [`nats`]: messages and consumers of streams

pub mod nats;
pub mod redis;

use nats::NatsDump;
use redis::RedisDump;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a store held before, and what it holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "store")]
pub enum Compared {
    Redis {
        before: RedisDump,
        now: RedisDump,
        /// What the names of keys begin with that nobody else writes.
        own: String,
    },
    Nats {
        before: NatsDump,
        now: NatsDump,
    },
}

impl Compared {
    pub fn differences(&self) -> Differences {
        match self {
            Self::Redis { before, now, own } => before.against(now, own),
            Self::Nats { before, now } => before.against(now),
        }
    }

    /// `3 of 412 keys were not back after the restore`
    pub fn told_differences(&self) -> String {
        let (all, things) = match self {
            Self::Redis { before, .. } => (before.keys.len(), "keys"),
            Self::Nats { before, .. } => (before.messages() + before.consumers(), "messages and consumers"),
        };
        let differences = self.differences();
        let how = if differences.0.iter().all(|d| d.how == GONE) { "back" } else { "as they were" };
        let number = differences.0.len();
        let were = if number == 1 { "was" } else { "were" };
        let how = if number == 1 && how != "back" { "as it was" } else { how };
        format!("{number} of {all} {things} {were} not {how} after the restore")
    }

    /// How much there was before.
    pub fn told(&self) -> String {
        match self {
            Self::Redis { before, .. } => before.told(),
            Self::Nats { before, .. } => before.told(),
        }
    }
}

/// How it is said that something is not there any more.
const GONE: &str = "is gone";

/// Names of one kind of difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences(pub Vec<Difference>);

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub what: String,
    pub how: String,
    /// Where it was before: a shard or a stream.
    pub of: String,
}

impl Differences {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, of: &str, what: impl Into<String>, how: impl Into<String>) {
        self.0.push(Difference { what: what.into(), how: how.into(), of: of.to_owned() });
    }

    /// How many there are of each shard or stream.
    fn by_place(&self) -> Vec<(&str, usize)> {
        let mut places: Vec<(&str, usize)> = Vec::new();
        for difference in &self.0 {
            match places.iter_mut().find(|(place, _)| *place == difference.of) {
                Some((_, count)) => *count += 1,
                None => places.push((&difference.of, 1)),
            }
        }
        places
    }
}

/// How many where, and the first few in full.
impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.by_place().iter().map(|(place, count)| format!("{count} of {place}")).collect();
        let shown: Vec<String> = self.0.iter().take(3).map(|d| format!("{} {}", d.what, d.how)).collect();
        write!(f, "{} differ ({}): {}", self.0.len(), places.join(", "), shown.join("; "))?;
        if self.0.len() > shown.len() { f.write_str("; …") } else { Ok(()) }
    }
}
