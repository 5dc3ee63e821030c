//! The workflow engine: follows the ends of jobs and counts them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::common::{Common, SYS};
use super::jobs::ENDED_SUBJECT;
use super::metrics::Metrics;

/// Runs the workflow engine until TERM.
///
/// # Errors
/// Redis or NATS out of reach, or a port that is taken.
pub async fn run(common: &Common) -> Result<()> {
    let _redis = common.redis().await?;
    let js = common.jetstream("cordum-workflow-engine").await?;
    tokio::spawn(follow(js, common.metrics.clone(), common.shutdown.clone()));
    let router = common.health.router().merge(common.metrics.router());
    common.serve(common.address("HTTP_ADDR", 9093)?, router).await
}

async fn follow(js: jetstream::Context, metrics: Arc<Metrics>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let followed = tokio::select! {
            followed = count_ends(&js, &metrics) => followed,
            () = shutdown.cancelled() => return,
        };
        if let Err(error) = followed {
            tracing::warn!("the ends of jobs cannot be followed, trying again: {error:#}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn count_ends(js: &jetstream::Context, metrics: &Metrics) -> Result<()> {
    let name = "cordum-workflow-engine";
    let config = pull::Config {
        durable_name: Some(name.into()),
        filter_subject: ENDED_SUBJECT.into(),
        ack_policy: AckPolicy::Explicit,
        deliver_policy: DeliverPolicy::All,
        ..pull::Config::default()
    };
    let stream = js.get_stream_no_info(SYS.0).await.context("the stream of events is not there")?;
    let consumer = stream.get_or_create_consumer(name, config).await.context("no consumer could be made")?;
    let mut messages = consumer.messages().await.context("no messages can be asked for")?;
    while let Some(message) = messages.next().await {
        let message = message.context("the stream of events broke off")?;
        metrics.count("cordum_workflow_job_ends_total", &[]);
        if let Err(error) = message.ack().await {
            tracing::warn!("an event could not be acknowledged and will come again: {error}");
        }
    }
    Ok(())
}
