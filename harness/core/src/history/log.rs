//! A history put together from its lines.

use std::collections::HashMap;
use std::collections::HashSet;

use thiserror::Error;

use super::record::{Dump, Entry, Observation, Operation, Outcome, Reply, Stamp};

/// One operation from invocation to completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub client: String,
    pub process: u32,
    pub id: u64,
    pub group: Option<String>,
    pub op: Operation,
    pub invoked: Stamp,
    /// Absent where the client died first; the outcome is then unknown.
    pub completed: Option<Stamp>,
    pub outcome: Outcome,
    pub reply: Option<Reply>,
    pub error: Option<String>,
}

impl Attempt {
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

/// Every operation in order of invocation, and what was read back afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub attempts: Vec<Attempt>,
    pub observations: Vec<Observation>,
}

/// A line that is no part of a history.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    #[error("line {line} of the history is not a record: {reason}")]
    Malformed { line: usize, reason: String },
    #[error("line {line} of the history completes operation {id} of client {client}, which was never invoked")]
    Orphan { line: usize, client: String, id: u64 },
    #[error("line {line} of the history gives operation {id} of client {client} a second {what}")]
    Twice { line: usize, client: String, id: u64, what: &'static str },
}

impl History {
    /// Reads JSON lines. Blank lines are skipped; a last line that was cut off (no newline at its end) is dropped,
    /// since that is how the file of a killed client ends.
    ///
    /// # Errors
    /// A malformed line anywhere else, a completion without invocation, or an operation invoked or completed twice.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut builder = Builder::default();
        let cut_off = !text.ends_with('\n');
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
        while let Some((index, line)) = lines.next() {
            match serde_json::from_str(line) {
                Ok(entry) => builder.add(index + 1, entry)?,
                Err(_) if cut_off && lines.peek().is_none() => break,
                Err(error) => return Err(ParseError::Malformed { line: index + 1, reason: error.to_string() }),
            }
        }
        Ok(builder.history)
    }

    /// Puts entries together.
    ///
    /// # Errors
    /// As [`History::parse`]; line numbers count entries from 1.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Result<Self, ParseError> {
        let mut builder = Builder::default();
        for (index, entry) in entries.into_iter().enumerate() {
            builder.add(index + 1, entry)?;
        }
        Ok(builder.history)
    }

    /// Adds another client's history. Attempts are ordered by wall clock.
    pub fn merge(&mut self, other: History) {
        self.attempts.extend(other.attempts);
        self.attempts.sort_by_key(|attempt| attempt.invoked.wall_us);
        self.observations.extend(other.observations);
    }

    /// Whether a dump was read to its end, at the last attempt, and every observation it announced arrived here.
    pub fn is_complete(&self, dump: &Dump) -> bool {
        let mut announced = None;
        for seen in &self.observations {
            match seen {
                Observation::DumpComplete { dump: of, count } if of == dump => announced = Some(*count),
                Observation::DumpFailed { dump: of, .. } if of == dump => announced = None,
                _ => {}
            }
        }
        let arrived = self.observations.iter().filter(|seen| seen.dump().as_ref() == Some(dump)).count() as u64;
        announced.is_some_and(|count| arrived >= count)
    }
}

#[derive(Default)]
struct Builder {
    history: History,
    positions: HashMap<(String, u64), usize>,
    completed: HashSet<usize>,
}

impl Builder {
    fn add(&mut self, line: usize, entry: Entry) -> Result<(), ParseError> {
        match entry {
            Entry::Invoke { client, process, id, at, group, op } => {
                let position = self.history.attempts.len();
                if self.positions.insert((client.clone(), id), position).is_some() {
                    return Err(ParseError::Twice { line, client, id, what: "invocation" });
                }
                self.history.attempts.push(Attempt {
                    client,
                    process,
                    id,
                    group,
                    op,
                    invoked: at,
                    completed: None,
                    outcome: Outcome::Unknown,
                    reply: None,
                    error: None,
                });
            }
            Entry::Complete { client, id, at, outcome, reply, error } => {
                let key = (client, id);
                let Some(&position) = self.positions.get(&key) else {
                    return Err(ParseError::Orphan { line, client: key.0, id });
                };
                if !self.completed.insert(position) {
                    return Err(ParseError::Twice { line, client: key.0, id, what: "completion" });
                }
                let attempt = &mut self.history.attempts[position];
                attempt.completed = Some(at);
                attempt.outcome = outcome;
                attempt.reply = reply;
                attempt.error = error;
            }
            Entry::Observe { seen, .. } => self.history.observations.push(seen),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVOKE: &str = r#"{"kind":"invoke","client":"a","process":0,"id":1,"at":{"mono_us":1,"wall_us":2},"op":{"type":"redis_write","key":"k","value":"v","wait":null}}"#;
    const COMPLETE: &str = r#"{"kind":"complete","client":"a","id":1,"at":{"mono_us":3,"wall_us":4},"outcome":"ok","reply":{"type":"redis_write","replicas":null}}"#;

    #[test]
    fn completion_joins_its_invocation() {
        let history = History::parse(&format!("{INVOKE}\n\n{COMPLETE}\n")).unwrap();
        assert_eq!(history.attempts.len(), 1);
        assert_eq!(history.attempts[0].outcome, Outcome::Ok);
        assert_eq!(history.attempts[0].completed, Some(Stamp { mono_us: 3, wall_us: 4 }));
    }

    #[test]
    fn invocation_without_completion_is_unknown() {
        let history = History::parse(&format!("{INVOKE}\n{}", &COMPLETE[..40])).unwrap();
        assert_eq!(history.attempts[0].outcome, Outcome::Unknown);
        assert_eq!(history.attempts[0].completed, None);
    }

    #[test]
    fn broken_line_that_was_finished_is_refused() {
        let error = History::parse(&format!("{INVOKE}\n{}\n", &COMPLETE[..40])).unwrap_err();
        assert!(matches!(error, ParseError::Malformed { line: 2, .. }), "{error}");
    }

    #[test]
    fn completion_without_invocation_is_refused() {
        assert!(matches!(History::parse(&format!("{COMPLETE}\n")), Err(ParseError::Orphan { line: 1, id: 1, .. })));
    }

    #[test]
    fn second_completion_is_refused() {
        let text = format!("{INVOKE}\n{COMPLETE}\n{COMPLETE}\n");
        assert!(matches!(History::parse(&text), Err(ParseError::Twice { line: 3, what: "completion", .. })));
    }

    #[test]
    fn last_attempt_at_a_dump_decides() {
        let complete = Observation::DumpComplete { dump: Dump::Redis, count: 0 };
        let failed = Observation::DumpFailed { dump: Dump::Redis, error: "timeout".into() };
        let history = |observations| History { attempts: vec![], observations };
        assert!(history(vec![complete.clone()]).is_complete(&Dump::Redis));
        assert!(!history(vec![complete.clone(), failed.clone()]).is_complete(&Dump::Redis));
        assert!(history(vec![failed, complete]).is_complete(&Dump::Redis));
        assert!(!history(vec![]).is_complete(&Dump::Redis));
    }

    #[test]
    fn dump_that_announced_more_than_arrived_is_not_complete() {
        let value = Observation::RedisValue { key: "k".into(), value: None };
        let complete = |count| Observation::DumpComplete { dump: Dump::Redis, count };
        let history = |observations| History { attempts: vec![], observations };
        assert!(history(vec![value.clone(), complete(1)]).is_complete(&Dump::Redis));
        assert!(!history(vec![value, complete(2)]).is_complete(&Dump::Redis));
    }
}
