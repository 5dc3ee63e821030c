//! Saving a stream: the server sends it as a compressed archive, in chunks that are acknowledged one by one.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_nats::{Client, Subscriber};
use futures::StreamExt;
use serde_json::json;

use super::{DATA, META, Meta, refusal};
use crate::output;

/// Bytes per chunk; the server allows 1 KiB to 1 MiB.
const CHUNK: usize = 128 * 1024;

/// How an S2 stream begins.
const MAGIC: &[u8] = b"\xff\x06\x00\x00S2sTwO";

/// Saves a stream, with its consumers unless `no_consumers`, into `folder`, which is made.
///
/// # Errors
/// The server refuses, falls silent for `timeout`, or the files cannot be written.
pub async fn save(client: &Client, stream: &str, folder: &Path, no_consumers: bool, timeout: Duration) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
    let inbox = client.new_inbox();
    let chunks = client.subscribe(inbox.clone()).await.context("no chunks can be asked for")?;
    let request = json!({"deliver_subject": inbox, "no_consumers": no_consumers, "chunk_size": CHUNK});
    let subject = format!("$JS.API.STREAM.SNAPSHOT.{stream}");
    let asked = tokio::time::timeout(timeout, client.request(subject, request.to_string().into())).await;
    let answer = asked
        .with_context(|| format!("JetStream gave no answer about stream {stream} within {timeout:?}"))?
        .with_context(|| format!("stream {stream} could not be asked for"))?;
    if let Some(reason) = refusal(&answer.payload) {
        bail!("stream {stream} cannot be saved: {reason}");
    }
    let meta: Meta = serde_json::from_slice(&answer.payload).context("the server tells nothing of the stream")?;
    let bytes = receive(client, chunks, &folder.join(DATA), timeout).await?;
    let path = folder.join(META);
    let text = serde_json::to_vec_pretty(&meta).context("not JSON")?;
    // Last, so that a folder with it is whole.
    std::fs::write(&path, text).with_context(|| format!("{} could not be written", path.display()))?;
    let messages = &meta.state["messages"];
    output::line(format_args!("saved stream {stream}: {messages} messages, {bytes} bytes compressed"))
}

async fn receive(client: &Client, mut chunks: Subscriber, path: &Path, timeout: Duration) -> Result<usize> {
    let unwritable = || format!("{} could not be written", path.display());
    let mut file = File::create(path).with_context(unwritable)?;
    let mut bytes = 0;
    loop {
        let next = tokio::time::timeout(timeout, chunks.next()).await;
        let chunk = next
            .with_context(|| format!("the server fell silent for {timeout:?} after {bytes} bytes"))?
            .context("the connection ended within the snapshot")?;
        if let Some(status) = chunk.status.filter(|status| status.as_u16() >= 400) {
            bail!("the server broke off after {bytes} bytes: {status} {}", chunk.description.unwrap_or_default());
        }
        if chunk.payload.is_empty() {
            break;
        }
        if bytes == 0 {
            ensure!(chunk.payload.starts_with(MAGIC), "what the server sends is no S2 archive");
        }
        file.write_all(&chunk.payload).with_context(unwritable)?;
        bytes += chunk.payload.len();
        if let Some(reply) = chunk.reply {
            client.publish(reply, "".into()).await.context("a chunk could not be acknowledged")?;
        }
    }
    ensure!(bytes > 0, "the server sent an empty snapshot");
    file.sync_all().with_context(unwritable)?;
    Ok(bytes)
}
