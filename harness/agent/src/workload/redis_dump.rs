//! Reads back what was written to Redis, from the owners of the slots.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gauntlet_core::history::{Dump, Observation, Operation, slot_of};
use redis::aio::ConnectionLike;
use redis::{FromRedisValue, Value};
use tokio::time::Instant;

use super::recorder::Recorder;
use super::router::Router;

/// Keys asked for at a time.
const BATCH: usize = 200;

/// Reads every key of the history, and every other key that looks as if this life of the client had written it, trying
/// again until `timeout`.
///
/// # Errors
/// Some could not be read in time; the history then holds a failed dump.
pub async fn dump(router: &Router, prefix: &str, recorder: &Recorder, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    match read_all(router, prefix, recorder, deadline).await {
        Ok(count) => recorder.observe(Observation::DumpComplete { dump: Dump::Redis, count }),
        Err(error) => {
            recorder.observe(Observation::DumpFailed { dump: Dump::Redis, error: format!("{error:#}") })?;
            Err(error)
        }
    }
}

async fn read_all(router: &Router, prefix: &str, recorder: &Recorder, deadline: Instant) -> Result<u64> {
    let written = written_keys(recorder)?;
    let mut left = written.clone();
    let mut count = 0;
    let mut last = String::from("no attempt was finished");
    while !left.is_empty() {
        check(deadline, || {
            format!("{} of {} keys could not be read back; last seen: {last}", left.len(), written.len())
        })?;
        if let Err(error) = round(router, recorder, &mut left, &mut count).await {
            last = format!("{error:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    // Of this life only: what another life wrote may be in a history that is gone.
    let pattern = format!("{prefix}:{}:*", recorder.client());
    loop {
        match strangers(router, &pattern, &written).await {
            Ok(strangers) => {
                for (key, value) in strangers {
                    recorder.observe(Observation::RedisValue { key, value })?;
                    count += 1;
                }
                return Ok(count);
            }
            Err(error) => check(deadline, || format!("the keys could not be listed; last seen: {error:#}"))?,
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn check(deadline: Instant, problem: impl FnOnce() -> String) -> Result<()> {
    if Instant::now() >= deadline {
        bail!(problem());
    }
    Ok(())
}

fn written_keys(recorder: &Recorder) -> Result<BTreeSet<String>> {
    let history = recorder.history().context("the history cannot be read")?;
    Ok(history
        .attempts
        .into_iter()
        .filter_map(|attempt| match attempt.op {
            Operation::RedisWrite { key, .. } => Some(key),
            _ => None,
        })
        .collect())
}

/// Reads what is left from whoever owns it now. What a node does not give is left for the next round.
async fn round(router: &Router, recorder: &Recorder, left: &mut BTreeSet<String>, count: &mut u64) -> Result<()> {
    router.refresh().await?;
    let mut by_owner: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ownerless = None;
    for key in left.iter() {
        match router.owner(slot_of(key)) {
            Some(owner) => by_owner.entry(owner).or_default().push(key.clone()),
            None => ownerless = Some(slot_of(key)),
        }
    }
    let mut trouble = ownerless.map(|slot| anyhow::anyhow!("nobody owns slot {slot}"));
    for (owner, keys) in by_owner {
        if let Err(error) = read_from(router, recorder, &owner, &keys, left, count).await {
            trouble = Some(error);
        }
    }
    trouble.map_or(Ok(()), Err)
}

async fn read_from(
    router: &Router,
    recorder: &Recorder,
    owner: &str,
    keys: &[String],
    left: &mut BTreeSet<String>,
    count: &mut u64,
) -> Result<()> {
    let mut connection = router.connect(owner).await?;
    let mut trouble = None;
    for batch in keys.chunks(BATCH) {
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        for key in batch {
            // A replica answers MOVED, so that what is read is what the owner has.
            pipeline.cmd("GET").arg(key);
        }
        let values = connection
            .req_packed_commands(&pipeline, 0, batch.len())
            .await
            .with_context(|| format!("{owner} does not give its values"))?;
        for (key, value) in batch.iter().zip(values) {
            match value.extract_error().and_then(|value| Ok(Option::<String>::from_redis_value(value)?)) {
                Ok(value) => {
                    recorder.observe(Observation::RedisValue { key: key.clone(), value })?;
                    left.remove(key);
                    *count += 1;
                }
                Err(error) => trouble = Some(error),
            }
        }
    }
    match trouble {
        None => Ok(()),
        Some(error) => Err(error).with_context(|| format!("{owner} does not give some of its values")),
    }
}

/// Keys that fit the pattern and were never written.
async fn strangers(
    router: &Router,
    pattern: &str,
    written: &BTreeSet<String>,
) -> Result<Vec<(String, Option<String>)>> {
    router.refresh().await?;
    let map = router.map();
    let mut strangers = Vec::new();
    for owner in map.shards().keys() {
        let mut connection = router.connect(owner).await?;
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<String>) =
                scan.query_async(&mut connection).await.with_context(|| format!("{owner} does not list its keys"))?;
            for key in keys.into_iter().filter(|key| !written.contains(key)) {
                let value: Value = redis::cmd("GET").arg(&key).query_async(&mut connection).await?;
                strangers.push((key, Option::from_redis_value(value)?));
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(strangers)
}
