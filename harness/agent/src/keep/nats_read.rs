//! Reads streams back from their leaders, as digests.

use anyhow::{Context, Result};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures::{StreamExt, TryStreamExt, stream};
use gauntlet_core::kept::nats::{self, Consumer, Message, NatsDump};

use super::bytes::Summary;
use super::nats::{CONSUMER, HEADER, connect, is_missing};
use crate::output;

/// Messages asked for at a time.
const AT_ONCE: usize = 16;

/// Prints every message of the streams, and our consumers. A stream that is not there is left out.
pub async fn dump(streams: &[String]) -> Result<()> {
    let (_, js) = connect().await?;
    let mut dump = NatsDump::default();
    for name in streams {
        match js.get_stream(name).await {
            Ok(stream) => {
                let read = read(&stream).await.with_context(|| format!("stream {name} cannot be read"))?;
                dump.streams.insert(name.clone(), read);
            }
            Err(error) if is_missing(&error.kind()) => {}
            Err(error) => return Err(error).with_context(|| format!("stream {name} does not answer")),
        }
    }
    output::line(serde_json::to_string(&dump)?)
}

async fn read(stream: &Stream) -> Result<nats::Stream> {
    let info = stream.cached_info();
    let sequences = info.state.first_sequence..=info.state.last_sequence;
    let messages = stream::iter(sequences).map(|at| message(stream, at)).buffered(AT_ONCE);
    let found: Vec<Option<(u64, Message)>> = messages.try_collect().await?;
    let mut read = nats::Stream {
        replicas: info.config.num_replicas as u64,
        subjects: info.config.subjects.clone(),
        messages: found.into_iter().flatten().collect(),
        ..nats::Stream::default()
    };
    let mut consumers = stream.consumers();
    while let Some(info) = consumers.try_next().await.context("its consumers cannot be listed")? {
        if !info.name.starts_with(CONSUMER) {
            continue;
        }
        let config = &info.config;
        let told = format!(
            "{:?} {:?} {:?} {:?} {}",
            config.durable_name, config.ack_policy, config.ack_wait, config.filter_subject, config.num_replicas
        );
        let consumer = Consumer {
            config: told,
            acknowledged: info.ack_floor.stream_sequence,
            delivered: info.delivered.stream_sequence,
            pending_acks: info.num_ack_pending as u64,
        };
        read.consumers.insert(info.name, consumer);
    }
    Ok(read)
}

/// Nothing where there is no message at this sequence.
async fn message(stream: &Stream, sequence: u64) -> Result<Option<(u64, Message)>> {
    let found = match stream.get_raw_message(sequence).await {
        Ok(found) => found,
        Err(error) => {
            return match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
                _ => Err(error).with_context(|| format!("message {sequence} cannot be read")),
            };
        }
    };
    let mut summary = Summary::default();
    let mut headers: Vec<(String, Vec<String>)> = found
        .headers
        .iter()
        .map(|(name, values)| (name.to_string(), values.iter().map(ToString::to_string).collect()))
        .collect();
    headers.sort();
    for (name, values) in &headers {
        summary.add(name.as_bytes());
        values.iter().for_each(|value| summary.add(value.as_bytes()));
    }
    summary.add(&found.payload);
    let ours = found.headers.get(HEADER).is_some();
    Ok(Some((sequence, Message { subject: found.subject.to_string(), digest: summary.finish(), ours })))
}
