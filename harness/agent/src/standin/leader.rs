//! One scheduler among its replicas leads: it holds a lock in Redis that runs out unless renewed, and ends the jobs
//! that ran too long.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use super::jobs::{State, now_ms};
use super::worker::Worker;
use crate::redis_link::Link;

const LOCK: &str = "cordum:scheduler:leader";
const LOCK_MS: u64 = 10_000;

/// KEYS: lock. ARGV: owner, milliseconds. Takes the lock where it is free, renews it where it is ours.
const LEAD: &str = "local owner = redis.call('GET', KEYS[1]) \
    if owner and owner ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1";

const RESIGN: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// How often the leader looks, and how long a job may run.
#[derive(Clone, Copy)]
pub struct Pace {
    pub reconcile: Duration,
    pub running: Duration,
}

/// Leads whenever it may, until told to end; then makes way at once.
pub async fn run(mut link: Link, worker: Arc<Worker>, pace: Pace, instance: String, shutdown: CancellationToken) {
    let mut period = tokio::time::interval(pace.reconcile.min(Duration::from_millis(LOCK_MS / 3)));
    let mut leading = false;
    loop {
        tokio::select! {
            _ = period.tick() => {}
            () = shutdown.cancelled() => break,
        }
        let leads = lead(&mut link, &instance).await;
        if let Ok(leads) = leads
            && leads != leading
        {
            tracing::info!("this instance {}", if leads { "leads" } else { "no longer leads" });
            leading = leads;
        }
        let done = match leads {
            Ok(true) => reconcile(&worker, pace).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!("the leader's work is put off: {error:#}");
        }
    }
    // Best effort: a lock that is not given back runs out.
    let _ = redis::cmd("EVAL").arg(RESIGN).arg(1).arg(LOCK).arg(&instance).query_async::<()>(&mut link).await;
}

async fn lead(link: &mut Link, instance: &str) -> Result<bool> {
    let mut query = redis::cmd("EVAL");
    query.arg(LEAD).arg(1).arg(LOCK).arg(instance).arg(LOCK_MS);
    query.query_async(link).await.context("the leader's lock cannot be had")
}

async fn reconcile(worker: &Worker, pace: Pace) -> Result<()> {
    let before = now_ms().saturating_sub(pace.running.as_millis() as u64);
    for id in worker.jobs.running_since(before).await? {
        let ended = worker.end(&id, State::Failed).await.with_context(|| format!("job {id} ran too long"))?;
        if ended.by_us {
            tracing::warn!("job {id} ran too long and is ended as failed");
        }
    }
    Ok(())
}
