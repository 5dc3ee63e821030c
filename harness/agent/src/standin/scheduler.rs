//! The scheduler: takes jobs from JetStream and ends each of them once. Replicas share one durable consumer; one of
//! them, the leader, also ends jobs that ran too long.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use futures::StreamExt;
use tokio::sync::Semaphore;

use super::common::{Common, JOBS, millis};
use super::config::{self, Pools, Timeouts};
use super::jobs::Jobs;
use super::leader;
use super::safety::SafetyClient;
use super::worker::Worker;

const CONSUMER: &str = "cordum-scheduler";

/// How many jobs one instance runs at a time.
const AT_ONCE: usize = 32;

/// Runs the scheduler until TERM, then finishes the jobs under way.
///
/// # Errors
/// Malformed configuration, Redis or NATS out of reach, or a port that is taken.
pub async fn run(common: &Common) -> Result<()> {
    let timeouts: Timeouts = config::read("TIMEOUTS_FILE", "timeouts.yaml")?;
    let pools: Pools = config::read("POOLS_FILE", "pools.yaml")?;
    let (redis, settings) = common.redis().await?;
    let js = common.jetstream("cordum-scheduler").await?;
    let (ends, _) = common.redis_as("redis for ends").await?;
    let jobs = Jobs::new(redis.clone(), ends, &common.instance, u32::from(settings.is_cluster()));
    let worker = Arc::new(Worker {
        jobs: jobs.clone(),
        js: js.clone(),
        safety: SafetyClient::from_env()?,
        pools,
        metrics: common.metrics.clone(),
        work: millis("JOB_DURATION_MS", 20)?,
        lock_ms: timeouts.dispatch_timeout_seconds * 1000,
    });
    tokio::spawn(leader::run(
        redis,
        worker.clone(),
        timeouts_of(&timeouts),
        common.instance.clone(),
        common.shutdown.clone(),
    ));
    let ack_wait = Duration::from_secs(timeouts.dispatch_timeout_seconds);
    let router = common.health.router().merge(common.metrics.router());
    let serving = common.serve(common.address("METRICS_ADDR", 9090)?, router);
    let (served, ()) = tokio::join!(serving, work(common, js, worker, ack_wait));
    served
}

fn timeouts_of(timeouts: &Timeouts) -> leader::Pace {
    leader::Pace {
        reconcile: Duration::from_secs(timeouts.reconciler_interval_seconds.max(1)),
        running: Duration::from_secs(timeouts.running_timeout_seconds),
    }
}

/// Takes jobs until told to end; starts again after every break.
async fn work(common: &Common, js: jetstream::Context, worker: Arc<Worker>, ack_wait: Duration) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while !common.shutdown.is_cancelled() {
        let taken = tokio::select! {
            taken = take(&js, &worker, &slots, ack_wait) => taken,
            () = common.shutdown.cancelled() => break,
        };
        if let Err(error) = taken {
            tracing::warn!("no jobs can be taken, trying again: {error:#}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // All slots free: nothing is under way any more. The semaphore is never closed.
    let _ = tokio::time::timeout(Duration::from_secs(5), slots.acquire_many(AT_ONCE as u32)).await;
}

async fn consumer(js: &jetstream::Context, ack_wait: Duration) -> Result<PullConsumer> {
    let config = pull::Config {
        durable_name: Some(CONSUMER.into()),
        filter_subject: JOBS.1.into(),
        ack_policy: AckPolicy::Explicit,
        ack_wait,
        max_ack_pending: 1000,
        ..pull::Config::default()
    };
    let stream = js.get_stream_no_info(JOBS.0).await.context("the stream of jobs is not there")?;
    stream.get_or_create_consumer(CONSUMER, config).await.context("no consumer could be made")
}

async fn take(js: &jetstream::Context, worker: &Arc<Worker>, slots: &Arc<Semaphore>, ack_wait: Duration) -> Result<()> {
    let consumer = consumer(js, ack_wait).await?;
    let mut messages = consumer
        .stream()
        .max_messages_per_batch(AT_ONCE)
        .expires(Duration::from_secs(5))
        .heartbeat(Duration::from_secs(1))
        .messages()
        .await
        .context("no jobs can be asked for")?;
    while let Some(message) = messages.next().await {
        let message = message.context("the stream of jobs broke off")?;
        let slot = slots.clone().acquire_owned().await.context("the scheduler is closing")?;
        let worker = worker.clone();
        tokio::spawn(async move {
            worker.handle(message).await;
            drop(slot);
        });
    }
    Ok(())
}
