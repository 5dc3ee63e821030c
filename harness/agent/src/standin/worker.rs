//! One job, from its message to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind};
use serde_json::json;

use super::config::Pools;
use super::jobs::{ENDED_SUBJECT, Ended, Job, Jobs, State};
use super::metrics::Metrics;
use super::safety::SafetyClient;
use crate::nats_link::stored;

/// After how long a job that could not be finished is handed out again: doubled each time, up to the latter.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(8);

pub struct Worker {
    pub jobs: Jobs,
    pub js: jetstream::Context,
    pub safety: SafetyClient,
    pub pools: Pools,
    pub metrics: Arc<Metrics>,
    /// How long the work of a job takes.
    pub work: Duration,
    /// For how long a job is kept from other schedulers.
    pub lock_ms: u64,
}

impl Worker {
    /// Brings the job to its end and acknowledges its message, or has it handed out again. Whatever happens between,
    /// doing it again is safe.
    pub async fn handle(&self, message: jetstream::Message) {
        let job: Job = match serde_json::from_slice(&message.payload) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!("a message on {} is no job and is dropped: {error}", message.subject);
                acknowledge(&message, AckKind::Term).await;
                return;
            }
        };
        match self.bring_to_end(&job).await {
            Ok(()) => acknowledge(&message, AckKind::Ack).await,
            Err(error) => {
                tracing::warn!("job {} is handed back: {error:#}", job.id);
                acknowledge(&message, AckKind::Nak(Some(put_off(&message)))).await;
            }
        }
    }

    async fn bring_to_end(&self, job: &Job) -> Result<()> {
        ensure!(self.jobs.lock(&job.id, self.lock_ms).await?, "another scheduler has it");
        let ended = self.run(job).await;
        if let Err(error) = self.jobs.unlock(&job.id).await {
            tracing::warn!("the lock of job {} stays until it runs out: {error:#}", job.id);
        }
        ended
    }

    async fn run(&self, job: &Job) -> Result<()> {
        let began = Instant::now();
        let decision = self.safety.evaluate(&job.id, &job.topic).await?;
        let state = if !decision.allowed {
            State::Denied
        } else if State::is_terminal(&self.jobs.begin(&job.id).await?) {
            // It ended before, and its message was not acknowledged: only the end is left to be told. The state given
            // to `end` does not replace the one that is there.
            State::Succeeded
        } else {
            let labels = [("pool", self.pools.pool(&job.topic)), ("type", &*job.topic)];
            self.metrics.count("cordum_jobs_dispatched_total", &labels);
            tokio::time::sleep(self.work).await;
            State::Succeeded
        };
        let ended = self.end(&job.id, state).await?;
        if ended.by_us {
            self.metrics.observe("cordum_jobs_duration_seconds", &[("state", &ended.state)], began.elapsed());
        }
        Ok(())
    }

    /// Ends the job, makes sure that the end stays, and tells of it once.
    ///
    /// # Errors
    /// One of the three is not certain; doing it again is safe.
    pub async fn end(&self, id: &str, state: State) -> Result<Ended> {
        let ended = self.jobs.end(id, state).await?;
        ensure!(ended.confirmed, "no replica has its end yet");
        let body = serde_json::to_vec(&json!({"id": id, "state": ended.state})).context("not JSON")?;
        // The id makes the second telling of one end a duplicate, which JetStream drops.
        let message = PublishMessage::build().payload(body.into()).message_id(format!("{id}.ended"));
        let ack = self.js.send_publish(ENDED_SUBJECT, message).await.context("its end could not be published")?;
        stored(ack.await.context("JetStream did not acknowledge its end")?)?;
        self.jobs.unlist(id).await?;
        Ok(ended)
    }
}

fn put_off(message: &jetstream::Message) -> Duration {
    let delivered = message.info().map_or(1, |info| info.delivered);
    let doublings = u32::try_from(delivered - 1).unwrap_or(0).min(3);
    (AGAIN * 2_u32.pow(doublings)).min(AGAIN_AT_MOST)
}

async fn acknowledge(message: &jetstream::Message, kind: AckKind) {
    // One that is lost brings the message again, which is safe.
    if let Err(error) = message.ack_with(kind).await {
        tracing::warn!("an acknowledgement could not be sent: {error}");
    }
}
