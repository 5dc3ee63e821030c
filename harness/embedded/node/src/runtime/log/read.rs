//! From a log file to a reader: the last lines, since a time, up to a number of bytes, and on as it grows.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use embedded_apimachinery::kubelet::{LogOptions, LogStream};
use embedded_apimachinery::timestamp;
use futures::stream;
use tokio::sync::watch;

use super::line::decode;
use super::put_aside;

/// Bytes handed on at once.
const CHUNK: usize = 64 << 10;

/// What was printed, cut down as `options` say. `followed` is the log's [`super::Logs::follow`], if it is to be
/// followed and still written to. A log that does not exist reads as empty.
pub fn read(path: &Path, options: &LogOptions, followed: Option<watch::Receiver<()>>) -> io::Result<LogStream> {
    let position = Position::open(path, options)?;
    let filter = Filter {
        timestamps: options.timestamps,
        since: options.since_time.as_deref().and_then(timestamp::parse),
        bytes_left: options.limit_bytes.unwrap_or(u64::MAX),
    };
    let state = (position, filter, followed);
    Ok(Box::pin(stream::unfold(state, |(mut position, mut filter, mut followed)| async move {
        loop {
            let chunk = match position.next_chunk(&mut filter) {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), (position, Filter::spent(), None))),
            };
            if !chunk.is_empty() {
                return Some((Ok(Bytes::from(chunk)), (position, filter, followed)));
            }
            if filter.bytes_left == 0 {
                return None;
            }
            // The log's end is only the end when it was written before this reading.
            match followed.as_mut()?.changed().await {
                Ok(()) => {}
                Err(_) => followed = None,
            }
        }
    })))
}

/// Which lines are wanted, and how.
struct Filter {
    timestamps: bool,
    since: Option<DateTime<Utc>>,
    bytes_left: u64,
}

impl Filter {
    fn spent() -> Self {
        Self { timestamps: false, since: None, bytes_left: 0 }
    }

    /// Appends what is wanted of a line of the file.
    fn apply(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(line) = decode(line) else { return };
        let too_early = |since: DateTime<Utc>| timestamp::parse(line.time).is_none_or(|time| time < since);
        if self.since.is_some_and(too_early) {
            return;
        }
        let stamp = if self.timestamps { format!("{} ", line.time) } else { String::new() };
        for part in [stamp.as_bytes(), line.text] {
            let count = part.len().min(usize::try_from(self.bytes_left).unwrap_or(usize::MAX));
            out.extend_from_slice(&part[..count]);
            self.bytes_left -= count as u64;
        }
    }
}

/// A place in a log: a file, and whether a newer one follows it.
struct Position {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// The beginning of a line that is still being written.
    pending: Vec<u8>,
}

impl Position {
    fn open(path: &Path, options: &LogOptions) -> io::Result<Self> {
        let old = put_aside(path);
        let (first, from) = match options.tail_lines {
            Some(lines) => {
                let (found, from) = start_of_tail(path, lines)?;
                if found < lines && old.exists() {
                    (old.clone(), start_of_tail(&old, lines - found)?.1)
                } else {
                    (path.to_owned(), from)
                }
            }
            None if old.exists() => (old, 0),
            None => (path.to_owned(), 0),
        };
        let file = match File::open(&first) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(from))?;
                Some(BufReader::new(file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), file, pending: Vec::new() })
    }

    /// What the filter leaves of the next lines; empty at the log's present end.
    fn next_chunk(&mut self, filter: &mut Filter) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while out.len() < CHUNK && filter.bytes_left > 0 {
            let Some(file) = &mut self.file else { return Ok(out) };
            file.read_until(b'\n', &mut self.pending)?;
            if self.pending.ends_with(b"\n") {
                filter.apply(&self.pending, &mut out);
                self.pending.clear();
            } else if !self.move_on()? {
                break;
            }
        }
        Ok(out)
    }

    /// Goes on with the newer file when this one was put aside.
    fn move_on(&mut self) -> io::Result<bool> {
        let (Some(file), Ok(current)) = (&self.file, fs::metadata(&self.path)) else { return Ok(false) };
        if file.get_ref().metadata()?.ino() == current.ino() {
            return Ok(false);
        }
        self.file = Some(BufReader::new(File::open(&self.path)?));
        Ok(true)
    }
}

/// Where the last `lines` lines of a file begin, and how many there are.
fn start_of_tail(path: &Path, lines: u64) -> io::Result<(u64, u64)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        Err(error) => return Err(error),
    };
    let mut end = file.metadata()?.len();
    let (mut found, mut block) = (0, vec![0; CHUNK]);
    let size = end;
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let length = usize::try_from(end - start).unwrap_or(CHUNK);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block[..length])?;
        for at in (0..length).rev().filter(|at| block[*at] == b'\n') {
            // A newline starts a line after it, if there is something after it.
            let begin = start + at as u64 + 1;
            if begin < size {
                found += 1;
            }
            if found == lines {
                return Ok((found, if lines == 0 { size } else { begin }));
            }
        }
        end = start;
    }
    Ok((found + u64::from(size > 0), 0))
}

#[cfg(test)]
mod tests {
    use super::super::line::encode;
    use super::super::{FILE_LIMIT, Logs};
    use super::*;
    use futures::StreamExt;
    use tokio::io::AsyncWriteExt;

    fn log_of(lines: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let mut text = Vec::new();
        for (second, line) in lines.iter().enumerate() {
            let at = DateTime::UNIX_EPOCH + chrono::Duration::seconds(second as i64);
            encode(&mut text, at, "stdout", true, line.as_bytes());
        }
        fs::write(directory.path().join("log"), text).unwrap();
        directory
    }

    async fn text(directory: &tempfile::TempDir, options: LogOptions) -> String {
        let mut stream = read(&directory.path().join("log"), &options, None).unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        text
    }

    #[tokio::test]
    async fn options_cut_the_log_down() {
        let log = log_of(&["one", "two", "three"]);
        let default = LogOptions::default;
        for (options, expected) in [
            (default(), "one\ntwo\nthree\n"),
            (LogOptions { tail_lines: Some(2), ..default() }, "two\nthree\n"),
            (LogOptions { tail_lines: Some(0), ..default() }, ""),
            (LogOptions { tail_lines: Some(9), ..default() }, "one\ntwo\nthree\n"),
            (LogOptions { limit_bytes: Some(6), ..default() }, "one\ntw"),
            (LogOptions { since_time: Some("1970-01-01T00:00:02Z".into()), ..default() }, "three\n"),
            (
                LogOptions { timestamps: true, tail_lines: Some(1), ..default() },
                "1970-01-01T00:00:02.000000000Z three\n",
            ),
        ] {
            assert_eq!(text(&log, options.clone()).await, expected, "{options:?}");
        }
    }

    #[tokio::test]
    async fn logs_that_were_put_aside_are_read_first() {
        let log = log_of(&["old", "older"]);
        fs::rename(log.path().join("log"), put_aside(&log.path().join("log"))).unwrap();
        fs::write(log.path().join("log"), "1970-01-01T00:00:00Z stdout F new\n").unwrap();
        assert_eq!(text(&log, LogOptions::default()).await, "old\nolder\nnew\n");
        let last_two = LogOptions { tail_lines: Some(2), ..LogOptions::default() };
        assert_eq!(text(&log, last_two).await, "older\nnew\n");
    }

    #[tokio::test]
    async fn a_log_that_does_not_exist_is_empty() {
        assert_eq!(text(&tempfile::tempdir().unwrap(), LogOptions::default()).await, "");
    }

    #[tokio::test]
    async fn followers_see_what_comes_later_and_end_with_the_writer() {
        let directory = tempfile::tempdir().unwrap();
        let (path, logs) = (directory.path().join("log"), Logs::default());
        let (mut out, stdout) = tokio::io::duplex(64);
        let writing = tokio::spawn(logs.create(&path).unwrap().copy(stdout, tokio::io::empty()));
        let mut stream =
            read(&path, &LogOptions { follow: true, ..LogOptions::default() }, logs.follow(&path)).unwrap();
        out.write_all(b"one\ntw").await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "one\n");
        out.write_all(b"o\nthree").await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "two\n");
        drop(out);
        assert_eq!(stream.next().await.unwrap().unwrap(), "three");
        assert!(stream.next().await.is_none());
        writing.await.unwrap();
        assert!(logs.follow(&path).is_none());
    }

    #[tokio::test]
    async fn full_files_are_put_aside_without_losing_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let (path, logs) = (directory.path().join("log"), Logs::default());
        let line = [vec![b'x'; 8191], b"\n".to_vec()].concat();
        let count = usize::try_from(FILE_LIMIT).unwrap() / line.len() + 1;
        let text = line.repeat(count);
        logs.create(&path).unwrap().copy(text.as_slice(), tokio::io::empty()).await;
        assert!(put_aside(&path).exists());
        let mut stream = read(&path, &LogOptions::default(), None).unwrap();
        let mut length = 0;
        while let Some(chunk) = stream.next().await {
            length += chunk.unwrap().len();
        }
        assert_eq!(length, text.len());
    }
}
