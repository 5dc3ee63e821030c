//! Keys of a Redis, with type, value and expiry.

use super::Differences;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far an expiry may move: a key that is sent from one server to another is sent with the time that it has left.
const EXPIRY_MAY_MOVE_MS: u64 = 5_000;

/// Everything that a Redis held at one moment, as its own clock told it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisDump {
    /// Milliseconds since 1970 when reading began.
    pub taken_ms: u64,
    pub keys: BTreeMap<String, RedisKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisKey {
    /// Who owned its slot.
    pub shard: String,
    pub kind: String,
    /// Of the value, in an order of its own where the type has none.
    pub digest: String,
    /// Milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

impl RedisDump {
    /// The keys that begin with `prefix`.
    pub fn within(&self, prefix: &str) -> Self {
        let keys = self.keys.iter().filter(|(key, _)| key.starts_with(prefix));
        Self { taken_ms: self.taken_ms, keys: keys.map(|(key, value)| (key.clone(), value.clone())).collect() }
    }

    /// How much that is, in words.
    pub fn told(&self) -> String {
        let shards: Vec<String> = self
            .kinds_by_shard()
            .iter()
            .map(|(shard, kinds)| format!("{} on {shard}", kinds.values().sum::<usize>()))
            .collect();
        format!("{} keys ({})", self.keys.len(), shards.join(", "))
    }

    /// How many keys of each type every shard holds.
    pub fn kinds_by_shard(&self) -> BTreeMap<&str, BTreeMap<&str, usize>> {
        let mut shards: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for key in self.keys.values() {
            *shards.entry(&key.shard).or_default().entry(&key.kind).or_default() += 1;
        }
        shards
    }

    /// What of `self` is not in `now` as it was, and what is in `now` below `own` though it was not in `self`. Keys whose
    /// time has come must be gone.
    pub fn against(&self, now: &Self, own: &str) -> Differences {
        let mut differences = Differences::default();
        for (key, before) in &self.keys {
            let shard = &before.shard;
            match (now.keys.get(key), before.expires_ms) {
                (None, Some(at)) if at <= now.taken_ms + EXPIRY_MAY_MOVE_MS => {}
                (None, _) => differences.push(shard, key, super::GONE),
                (Some(_), Some(at)) if at + EXPIRY_MAY_MOVE_MS < now.taken_ms => {
                    differences.push(shard, key, "is there though its time had come");
                }
                (Some(after), _) => {
                    if let Some(how) = changed(before, after) {
                        differences.push(shard, key, how);
                    }
                }
            }
        }
        let strangers = now.keys.iter().filter(|(key, _)| key.starts_with(own) && !self.keys.contains_key(*key));
        for (key, after) in strangers {
            differences.push(&after.shard, key, "is there though it was not before");
        }
        differences
    }
}

fn changed(before: &RedisKey, after: &RedisKey) -> Option<String> {
    if before.kind != after.kind {
        return Some(format!("is a {} and was a {}", after.kind, before.kind));
    }
    if before.digest != after.digest {
        return Some(format!("({}) has another value", before.kind));
    }
    match (before.expires_ms, after.expires_ms) {
        (None, None) => None,
        (Some(was), Some(is)) if was.abs_diff(is) <= EXPIRY_MAY_MOVE_MS => None,
        (Some(was), Some(is)) => Some(format!("expires {} ms from when it did", is.abs_diff(was))),
        (Some(_), None) => Some("does not expire any more".to_owned()),
        (None, Some(_)) => Some("expires and did not before".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, digest: &str, expires_ms: Option<u64>) -> RedisKey {
        RedisKey { shard: "a:1".into(), kind: kind.into(), digest: digest.into(), expires_ms }
    }

    fn dump(taken_ms: u64, keys: &[(&str, RedisKey)]) -> RedisDump {
        RedisDump { taken_ms, keys: keys.iter().map(|(name, key)| ((*name).to_owned(), key.clone())).collect() }
    }

    #[test]
    fn type_value_and_expiry_all_count() {
        let before = dump(0, &[("k", key("hash", "d", Some(100_000)))]);
        for (after, differs) in [
            (key("hash", "d", Some(100_000)), false),
            (key("hash", "d", Some(103_000)), false),
            (key("hash", "d", Some(110_000)), true),
            (key("hash", "d", None), true),
            (key("hash", "e", Some(100_000)), true),
            (key("set", "d", Some(100_000)), true),
        ] {
            let told = before.against(&dump(1_000, &[("k", after.clone())]), "");
            assert_eq!(!told.is_empty(), differs, "{after:?}: {told}");
        }
    }

    #[test]
    fn a_key_may_be_gone_only_when_its_time_had_come_and_then_must_be() {
        let before = dump(0, &[("brief", key("string", "d", Some(20_000)))]);
        let gone = |at| !before.against(&dump(at, &[]), "").is_empty();
        assert!(gone(1_000));
        assert!(!gone(30_000));
        let back = |at| !before.against(&dump(at, &[("brief", key("string", "d", Some(20_000)))]), "").is_empty();
        assert!(!back(1_000));
        assert!(back(30_000));
    }

    #[test]
    fn a_key_of_our_own_that_was_not_there_before_is_a_difference_and_others_are_not() {
        let now = dump(1, &[("own:1", key("string", "d", None)), ("other", key("string", "d", None))]);
        let told = dump(0, &[]).against(&now, "own:");
        assert_eq!(told.0.len(), 1);
        assert_eq!(told.0[0].what, "own:1");
    }

    #[test]
    fn differences_are_told_by_shard() {
        let before = dump(0, &[("a", key("string", "d", None)), ("b", key("string", "d", None))]);
        assert_eq!(before.against(&dump(1, &[]), "").to_string(), "2 differ (2 of a:1): a is gone; b is gone");
    }
}
