//! Keys of every type, on every shard, with and without an expiry.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gauntlet_core::history::{SLOTS, slot_of};
use redis::{Cmd, Pipeline, Value};

use super::bytes;
use crate::output;
use crate::redis_link::{RedisSettings, Timeouts};
use crate::standin::env;
use crate::workload::router::Router;

/// Keys of each kind; they fall on the shards by their names.
const EACH: u32 = 45;

/// How long the brief keys last: less than any restore.
const BRIEF_MS: u64 = 15_000;

const LASTING_MS: u64 = 3_600_000;

/// Commands that make one key.
type Making = Vec<Cmd>;

pub fn router() -> Result<Router> {
    let settings = RedisSettings::from_env(env)?;
    let patience = Duration::from_secs(5);
    Ok(Router::new(settings, Timeouts { connect: patience, response: patience }))
}

/// How long policies may take to let a new pod reach what it may: the first refusal is not their last word.
const ADMITTED_WITHIN: Duration = Duration::from_secs(30);

async fn admitted(router: &Router) -> Result<()> {
    let until = tokio::time::Instant::now() + ADMITTED_WITHIN;
    loop {
        match router.refresh().await {
            Err(_) if tokio::time::Instant::now() < until => tokio::time::sleep(Duration::from_millis(500)).await,
            refreshed => return refreshed,
        }
    }
}

/// Writes the keys of a round and takes away those that only the round before has. Done when a replica of every shard
/// has them too, where there are any.
pub async fn fill(prefix: &str, round: u32) -> Result<()> {
    let router = router()?;
    admitted(&router).await?;
    let covered = router.map().covered();
    ensure!(covered >= usize::from(SLOTS), "{covered} of {SLOTS} slots have an owner");
    let mut by_owner: BTreeMap<String, (u64, Pipeline)> = BTreeMap::new();
    for (key, making) in keys(prefix, round) {
        let owner = router.owner(slot_of(&key)).with_context(|| format!("nobody owns the slot of {key}"))?;
        let (count, pipeline) = by_owner.entry(owner).or_default();
        *count += u64::from(making.len() > 1);
        for command in making {
            pipeline.add_command(command);
        }
    }
    let mut written = BTreeMap::new();
    for (owner, (count, pipeline)) in by_owner {
        let mut connection = router.connect(&owner).await?;
        let _: Vec<Value> =
            pipeline.query_async(&mut connection).await.with_context(|| format!("{owner} does not take the keys"))?;
        let mut wait = redis::cmd("WAIT");
        let replicas: u64 = wait.arg(1).arg(4000).query_async(&mut connection).await?;
        written.insert(owner, serde_json::json!({"keys": count, "replicas": replicas}));
    }
    output::json(&written)
}

/// Every key of a round with the commands that make it. The first command always deletes it; a key with no further one
/// is of the round before.
fn keys(prefix: &str, round: u32) -> Vec<(String, Making)> {
    let mut keys = Vec::new();
    for number in 0..EACH {
        for (kind, make) in KINDS {
            let key = format!("{prefix}:{kind}:{number}");
            let mut making = vec![command("DEL", &key)];
            making.extend(make(&key, round));
            keys.push((key, making));
        }
        let fresh = format!("{prefix}:round-{round}:{number}");
        keys.push((fresh.clone(), [vec![command("DEL", &fresh)], string(&fresh, round)].concat()));
        let stale = format!("{prefix}:round-{}:{number}", round.saturating_sub(1));
        keys.push((stale.clone(), vec![command("DEL", &stale)]));
    }
    keys
}

/// Makes a key of a round.
type Make = fn(&str, u32) -> Making;

const KINDS: [(&str, Make); 8] = [
    ("string", string),
    ("hash", hash),
    ("list", list),
    ("set", set),
    ("zset", sorted_set),
    ("stream", stream),
    ("lasting", lasting),
    ("brief", brief),
];

fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}

fn value(key: &str, round: u32, part: u32) -> Vec<u8> {
    bytes::of(&format!("{key}/{round}/{part}"), 64)
}

fn string(key: &str, round: u32) -> Making {
    let mut set = command("SET", key);
    set.arg(bytes::of(&format!("{key}/{round}"), 512));
    vec![set]
}

fn hash(key: &str, round: u32) -> Making {
    let mut set = command("HSET", key);
    for field in 0..8 {
        set.arg(format!("field-{field}")).arg(value(key, round, field));
    }
    vec![set]
}

fn list(key: &str, round: u32) -> Making {
    let mut push = command("RPUSH", key);
    for place in 0..8 {
        push.arg(value(key, round, place));
    }
    vec![push]
}

fn set(key: &str, round: u32) -> Making {
    let mut add = command("SADD", key);
    for member in 0..8 {
        add.arg(value(key, round, member));
    }
    vec![add]
}

fn sorted_set(key: &str, round: u32) -> Making {
    let mut add = command("ZADD", key);
    for member in 0..8 {
        add.arg(f64::from(member) * 1.5 - 3.0).arg(value(key, round, member));
    }
    vec![add]
}

/// With a group that has read one entry of four and not acknowledged it.
fn stream(key: &str, round: u32) -> Making {
    let mut making = Vec::new();
    for entry in 1..=4_u32 {
        let mut add = command("XADD", key);
        add.arg(format!("{round}-{entry}")).arg("data").arg(value(key, round, entry));
        making.push(add);
    }
    let mut group = redis::cmd("XGROUP");
    group.arg("CREATE").arg(key).arg("readers").arg(0);
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("readers").arg("one").arg("COUNT").arg(1).arg("STREAMS").arg(key).arg(">");
    making.extend([group, read]);
    making
}

fn lasting(key: &str, round: u32) -> Making {
    expiring(hash(key, round), key, LASTING_MS)
}

fn brief(key: &str, round: u32) -> Making {
    expiring(string(key, round), key, BRIEF_MS)
}

fn expiring(mut making: Making, key: &str, after_ms: u64) -> Making {
    let mut expire = command("PEXPIRE", key);
    expire.arg(after_ms);
    making.push(expire);
    making
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_every_kind_and_takes_back_what_only_the_round_before_has() {
        let keys = keys("p", 2);
        for (kind, _) in KINDS {
            assert!(keys.iter().any(|(key, making)| key == &format!("p:{kind}:0") && making.len() > 1));
        }
        assert!(keys.iter().any(|(key, making)| key == "p:round-2:0" && making.len() == 2));
        assert!(keys.iter().any(|(key, making)| key == "p:round-1:0" && making.len() == 1));
    }

    #[test]
    fn another_round_has_other_values_under_the_same_keys() {
        let packed = |round| string("k", round)[0].get_packed_command();
        assert_ne!(packed(1), packed(2));
    }
}
