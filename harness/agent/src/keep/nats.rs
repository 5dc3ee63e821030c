//! Messages with headers, and consumers that have acknowledged some of them, in streams that are there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, ErrorCode};
use futures::StreamExt;
use serde_json::json;

use super::bytes;
use crate::nats_link::{NatsSettings, stored};
use crate::output;
use crate::standin::env;

/// Messages of a round in each stream.
const EACH: usize = 30;

/// Of those delivered to a consumer, how many it leaves unacknowledged: some in the middle, so that its floor and what it
/// has acknowledged differ.
const DELIVERED: usize = 10;

/// Marks messages that are ours; its value is the round.
pub const HEADER: &str = "Gauntlet-Kept";

/// Our consumers begin with it.
pub const CONSUMER: &str = "gauntlet-kept";

const ANSWERS: Duration = Duration::from_secs(10);

/// Between two requests that nobody takes; who leads a consumer cannot be watched.
const ASK_AGAIN: Duration = Duration::from_millis(100);

pub async fn connect() -> Result<(NatsSettings, jetstream::Context)> {
    let settings = NatsSettings::from_env(env)?;
    let client = settings.connect("keeper").await?;
    Ok((settings, jetstream::ContextBuilder::new().timeout(ANSWERS).ack_timeout(ANSWERS).build(client)))
}

/// Publishes the messages of a round to each stream, and lets its consumers take some.
pub async fn fill(streams: &[String], round: u32) -> Result<()> {
    let (_, js) = connect().await?;
    let mut written = Vec::new();
    for name in streams {
        let stream = js.get_stream(name).await.with_context(|| format!("stream {name} does not answer"))?;
        let subject = stream.cached_info().config.subjects.first().context("the stream has no subject")?;
        let subject = concrete(subject);
        for number in 0..EACH {
            publish(&js, name, &subject, round, number).await?;
        }
        consume(&stream).await.with_context(|| format!("consumers of {name}"))?;
        written.push(json!({"stream": name, "subject": subject, "messages": EACH}));
    }
    output::json(&written)
}

/// A subject that a stream's pattern takes.
fn concrete(pattern: &str) -> String {
    let words = pattern.split('.').map(|word| if matches!(word, "*" | ">") { "gauntlet-kept" } else { word });
    words.collect::<Vec<&str>>().join(".")
}

async fn publish(js: &jetstream::Context, stream: &str, subject: &str, round: u32, number: usize) -> Result<()> {
    let name = format!("{stream}/{round}/{number}");
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, round.to_string());
    headers.insert(async_nats::header::NATS_MESSAGE_ID, format!("kept:{name}"));
    headers.append("Gauntlet-Twice", "one");
    headers.append("Gauntlet-Twice", name.as_str());
    let payload = bytes::of(&name, if number == 0 { 0 } else { 512 });
    let sent = js.publish_with_headers(subject.to_owned(), headers, payload.into()).await;
    let acknowledged = sent.with_context(|| format!("{subject} takes no message"))?.await;
    let acknowledged = acknowledged.with_context(|| format!("{subject} acknowledges no message"))?;
    let acknowledged = stored(acknowledged)?;
    ensure!(acknowledged.stream == stream, "{subject} went to stream {}, not {stream}", acknowledged.stream);
    Ok(())
}

/// One consumer takes messages and acknowledges most of them; another has taken none. Both are on as many peers as their
/// stream, which is the default.
async fn consume(stream: &Stream) -> Result<()> {
    let config = |name: &str| pull::Config {
        durable_name: Some(format!("{CONSUMER}-{name}")),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(3600),
        ..pull::Config::default()
    };
    stream.get_or_create_consumer(&format!("{CONSUMER}-fresh"), config("fresh")).await.context("it cannot be made")?;
    let consumer = stream.get_or_create_consumer(&format!("{CONSUMER}-some"), config("some")).await?;
    let until = Instant::now() + ANSWERS;
    let taken = loop {
        match take(&consumer).await {
            Err(error) if has_no_leader(&error) && Instant::now() < until => tokio::time::sleep(ASK_AGAIN).await,
            taken => break taken?,
        }
    };
    ensure!(taken == DELIVERED, "{taken} of {DELIVERED} messages came");
    Ok(())
}

async fn take(consumer: &Consumer<pull::Config>) -> Result<usize> {
    let mut messages = consumer.fetch().max_messages(DELIVERED).expires(ANSWERS).messages().await?;
    let mut taken = 0;
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| anyhow::anyhow!("no message comes: {error}"))?;
        if taken % 4 != 2 {
            message.double_ack().await.map_err(|error| anyhow::anyhow!("it cannot be acknowledged: {error}"))?;
        }
        taken += 1;
    }
    Ok(taken)
}

/// A consumer that was made a moment ago takes no requests until its servers have elected who leads it: nobody responds,
/// which the client tells by the status alone.
fn has_no_leader(error: &anyhow::Error) -> bool {
    error.to_string().contains("503")
}

/// Deletes streams; one that is not there is deleted.
pub async fn wipe(streams: &[String]) -> Result<()> {
    let (_, js) = connect().await?;
    for name in streams {
        match js.delete_stream(name).await {
            Ok(_) => {}
            Err(error) if is_missing(&error.kind()) => {}
            Err(error) => return Err(error).with_context(|| format!("stream {name} cannot be deleted")),
        }
    }
    output::line(format_args!("deleted {}", streams.join(", ")))
}

pub fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Whether a stream can be made, takes a message on all its replicas, and can be deleted.
pub async fn probe() -> Result<()> {
    let (settings, js) = connect().await?;
    let name = "GAUNTLET_PROBE";
    let made = js.get_or_create_stream(settings.stream(name, "gauntlet.probe")).await;
    made.context("no stream can be made")?;
    let sent = js.publish("gauntlet.probe", "probe".into()).await.context("no message is taken")?;
    stored(sent.await.context("no message is acknowledged")?)?;
    js.delete_stream(name).await.context("the stream cannot be deleted")?;
    output::line(format_args!("a stream with {} replicas takes messages", settings.replicas))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concrete_subject_has_no_wildcards() {
        assert_eq!(concrete("job.>"), "job.gauntlet-kept");
        assert_eq!(concrete("a.*.c"), "a.gauntlet-kept.c");
        assert_eq!(concrete("plain"), "plain");
    }
}
