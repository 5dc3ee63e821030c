//! Events as they happen, for other programs: one JSON object a line, as in `events.jsonl`. `reports/schema/` tells what
//! can be in a line.

use gauntlet_core::event::{Consumer, Record};
use std::io::Write;

/// Writes every event to `out` at once. A reader that goes away ends the stream, not the run.
pub struct Stream<W> {
    out: Option<W>,
}

impl<W: Write> Stream<W> {
    pub fn new(out: W) -> Self {
        Self { out: Some(out) }
    }
}

impl<W: Write + Send> Consumer for Stream<W> {
    fn consume(&mut self, record: &Record) {
        let Some(out) = &mut self.out else { return };
        let Ok(line) = record.to_line() else { return };
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::Event;

    #[test]
    fn the_stream_has_the_lines_of_the_file() {
        let mut out = Vec::new();
        let mut stream = Stream::new(&mut out);
        let record = Record::new(5, Event::Interrupted);
        stream.consume(&record);
        stream.consume(&record);
        let line = record.to_line().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\n{line}\n"));
    }

    #[test]
    fn a_reader_that_goes_away_does_not_end_the_run() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut stream = Stream::new(full);
        stream.consume(&Record::new(5, Event::Interrupted));
        assert!(stream.out.is_none());
        assert_eq!(stream.finish(), Ok(()));
    }
}
