//! Lines of a log file.

use std::ops::Range;

use chrono::{DateTime, SecondsFormat, Utc};

/// Longer lines are cut into parts, so that one without end cannot fill the memory.
pub const PART_LIMIT: usize = 16 << 10;

/// Appends `text` (without its newline) as a line of a log file. `whole` says that the line ends here.
pub fn encode(out: &mut Vec<u8>, at: DateTime<Utc>, stream: &str, whole: bool, text: &[u8]) {
    let tag = if whole { "F" } else { "P" };
    out.extend_from_slice(format!("{} {stream} {tag} ", at.to_rfc3339_opts(SecondsFormat::Nanos, true)).as_bytes());
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// A line of a log file.
pub struct Line<'a> {
    pub time: &'a str,
    /// Of what the container printed, with the newline where there was one.
    pub text: &'a [u8],
}

/// Reads a line that [`encode`] wrote, given with its newline.
pub fn decode(line: &[u8]) -> Option<Line<'_>> {
    let mut spaces = line.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at);
    let (time, stream, tag) = (spaces.next()?, spaces.next()?, spaces.next()?);
    let whole = line.get(stream + 1..tag)? == b"F";
    let end = line.len() - usize::from(!whole && line.ends_with(b"\n"));
    Some(Line { time: std::str::from_utf8(&line[..time]).ok()?, text: line.get(tag + 1..end)? })
}

/// Cuts what was read so far into parts of lines: the range of each in `buffer`, and whether its line ends with it.
/// What is left belongs to a line that is not complete.
pub fn split(buffer: &[u8]) -> (Vec<(Range<usize>, bool)>, usize) {
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(rest) = buffer.get(start..).filter(|rest| !rest.is_empty()) {
        let window = &rest[..rest.len().min(PART_LIMIT)];
        match window.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                parts.push((start..start + at, true));
                start += at + 1;
            }
            None if window.len() == PART_LIMIT => {
                parts.push((start..start + PART_LIMIT, false));
                start += PART_LIMIT;
            }
            None => break,
        }
    }
    (parts, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_read_back() {
        for (whole, text, read) in [(true, "a b  c", "a b  c\n"), (false, "part", "part"), (true, "", "\n")] {
            let mut line = Vec::new();
            encode(&mut line, DateTime::UNIX_EPOCH, "stdout", whole, text.as_bytes());
            let decoded = decode(&line).unwrap();
            assert_eq!(decoded.time, "1970-01-01T00:00:00.000000000Z");
            assert_eq!(decoded.text, read.as_bytes());
        }
    }

    #[test]
    fn lines_are_cut_at_newlines_and_at_the_limit() {
        assert_eq!(split(b"one\ntwo\nthr"), (vec![(0..3, true), (4..7, true)], 8));
        let long = vec![b'x'; PART_LIMIT + 2];
        assert_eq!(split(&long), (vec![(0..PART_LIMIT, false)], PART_LIMIT));
    }

    #[test]
    fn nonsense_is_no_line() {
        assert!(decode(b"nonsense\n").is_none());
    }
}
