//! Takes every message of a stream through a durable pull consumer and acknowledges each, explicitly and with the
//! server's confirmation.
//!
//! An acknowledgement is written down when its message is there and before it is sent, so that the history knows every
//! delivery. One that is not confirmed is not repeated: the server gives its message out again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::client::RequestErrorKind;
use async_nats::jetstream;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{self, AckPolicy, PullConsumer, pull};
use futures::StreamExt;
use futures::future::join_all;
use gauntlet_core::history::{Observation, Operation, Reply};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::recorder::{Completion, Recorder};

/// Messages taken at a time. They are acknowledged all at once.
const AT_ONCE: usize = 32;

/// How long the server waits for messages before it says that there are none.
const EXPIRES: Duration = Duration::from_millis(500);

/// How often the consumer is asked where it stands.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// When the server gives out again what was not acknowledged.
const ACK_WAIT: Duration = Duration::from_secs(10);

/// The one that takes.
#[derive(Clone)]
pub struct Taker {
    pub recorder: Arc<Recorder>,
    pub js: jetstream::Context,
    pub stream: String,
    pub durable: String,
    /// Number of its first sequential worker.
    pub first_process: u32,
    pub pause: Duration,
    pub op_timeout: Duration,
}

impl Taker {
    /// The consumer, made where it is missing; with as many replicas as its stream.
    ///
    /// # Errors
    /// It can neither be found nor made.
    pub async fn consumer(&self) -> Result<PullConsumer> {
        let config = pull::Config {
            durable_name: Some(self.durable.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            ..pull::Config::default()
        };
        let unreachable = || format!("consumer {} of {} could neither be found nor made", self.durable, self.stream);
        let stream = self.js.get_stream_no_info(&self.stream).await.with_context(unreachable)?;
        stream.get_or_create_consumer(&self.durable, config).await.with_context(unreachable)
    }

    /// Takes until told to stop, and asks beside it where the consumer stands: a question that nobody answers must not
    /// keep messages waiting.
    ///
    /// # Errors
    /// The history cannot be written.
    pub async fn run(self, running: CancellationToken) -> Result<()> {
        tokio::try_join!(self.take(&running), self.ask_floors(&running)).map(drop)
    }

    async fn take(&self, running: &CancellationToken) -> Result<()> {
        let mut consumer = None;
        while !running.is_cancelled() {
            self.round(&mut consumer).await?;
            tokio::time::sleep(self.pause).await;
        }
        Ok(())
    }

    async fn ask_floors(&self, running: &CancellationToken) -> Result<()> {
        let mut known = None;
        while !running.is_cancelled() {
            if known.is_none() {
                known = self.consumer().await.ok();
            }
            if let Some(consumer) = &known {
                self.ask_floor(consumer).await?;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// Takes until everything was given and acknowledged, or `timeout` is over, and records where the consumer stands.
    ///
    /// # Errors
    /// The history cannot be written. A consumer that does not tell where it stands is no error: nothing is recorded.
    pub async fn drain(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let mut consumer = None;
        loop {
            self.round(&mut consumer).await?;
            let info = match &consumer {
                Some(consumer) => PullConsumer::get_info(consumer).await.ok().filter(is_of_group),
                None => None,
            };
            let over = Instant::now() >= deadline;
            if let Some(info) = info
                && (over || info.num_pending == 0 && info.num_ack_pending == 0)
            {
                return self.recorder.observe(Observation::NatsConsumer {
                    stream: self.stream.clone(),
                    consumer: self.durable.clone(),
                    floor: info.ack_floor.stream_sequence,
                    undelivered: info.num_pending,
                    unacknowledged: info.num_ack_pending as u64,
                });
            }
            if over {
                return Ok(());
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// One batch and its acknowledgements.
    async fn round(&self, known: &mut Option<PullConsumer>) -> Result<()> {
        let (stream, durable) = (self.stream.clone(), self.durable.clone());
        let op = Operation::NatsFetch { stream: stream.clone(), consumer: durable.clone() };
        let id = self.recorder.invoke(self.first_process, &self.group(), op)?;
        if known.is_none() {
            // Nothing is asked for through a consumer that could not be looked up.
            *known = self.consumer().await.ok();
        }
        let Some(consumer) = known else {
            return self.recorder.complete(id, Completion::failed("the consumer does not answer"));
        };
        let (messages, trouble) = self.fetch(consumer).await;
        let completion = match (messages.len(), trouble) {
            (0, trouble) => Completion::unknown(trouble.unwrap_or_else(|| "no message came".into())),
            (count, _) => Completion::ok(Reply::NatsFetch { messages: count as u32 }),
        };
        self.recorder.complete(id, completion)?;
        let acks = messages.iter().zip(self.first_process + 1..).map(|(message, process)| self.ack(message, process));
        join_all(acks).await.into_iter().collect()
    }

    async fn fetch(&self, consumer: &PullConsumer) -> (Vec<Message>, Option<String>) {
        let mut messages = Vec::new();
        let mut batch = match consumer.batch().max_messages(AT_ONCE).expires(EXPIRES).messages().await {
            Ok(batch) => batch,
            Err(error) => return (messages, Some(error.to_string())),
        };
        loop {
            match tokio::time::timeout(EXPIRES + self.op_timeout, batch.next()).await {
                Ok(Some(Ok(message))) => messages.push(message),
                Ok(Some(Err(error))) => return (messages, Some(error.to_string())),
                Ok(None) => return (messages, None),
                Err(_) => return (messages, Some("no answer in time".into())),
            }
        }
    }

    /// Not by the client library's own confirmed acknowledgement: that takes "no responders" for a confirmation.
    async fn ack(&self, message: &Message, process: u32) -> Result<()> {
        let (Some(reply), Ok(info)) = (message.reply.clone(), message.info()) else { return Ok(()) };
        let op = Operation::NatsAck {
            stream: self.stream.clone(),
            consumer: self.durable.clone(),
            sequence: info.stream_sequence,
            delivery: u64::try_from(info.delivered).unwrap_or(0),
        };
        let id = self.recorder.invoke(process, &self.group(), op)?;
        let client = self.js.client();
        let confirmed = client.request(reply, "+ACK".into());
        let completion = match tokio::time::timeout(self.op_timeout, confirmed).await {
            Ok(Ok(_)) => Completion::ok(Reply::NatsAck),
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => Completion::failed(error.to_string()),
            Ok(Err(error)) => Completion::unknown(error.to_string()),
            Err(_) => Completion::unknown("not confirmed in time"),
        };
        self.recorder.complete(id, completion)
    }

    async fn ask_floor(&self, consumer: &PullConsumer) -> Result<()> {
        let op = Operation::NatsFloor { stream: self.stream.clone(), consumer: self.durable.clone() };
        // Those before it take and acknowledge.
        let process = self.first_process + 1 + AT_ONCE as u32;
        let id = self.recorder.invoke(process, &format!("{} floor", self.group()), op)?;
        let completion = match consumer.get_info().await {
            Ok(info) if !is_of_group(&info) => Completion::unknown("told by a server that does not know its peers yet"),
            Ok(info) => Completion::ok(Reply::NatsFloor { floor: info.ack_floor.stream_sequence }),
            Err(error) => Completion::unknown(error.to_string()),
        };
        self.recorder.complete(id, completion)
    }

    /// What fails together with it: publishes to the stream may work while its consumer does not.
    fn group(&self) -> String {
        format!("{} consumer", self.stream)
    }
}

/// Whether the answer is that of a leader among its peers. A server that was just started answers for a moment as if it
/// were alone, with what it knew when it died (seen with nats-server 2.9.10).
fn is_of_group(info: &consumer::Info) -> bool {
    let followers = info.cluster.as_ref().map(|cluster| cluster.replicas.len());
    followers.is_none_or(|followers| followers > 0)
}
