//! Writes the history: to a file, which counts, and to standard output, which does not.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use gauntlet_core::history::{Entry, History, Observation, Operation, Outcome, Reply, Stamp};
use serde_json::{Value, json};

/// How many lines may wait for a slow reader of standard output before further ones are dropped for it.
const STREAM_LAG: usize = 4096;

/// What an operation came to.
#[derive(Debug)]
pub struct Completion {
    pub outcome: Outcome,
    pub reply: Option<Reply>,
    pub error: Option<String>,
}

impl Completion {
    pub fn ok(reply: Reply) -> Self {
        Self { outcome: Outcome::Ok, reply: Some(reply), error: None }
    }

    pub fn failed(error: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reply: None, error: Some(error.into()) }
    }

    pub fn unknown(error: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, reply: None, error: Some(error.into()) }
    }
}

/// One client's recorder.
pub struct Recorder {
    client: String,
    folder: PathBuf,
    began: Instant,
    began_us: u64,
    next_id: AtomicU64,
    /// Gone once a write failed: what came after a line that was cut off would make the whole history unreadable.
    file: Mutex<Option<File>>,
    stream: Option<SyncSender<String>>,
    dropped: Arc<AtomicU64>,
    tallies: Mutex<Tallies>,
}

#[derive(Default)]
struct Tallies {
    under_way: BTreeMap<u64, Option<String>>,
    overall: Tally,
    groups: BTreeMap<String, Tally>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    ok: u64,
    failed: u64,
    unknown: u64,
    last_ok: Option<Instant>,
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ok => {
                self.ok += 1;
                self.last_ok = Some(Instant::now());
            }
            Outcome::Failed => self.failed += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }

    fn json(&self) -> Value {
        let last_ok = self.last_ok.map(|at| at.elapsed().as_millis() as u64);
        json!({"ok": self.ok, "failed": self.failed, "unknown": self.unknown, "last_ok_ms_ago": last_ok})
    }
}

impl Recorder {
    /// Begins a new file in `folder`, next to those of earlier lives of this client.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn create(folder: &Path, client: &str, stream: bool) -> Result<Self> {
        let began_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        let client = format!("{client}-{:x}", began_us / 1000);
        std::fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
        let path = folder.join(format!("{client}.jsonl"));
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("the history {} could not be begun", path.display()))?;
        let dropped = Arc::new(AtomicU64::new(0));
        Ok(Self {
            client,
            folder: folder.into(),
            began: Instant::now(),
            began_us,
            next_id: AtomicU64::new(0),
            file: Mutex::new(Some(file)),
            stream: stream.then(|| copy_to_stdout(dropped.clone())),
            dropped,
            tallies: Mutex::default(),
        })
    }

    /// Unique among all clients and their lives.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// Must be called before the operation leaves the process.
    ///
    /// # Errors
    /// The history cannot be written; then the operation must not happen.
    pub fn invoke(&self, process: u32, group: &str, op: Operation) -> Result<u64> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let group = Some(group.to_owned());
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).under_way.insert(id, group.clone());
        self.write(&Entry::Invoke { client: self.client.clone(), process, id, at: self.now(), group, op })?;
        Ok(id)
    }

    /// # Errors
    /// The history cannot be written; the outcome then stays unknown.
    pub fn complete(&self, id: u64, completion: Completion) -> Result<()> {
        let Completion { outcome, reply, error } = completion;
        let at = self.now();
        {
            let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
            tallies.overall.add(outcome);
            if let Some(Some(group)) = tallies.under_way.remove(&id) {
                tallies.groups.entry(group).or_default().add(outcome);
            }
        }
        self.write(&Entry::Complete { client: self.client.clone(), id, at, outcome, reply, error })
    }

    /// # Errors
    /// The history cannot be written.
    pub fn observe(&self, seen: Observation) -> Result<()> {
        self.write(&Entry::Observe { client: self.client.clone(), at: self.now(), seen })
    }

    /// All that this client ever recorded, in this life and in earlier ones, as text.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn text(&self) -> Result<String> {
        let mut paths = Vec::new();
        let unreadable = || format!("{} could not be read", self.folder.display());
        for entry in std::fs::read_dir(&self.folder).with_context(unreadable)? {
            let path = entry.with_context(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut text = String::new();
        for path in paths {
            let part =
                std::fs::read_to_string(&path).with_context(|| format!("{} could not be read", path.display()))?;
            // A line that a killed process left unfinished tells nothing.
            let whole = part.rfind('\n').map_or(0, |end| end + 1);
            text.push_str(&part[..whole]);
        }
        Ok(text)
    }

    /// As [`Recorder::text`], put together.
    ///
    /// # Errors
    /// A file that cannot be read, or is no history.
    pub fn history(&self) -> Result<History> {
        Ok(History::parse(&self.text()?)?)
    }

    /// Counters, for people and for whoever waits for the workload to get going.
    pub fn status(&self) -> Value {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let groups: BTreeMap<_, _> = tallies.groups.iter().map(|(name, tally)| (name, tally.json())).collect();
        let mut status = tallies.overall.json();
        status["client"] = json!(self.client);
        status["under_way"] = json!(tallies.under_way.len());
        status["groups"] = json!(groups);
        status["stream_dropped"] = json!(self.dropped.load(Ordering::Relaxed));
        status
    }

    fn now(&self) -> Stamp {
        let mono_us = self.began.elapsed().as_micros() as u64;
        // From one reading of the wall clock, so that a step of it does not reorder this client's records.
        Stamp { mono_us, wall_us: self.began_us + mono_us }
    }

    fn write(&self, entry: &Entry) -> Result<()> {
        let mut line = serde_json::to_string(entry).context("a record cannot be written as JSON")?;
        line.push('\n');
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = guard.as_mut().context("the history could not be written before and is closed")?;
        if let Err(error) = file.write_all(line.as_bytes()) {
            *guard = None;
            return Err(error).context("the history cannot be written");
        }
        if let Some(stream) = &self.stream
            && stream.try_send(line).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A thread of its own, because a reader that does not read blocks the writer.
fn copy_to_stdout(dropped: Arc<AtomicU64>) -> SyncSender<String> {
    let (sender, lines) = sync_channel::<String>(STREAM_LAG);
    std::thread::spawn(move || {
        for line in lines {
            if std::io::stdout().write_all(line.as_bytes()).is_err() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Operation {
        Operation::HttpProbe { target: "t".into() }
    }

    #[test]
    fn invocation_is_in_the_file_before_the_operation_begins() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(folder.path(), "c", false).unwrap();
        let id = recorder.invoke(0, "g", probe()).unwrap();
        assert_eq!(recorder.history().unwrap().attempts[0].outcome, Outcome::Unknown);
        recorder.complete(id, Completion::ok(Reply::HttpProbe { status: 200 })).unwrap();
        assert_eq!(recorder.history().unwrap().attempts[0].outcome, Outcome::Ok);
        assert_eq!(recorder.status()["groups"]["g"]["ok"], 1);
        assert_eq!(recorder.status()["under_way"], 0);
    }

    #[test]
    fn write_that_failed_closes_the_history_and_leaves_it_readable() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(folder.path(), "c", false).unwrap();
        recorder.invoke(0, "g", probe()).unwrap();
        // A device that is always full.
        let real = recorder.file.lock().unwrap().replace(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let error = format!("{:#}", recorder.invoke(0, "g", probe()).unwrap_err());
        assert!(error.contains("No space left"), "{error}");
        assert!(recorder.invoke(0, "g", probe()).unwrap_err().to_string().contains("is closed"));
        real.unwrap().write_all(b"{\"kind\":\"inv").unwrap();
        assert_eq!(recorder.history().unwrap().attempts.len(), 1);
    }

    #[test]
    fn history_spans_the_lives_of_a_client() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c-0.jsonl"), "{\"kind\":\"invoke\",\"client\":\"c-0\",\"process\":0,\"id\":1,\"at\":{\"mono_us\":1,\"wall_us\":1},\"op\":{\"type\":\"http_probe\",\"target\":\"t\"}}\n{\"kind\":\"comp").unwrap();
        let recorder = Recorder::create(folder.path(), "c", false).unwrap();
        recorder.invoke(0, "g", probe()).unwrap();
        let history = recorder.history().unwrap();
        assert_eq!(history.attempts.len(), 2);
        assert!(history.attempts.iter().all(|attempt| attempt.outcome == Outcome::Unknown));
    }
}
