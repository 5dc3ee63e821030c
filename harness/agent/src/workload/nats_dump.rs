//! Reads back every message of a stream, from its leader.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures::{StreamExt, stream};
use gauntlet_core::history::{Dump, Observation};
use tokio::time::Instant;

use super::nats::NatsWorkload;
use super::recorder::Recorder;

/// Messages asked for at a time.
const AT_ONCE: usize = 16;

/// Reads the stream from its first sequence to its last, trying again until `timeout`.
///
/// # Errors
/// Not all of it could be read in time; the history then holds a failed dump.
pub async fn dump(workload: &NatsWorkload, name: &str, recorder: &Recorder, timeout: Duration) -> Result<()> {
    let dump = Dump::Nats { stream: name.into() };
    let deadline = Instant::now() + timeout;
    let mut last = String::from("no attempt was finished");
    loop {
        match tokio::time::timeout_at(deadline, read_all(workload, name, recorder)).await {
            Ok(Ok(count)) => return recorder.observe(Observation::DumpComplete { dump, count }),
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            let error = format!("stream {name} could not be read within {timeout:?}; last seen: {last}");
            recorder.observe(Observation::DumpFailed { dump, error: error.clone() })?;
            bail!(error);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn read_all(workload: &NatsWorkload, name: &str, recorder: &Recorder) -> Result<u64> {
    let js = workload.jetstream().await?;
    let stream = js.get_stream(name).await.with_context(|| format!("stream {name} does not answer"))?;
    let state = &stream.cached_info().state;
    // An empty stream has a last sequence below its first.
    let mut messages =
        stream::iter(state.first_sequence..=state.last_sequence).map(|at| read(&stream, at)).buffered(AT_ONCE);
    let clients = clients(recorder)?;
    let is_foreign = |msg_id: &str| msg_id.split_once(':').is_some_and(|(client, _)| !clients.contains(client));
    let mut count = 0;
    while let Some(message) = messages.next().await {
        if let Some((sequence, msg_id)) = message?
            && !is_foreign(&msg_id)
        {
            recorder.observe(Observation::NatsMessage { stream: name.into(), sequence, msg_id })?;
            count += 1;
        }
    }
    Ok(count)
}

/// Those whose messages the history can judge: what another client, or a life whose history is gone, published to the
/// same stream is neither lost nor a phantom.
fn clients(recorder: &Recorder) -> Result<BTreeSet<String>> {
    let history = recorder.history().context("the history cannot be read")?;
    let known = history.attempts.into_iter().map(|attempt| attempt.client);
    Ok(known.chain([recorder.client().to_owned()]).collect())
}

/// A message and its id, or nothing where there is none at this sequence.
async fn read(stream: &Stream, sequence: u64) -> Result<Option<(u64, String)>> {
    match stream.get_raw_message(sequence).await {
        Ok(message) => {
            let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID).map(ToString::to_string);
            Ok(Some((message.sequence, id.unwrap_or_else(|| format!("without id at {sequence}")))))
        }
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            _ => Err(error).with_context(|| format!("message {sequence} could not be read")),
        },
    }
}
