//! Publishes to a replicated stream, each with an id of its own.
//!
//! A publish whose outcome is unknown is tried again under the same `Nats-Msg-Id`, as a careful client does: within
//! the stream's duplicate window that must not store it twice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use gauntlet_core::history::{Operation, Reply};
use tokio_util::sync::CancellationToken;

use super::config::{Config, NatsConfig};
use super::nats_consumer::Taker;
use super::nats_dump;
use super::nats_peers;
use super::recorder::{Completion, Recorder};
use super::runner::Workers;
use crate::lifecycle;
use crate::nats_link::{NatsSettings, stored};
use crate::standin::env;

pub struct NatsWorkload {
    settings: NatsSettings,
    config: NatsConfig,
    pause: Duration,
    op_timeout: Duration,
    verify_timeout: Duration,
    jetstream: Mutex<Option<jetstream::Context>>,
}

impl NatsWorkload {
    /// Takes the servers from the environment.
    ///
    /// # Errors
    /// Bad settings.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            settings: NatsSettings::from_env(env)?,
            config: config.nats.clone(),
            pause: config.pause(),
            op_timeout: config.op_timeout(),
            verify_timeout: config.verify_timeout(),
            jetstream: Mutex::new(None),
        })
    }

    /// Waits until the stream is there, then starts the workers.
    ///
    /// # Errors
    /// Not in time.
    pub async fn start(
        self: Arc<Self>,
        recorder: Arc<Recorder>,
        running: CancellationToken,
        timeout: Duration,
    ) -> Result<Workers> {
        let js = lifecycle::reach("nats", timeout, &running, || async {
            let js = self.jetstream().await?;
            let stream = self.settings.stream(&self.config.stream, &self.config.subject);
            js.get_or_create_stream(stream)
                .await
                .with_context(|| format!("stream {} could neither be found nor made", self.config.stream))?;
            Ok::<_, anyhow::Error>(js)
        })
        .await?;
        let mut workers = Workers::new();
        if let Some(taker) = self.taker(js.clone(), recorder.clone()) {
            lifecycle::reach("the consumer", timeout, &running, || taker.consumer()).await?;
            workers.spawn(taker.run(running.clone()));
        }
        for process in 0..self.config.workers {
            let publisher = Publisher { workload: self.clone(), recorder: recorder.clone(), js: js.clone(), process };
            workers.spawn(publisher.run(running.clone()));
        }
        Ok(workers)
    }

    fn taker(&self, js: jetstream::Context, recorder: Arc<Recorder>) -> Option<Taker> {
        let durable = self.config.consumer.clone()?;
        Some(Taker {
            recorder,
            js,
            stream: self.config.stream.clone(),
            durable,
            first_process: self.config.workers,
            pause: self.pause,
            op_timeout: self.op_timeout,
        })
    }

    /// Takes what the consumer has not taken yet, then reads the whole stream.
    ///
    /// # Errors
    /// It could not be read to its end in time.
    pub async fn verify(&self, recorder: &Arc<Recorder>) -> Result<()> {
        if let Some(taker) = self.taker(self.jetstream().await?, recorder.clone()) {
            taker.drain(self.verify_timeout).await?;
        }
        nats_dump::dump(self, &self.config.stream, recorder, self.verify_timeout).await
    }

    /// The members by their own names, and the replicas of every stream and consumer as their leaders see them.
    ///
    /// # Errors
    /// The streams cannot be listed.
    pub async fn peers(&self) -> Result<serde_json::Value> {
        nats_peers::ask(&self.settings, &self.jetstream().await?).await
    }

    /// The one connection, made when first needed; it heals itself.
    pub async fn jetstream(&self) -> Result<jetstream::Context> {
        let made = self.jetstream.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(js) = made {
            return Ok(js);
        }
        let client = self.settings.connect("gauntlet").await?;
        let js = jetstream::ContextBuilder::new().timeout(self.op_timeout).ack_timeout(self.op_timeout).build(client);
        *self.jetstream.lock().unwrap_or_else(PoisonError::into_inner) = Some(js.clone());
        Ok(js)
    }
}

/// One sequential worker.
struct Publisher {
    workload: Arc<NatsWorkload>,
    recorder: Arc<Recorder>,
    js: jetstream::Context,
    process: u32,
}

impl Publisher {
    async fn run(self, running: CancellationToken) -> Result<()> {
        let mut number = 0_u64;
        let mut settled = true;
        while !running.is_cancelled() {
            if settled {
                number += 1;
            }
            let msg_id = format!("{}:{}:{number}", self.recorder.client(), self.process);
            let config = &self.workload.config;
            let op = Operation::NatsPublish {
                stream: config.stream.clone(),
                subject: config.subject.clone(),
                msg_id: msg_id.clone(),
            };
            let id = self.recorder.invoke(self.process, &config.stream, op)?;
            let completion = self.publish(&msg_id).await;
            settled = completion.outcome != gauntlet_core::history::Outcome::Unknown;
            self.recorder.complete(id, completion)?;
            tokio::time::sleep(self.workload.pause).await;
        }
        Ok(())
    }

    async fn publish(&self, msg_id: &str) -> Completion {
        let message = PublishMessage::build().payload(msg_id.to_owned().into()).message_id(msg_id);
        let acknowledged = async {
            let sent = self.js.send_publish(self.workload.config.subject.clone(), message).await?;
            sent.await
        };
        // The ack's own timeout does not cover a connection that takes no more messages.
        match tokio::time::timeout(self.workload.op_timeout * 2, acknowledged).await {
            Ok(Ok(ack)) => match stored(ack) {
                Ok(ack) => Completion::ok(Reply::NatsPublish { sequence: ack.sequence, duplicate: ack.duplicate }),
                Err(error) => Completion::unknown(error.to_string()),
            },
            // "No responders": no stream took the subject, so nobody has the message.
            Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound => Completion::failed(error.to_string()),
            Ok(Err(error)) => Completion::unknown(error.to_string()),
            Err(_) => Completion::unknown("the connection took no message in time"),
        }
    }
}
