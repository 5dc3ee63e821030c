//! Making a stream from a saved one: the archive goes to the server in chunks, each answered before the next.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_nats::Client;
use serde_json::{Value, json};

use super::{DATA, META, Meta, refusal, typed};
use crate::output;

/// Bytes per chunk.
const CHUNK: usize = 128 * 1024;

/// What to restore, and how it shall differ from what was saved.
pub struct Request {
    pub folder: PathBuf,
    /// The name it must have been saved under; the server restores under no other.
    pub stream: Option<String>,
    pub replicas: Option<usize>,
    pub config: Option<PathBuf>,
}

impl Request {
    /// As it was saved.
    pub fn of(folder: PathBuf) -> Self {
        Self { folder, stream: None, replicas: None, config: None }
    }
}

/// Makes the stream. It must not be there.
///
/// # Errors
/// The folder holds no backup, the stream is there, or the server refuses or falls silent for `timeout`.
pub async fn make(client: &Client, request: &Request, timeout: Duration) -> Result<()> {
    let Meta { mut config, state } = read_meta(&request.folder)?;
    let name = config["name"].as_str().context("the saved configuration has no name")?.to_owned();
    if let Some(wanted) = &request.stream {
        ensure!(*wanted == name, "{} holds stream {name}, not {wanted}", request.folder.display());
    }
    if let Some(path) = &request.config {
        config = read_json(path)?;
        ensure!(config["name"] == name.as_str(), "{} does not configure stream {name}", path.display());
    }
    if let Some(replicas) = request.replicas {
        config["num_replicas"] = json!(replicas);
    }
    typed(&config)?;
    let begin = json!({"config": config, "state": state}).to_string();
    let answer = ask(client, &format!("$JS.API.STREAM.RESTORE.{name}"), begin.into(), timeout).await?;
    let answer: Value = serde_json::from_slice(&answer).context("the server's answer is not JSON")?;
    let deliver = answer["deliver_subject"].as_str().context("the server does not say where to send the archive")?;
    let bytes = send(client, deliver, &request.folder.join(DATA), timeout).await?;
    // The last, empty chunk has the stream made, which takes longer than taking a chunk.
    let made = ask(client, deliver, Vec::new(), timeout * 6).await?;
    let made: Value = serde_json::from_slice(&made).context("the server does not say what it made")?;
    let messages = &made["state"]["messages"];
    output::line(format_args!("restored stream {name}: {messages} messages from {bytes} bytes"))
}

async fn send(client: &Client, deliver: &str, path: &Path, timeout: Duration) -> Result<usize> {
    let unreadable = || format!("{} could not be read", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let mut bytes = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk).with_context(unreadable)?;
        if chunk.is_empty() {
            return Ok(bytes);
        }
        bytes += chunk.len();
        ask(client, deliver, chunk, timeout).await.with_context(|| format!("the archive got {bytes} bytes far"))?;
    }
}

async fn ask(client: &Client, subject: &str, payload: Vec<u8>, timeout: Duration) -> Result<Vec<u8>> {
    let request = async_nats::Request::new().payload(payload.into()).timeout(Some(timeout));
    let answer = client.send_request(subject.to_owned(), request).await.context("the server does not answer")?;
    match refusal(&answer.payload) {
        Some(reason) => bail!("the stream cannot be restored: {reason}"),
        None => Ok(answer.payload.to_vec()),
    }
}

fn read_meta(folder: &Path) -> Result<Meta> {
    let path = folder.join(META);
    serde_json::from_value(read_json(&path)?).with_context(|| format!("{} is not that of a backup", path.display()))
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).with_context(|| format!("{} could not be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}
