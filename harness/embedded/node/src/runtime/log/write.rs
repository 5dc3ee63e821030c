//! From a container's pipes to its log file, and word of it to those who follow.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use super::line::{encode, split};
use super::{FILE_LIMIT, put_aside};

/// The logs that are being written, so that readers can wait for more.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    open: Arc<Mutex<HashMap<PathBuf, watch::Sender<()>>>>,
}

impl Logs {
    /// Opens a log for writing. It counts as open until every clone of the sink is gone.
    pub fn create(&self, path: &Path) -> io::Result<Sink> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        self.open.lock().insert(path.to_owned(), watch::Sender::new(()));
        let state = SinkState { logs: self.clone(), path: path.to_owned(), file: Mutex::new((file, size)) };
        Ok(Sink { state: Arc::new(state) })
    }

    /// Changes at every write and closes with the log; `None` when nobody writes to it.
    pub fn follow(&self, path: &Path) -> Option<watch::Receiver<()>> {
        Some(self.open.lock().get(path)?.subscribe())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Where one container's output goes.
#[derive(Clone, Debug)]
pub struct Sink {
    state: Arc<SinkState>,
}

#[derive(Debug)]
struct SinkState {
    logs: Logs,
    path: PathBuf,
    /// With its size.
    file: Mutex<(File, u64)>,
}

impl Drop for SinkState {
    fn drop(&mut self) {
        self.logs.open.lock().remove(&self.path);
    }
}

impl Sink {
    /// Copies both streams to the log until they end.
    pub async fn copy(self, stdout: impl AsyncRead + Unpin, stderr: impl AsyncRead + Unpin) {
        tokio::join!(self.copy_one(stdout, "stdout"), self.copy_one(stderr, "stderr"));
    }

    async fn copy_one(&self, mut from: impl AsyncRead + Unpin, stream: &str) {
        let mut buffer = Vec::with_capacity(8 << 10);
        loop {
            // An error of a pipe means the same as its end.
            let ended = !matches!(from.read_buf(&mut buffer).await, Ok(1..));
            if let Err(error) = self.write(&mut buffer, stream, ended) {
                tracing::warn!("writing {}: {error}", self.state.path.display());
                buffer.clear();
            }
            if ended {
                return;
            }
        }
    }

    /// Writes the complete lines of `buffer` at once and leaves the rest; at the end, the rest too.
    fn write(&self, buffer: &mut Vec<u8>, stream: &str, ended: bool) -> io::Result<()> {
        let (mut parts, mut used) = split(buffer);
        if ended && used < buffer.len() {
            // A last line without its newline is a part, so that reading it adds none.
            parts.push((used..buffer.len(), false));
            used = buffer.len();
        }
        if parts.is_empty() {
            return Ok(());
        }
        let mut out = Vec::with_capacity(used + 64 * parts.len());
        let now = Utc::now();
        for (range, whole) in parts {
            encode(&mut out, now, stream, whole, &buffer[range]);
        }
        buffer.drain(..used);
        self.append(&out)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let path = &self.state.path;
        let mut guard = self.state.file.lock();
        let (file, size) = &mut *guard;
        file.write_all(bytes)?;
        *size += bytes.len() as u64;
        if *size > FILE_LIMIT {
            fs::rename(path, put_aside(path))?;
            (*file, *size) = (append(path)?, 0);
        }
        if let Some(followers) = self.state.logs.open.lock().get(path) {
            followers.send_replace(());
        }
        Ok(())
    }
}
