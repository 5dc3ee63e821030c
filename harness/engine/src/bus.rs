//! Events to disk and to their consumers: one thread, one order, nobody who emits ever waits. What must not be told is
//! taken out here, before anybody sees it.

use gauntlet_core::event::{Consumer, Event, Record};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Redactor, Trouble, event};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

enum Message {
    Event(Box<Record>),
    End,
}

/// Where events are sent. Cheap to clone.
#[derive(Clone)]
pub struct Emitter {
    sender: Sender<Message>,
}

impl Emitter {
    pub fn emit(&self, event: Event) {
        // The other side is gone only after `Bus::close`, when nothing is left to tell.
        let _ = self.sender.send(Message::Event(Box::new(Record::new(now_ms(), event))));
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    now_us() / 1000
}

/// Microseconds since 1970, the clock of histories.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The thread behind the emitters.
pub struct Bus {
    emitter: Emitter,
    thread: JoinHandle<Vec<String>>,
}

impl Bus {
    /// Starts `events.jsonl` at `path` and the consumers. They see events as `redactor` leaves them.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn start(path: &Path, consumers: Vec<Box<dyn Consumer>>, redactor: Redactor) -> Result<Self, Trouble> {
        let file = File::create(path).or_trouble(|| format!("cannot make {}", path.display()))?;
        let (sender, receiver) = channel();
        let name = path.display().to_string();
        let thread = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || consume(&receiver, &redactor, file, &name, consumers))
            .or_trouble(|| "cannot start the thread of the events")?;
        Ok(Self { emitter: Emitter { sender }, thread })
    }

    pub fn emitter(&self) -> Emitter {
        self.emitter.clone()
    }

    /// Waits until everything emitted so far is written and the consumers have finished. Returns what went wrong.
    pub fn close(self) -> Vec<String> {
        let _ = self.emitter.sender.send(Message::End);
        self.thread.join().unwrap_or_else(|_| vec!["a report panicked".to_owned()])
    }
}

fn consume(
    receiver: &Receiver<Message>,
    redactor: &Redactor,
    mut file: File,
    name: &str,
    mut consumers: Vec<Box<dyn Consumer>>,
) -> Vec<String> {
    let mut problems = Vec::new();
    while let Ok(Message::Event(record)) = receiver.recv() {
        let record = redacted(*record, redactor);
        let written = record
            .to_line()
            .map_err(|e| e.to_string())
            .and_then(|line| file.write_all(format!("{line}\n").as_bytes()).map_err(|error| error.to_string()));
        if let Err(error) = written
            && problems.is_empty()
        {
            problems.push(format!("cannot write {name}: {error}"));
        }
        for consumer in &mut consumers {
            consumer.consume(&record);
        }
    }
    problems.extend(consumers.iter_mut().filter_map(|consumer| consumer.finish().err()));
    problems
}

/// The record without what must not be told. One that cannot be read back is replaced by a note that says so.
fn redacted(record: Record, redactor: &Redactor) -> Record {
    let (at_ms, same) = (record.at_ms, |mut value: serde_json::Value| {
        redactor.strings(&mut value);
        serde_json::from_value(value)
    });
    serde_json::to_value(&record).and_then(same).unwrap_or_else(|error| {
        let text = format!("an event is left out, since it could not be redacted: {error}");
        Record::new(at_ms, Event::Note { scenario: None, text })
    })
}

/// Adds an event to those of a run that has ended.
///
/// # Errors
/// The file cannot be written, or its last line was cut off, so that nothing can follow it.
pub fn append(path: &Path, record: &Record) -> Result<(), Trouble> {
    let doing = || format!("cannot add to {}", path.display());
    let ends_well = std::fs::read(path).or_trouble(doing)?.last().is_none_or(|last| *last == b'\n');
    if !ends_well {
        return Err(Trouble::input(format!("{} ends in the middle of an event: its run was killed", path.display())));
    }
    let line = record.to_line().or_trouble(doing)?;
    let mut file = std::fs::OpenOptions::new().append(true).open(path).or_trouble(doing)?;
    file.write_all(format!("{line}\n").as_bytes()).or_trouble(doing)
}

/// Reads the events of a run again.
///
/// # Errors
/// The file cannot be read, or a line of it is no event; the last line may be cut off by a crash.
pub fn read(path: &Path) -> Result<Vec<Record>, Trouble> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Trouble::input(format!("cannot read {}: {error}", path.display())))?;
    let mut records = Vec::new();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for (n, line) in whole.lines().enumerate() {
        let record = event::Record::from_line(line)
            .map_err(|error| Trouble::input(format!("{}:{}: {error}", path.display(), n + 1)))?;
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Remember(Arc<Mutex<Vec<Event>>>);

    impl Consumer for Remember {
        fn consume(&mut self, record: &Record) {
            self.0.lock().unwrap().push(record.event.clone());
        }

        fn finish(&mut self) -> Result<(), String> {
            Err("no space left".to_owned())
        }
    }

    fn note(text: &str) -> Event {
        Event::Note { scenario: None, text: text.to_owned() }
    }

    #[test]
    fn file_and_consumers_see_the_same_events_in_the_same_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let seen = Arc::new(Mutex::new(vec![]));
        let bus = Bus::start(&path, vec![Box::new(Remember(seen.clone()))], Redactor::default()).unwrap();
        let events: Vec<Event> = (0..50).map(|n| note(&n.to_string())).collect();
        events.iter().for_each(|event| bus.emitter().emit(event.clone()));
        assert_eq!(bus.close(), ["no space left"]);
        assert_eq!(*seen.lock().unwrap(), events);
        let read: Vec<Event> = read(&path).unwrap().into_iter().map(|record| record.event).collect();
        assert_eq!(read, events);
    }

    #[test]
    fn what_is_added_later_is_read_with_the_rest_and_never_after_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        Bus::start(&path, vec![], Redactor::default()).unwrap().close();
        append(&path, &Record::new(1, note("later"))).unwrap();
        assert_eq!(read(&path).unwrap(), [Record::new(1, note("later"))]);
        std::fs::write(&path, "{\"schema\":").unwrap();
        let trouble = append(&path, &Record::new(1, note("later"))).unwrap_err();
        assert!(trouble.message.contains("in the middle of an event"), "{trouble}");
    }

    #[test]
    fn neither_the_file_nor_consumers_see_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let (seen, redactor) = (Arc::new(Mutex::new(vec![])), Redactor::default());
        let bus = Bus::start(&path, vec![Box::new(Remember(seen.clone()))], redactor.clone()).unwrap();
        redactor.learn([&serde_json::json!({"kind": "Secret", "stringData": {"a": "pl4nted-value"}})]);
        bus.emitter().emit(note("got pl4nted-value, and redis://:hunter2@redis"));
        bus.close();
        assert_eq!(*seen.lock().unwrap(), [note("got REDACTED, and redis://:REDACTED@redis")]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("pl4nted") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_full_disk_is_reported_once() {
        let bus = Bus::start(Path::new("/dev/full"), vec![], Redactor::default()).unwrap();
        bus.emitter().emit(note("a"));
        bus.emitter().emit(note("b"));
        let problems = bus.close();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("/dev/full"), "{problems:?}");
    }
}
