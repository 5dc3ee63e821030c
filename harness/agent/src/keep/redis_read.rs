//! Reads keys back from the owners of their slots, as digests.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use gauntlet_core::history::SLOTS;
use gauntlet_core::kept::redis::{RedisDump, RedisKey};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Value};

use super::bytes::Summary;
use super::redis::router;
use crate::output;

/// Keys asked for at a time.
const BATCH: usize = 200;

/// Prints every key below the prefixes.
pub async fn dump(prefixes: &[String]) -> Result<()> {
    let router = router()?;
    router.refresh().await?;
    let map = router.map();
    ensure!(map.covered() >= usize::from(SLOTS), "{} of {SLOTS} slots have an owner", map.covered());
    let mut dump = RedisDump { taken_ms: now_ms(), keys: BTreeMap::new() };
    for owner in map.shards().keys() {
        let mut connection = router.connect(owner).await?;
        for prefix in prefixes {
            let keys =
                scan(&mut connection, prefix).await.with_context(|| format!("{owner} does not list its keys"))?;
            for batch in keys.chunks(BATCH) {
                let read = read(&mut connection, owner, batch).await;
                dump.keys.extend(read.with_context(|| format!("{owner} does not give its values"))?);
            }
        }
    }
    output::line(serde_json::to_string(&dump)?)
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn scan(connection: &mut MultiplexedConnection, prefix: &str) -> Result<Vec<String>> {
    let (mut cursor, mut found) = (0_u64, Vec::new());
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(1000);
        let (next, keys): (u64, Vec<String>) = scan.query_async(connection).await?;
        found.extend(keys);
        cursor = next;
        if cursor == 0 {
            // A scan may tell of a key twice.
            found.sort();
            found.dedup();
            return Ok(found);
        }
    }
}

/// A key that goes between two questions is left out, as one that went before them.
async fn read(connection: &mut MultiplexedConnection, owner: &str, keys: &[String]) -> Result<Vec<(String, RedisKey)>> {
    let mut about = redis::pipe();
    for key in keys {
        about.cmd("TYPE").arg(key).cmd("PEXPIRETIME").arg(key);
    }
    let about: Vec<Value> = about.query_async(connection).await?;
    let mut known = Vec::new();
    let mut asking = redis::pipe();
    for (key, about) in keys.iter().zip(about.chunks(2)) {
        let kind = String::from_redis_value(about[0].clone())?;
        let expires = i64::from_redis_value(about[1].clone())?;
        if let Some(questions) = questions(&kind, key) {
            known.push((key, kind, expires, questions.len()));
            for question in questions {
                asking.add_command(question);
            }
        }
    }
    if known.is_empty() {
        return Ok(vec![]);
    }
    let mut answers = asking.query_async::<Vec<Value>>(connection).await?.into_iter();
    let mut read = Vec::new();
    for (key, kind, expires, count) in known {
        let digest = digest(&kind, answers.by_ref().take(count));
        let expires_ms = u64::try_from(expires).ok();
        if let Some(digest) = digest {
            read.push((key.clone(), RedisKey { shard: owner.to_owned(), kind, digest, expires_ms }));
        }
    }
    Ok(read)
}

/// What tells the whole value of a key; nothing for a key that is gone.
fn questions(kind: &str, key: &str) -> Option<Vec<Cmd>> {
    let ask = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command
    };
    match kind {
        "string" => Some(vec![ask(&["GET", key])]),
        "hash" => Some(vec![ask(&["HGETALL", key])]),
        "list" => Some(vec![ask(&["LRANGE", key, "0", "-1"])]),
        "set" => Some(vec![ask(&["SMEMBERS", key])]),
        "zset" => Some(vec![ask(&["ZRANGE", key, "0", "-1", "WITHSCORES"])]),
        "stream" => Some(vec![
            ask(&["XRANGE", key, "-", "+"]),
            ask(&["XINFO", "GROUPS", key]),
            ask(&["XPENDING", key, "readers"]),
        ]),
        _ => None,
    }
}

/// `None` where the key went away meanwhile.
fn digest(kind: &str, answers: impl Iterator<Item = Value>) -> Option<String> {
    let mut summary = Summary::default();
    let mut gone = false;
    for answer in answers {
        gone |= matches!(answer, Value::Nil);
        let mut parts = flat(answer);
        match kind {
            "set" => parts.sort(),
            "stream" => parts = without_counts(parts),
            "hash" => {
                let mut pairs: Vec<Vec<Vec<u8>>> = parts.chunks(2).map(<[Vec<u8>]>::to_vec).collect();
                pairs.sort();
                parts = pairs.concat();
            }
            _ => {}
        }
        parts.iter().for_each(|part| summary.add(part));
    }
    (!gone).then(|| summary.finish())
}

/// What `XINFO GROUPS` tells, without what a server counts for itself: reading by a group goes to replicas and into the log
/// as `XCLAIM`, which leaves these out, so they are others after a failover or a restart.
fn without_counts(parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    let mut parts = parts.into_iter();
    while let Some(part) = parts.next() {
        if [&b"entries-read"[..], b"lag"].contains(&part.as_slice()) {
            parts.next();
        } else {
            kept.push(part);
        }
    }
    kept
}

/// The words of an answer, however it is nested.
fn flat(value: Value) -> Vec<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => vec![bytes],
        Value::SimpleString(text) => vec![text.into_bytes()],
        Value::Int(number) => vec![number.to_string().into_bytes()],
        Value::Array(values) | Value::Set(values) => values.into_iter().flat_map(flat).collect(),
        Value::Map(pairs) => pairs.into_iter().flat_map(|(key, value)| [flat(key), flat(value)].concat()).collect(),
        other => vec![format!("{other:?}").into_bytes()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Value {
        Value::Array(words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec())).collect())
    }

    #[test]
    fn order_counts_only_where_the_type_has_one() {
        let digest = |kind: &str, words_: &[&str]| digest(kind, [words(words_)].into_iter());
        assert_eq!(digest("set", &["a", "b"]), digest("set", &["b", "a"]));
        assert_eq!(digest("hash", &["f", "1", "g", "2"]), digest("hash", &["g", "2", "f", "1"]));
        assert_ne!(digest("hash", &["f", "1", "g", "2"]), digest("hash", &["f", "2", "g", "1"]));
        assert_ne!(digest("list", &["a", "b"]), digest("list", &["b", "a"]));
    }

    #[test]
    fn what_a_server_counts_for_itself_is_no_part_of_a_stream() {
        let digest = |words_: &[&str]| digest("stream", [words(words_)].into_iter());
        let group = ["name", "readers", "pending", "1", "entries-read", "1", "lag", "3"];
        assert_eq!(digest(&group), digest(&["name", "readers", "pending", "1", "entries-read", "0", "lag", ""]));
        assert_ne!(digest(&group), digest(&["name", "readers", "pending", "2", "entries-read", "1", "lag", "3"]));
    }

    #[test]
    fn a_key_that_is_gone_has_no_digest() {
        assert_eq!(digest("string", [Value::Nil].into_iter()), None);
        assert!(questions("none", "k").is_none());
    }
}
