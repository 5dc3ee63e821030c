//! Everything that can be asked of histories.

use super::disruption::{Drain, Evictions, Quorum, Steady};
use crate::checkers::nats::Span;
use crate::kept::Compared;
use crate::matrix::asked::Asked;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A question with the files of the histories that it is about, as a line of a scenario's `questions.jsonl.gz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Names of files in the scenario's folder, by client.
    pub histories: BTreeMap<String, String>,
    pub question: Question,
}

/// What can be asked: of histories, or of what a scenario saw and put into the question. Times are in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum Question {
    Writes(Writes),
    Messages(Messages),
    Consumer(Consumer),
    Jobs(Jobs),
    Gap(Gap),
    Refusals(Refusals),
    Control(Control),
    Matrix(Asked),
    Restored(Restored),
    Evictions(Evictions),
    Quorum(Quorum),
    Drain(Drain),
    Steady(Steady),
}

impl Question {
    /// The clients whose histories are asked.
    pub fn clients(&self) -> Vec<&str> {
        match self {
            Self::Writes(asked) => vec![&asked.client],
            Self::Messages(asked) => vec![&asked.client],
            Self::Consumer(asked) => vec![&asked.client],
            Self::Jobs(asked) => vec![&asked.client],
            Self::Gap(asked) => vec![&asked.client],
            Self::Refusals(asked) => vec![&asked.client],
            Self::Control(asked) => asked.clients.iter().map(|client| client.name.as_str()).collect(),
            Self::Matrix(_) | Self::Restored(_) => vec![],
            Self::Evictions(_) | Self::Quorum(_) | Self::Drain(_) | Self::Steady(_) => vec![],
        }
    }
}

/// What may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Allowance {
    /// Of plainly acknowledged writes.
    pub plain_percent: f64,
    /// Of writes that a replica acknowledged too.
    pub replicated: u64,
}

/// Are acknowledged writes to Redis there, and nothing else?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Writes {
    pub client: String,
    pub promise: String,
    /// Acknowledgements of replicas must have been seen: without one, "none was lost" says nothing.
    pub has_replicas: bool,
    pub allowance: Allowance,
}

/// Are acknowledged messages there once and in order?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Messages {
    pub client: String,
    pub stream: String,
    pub promise: String,
    pub check: String,
}

/// Did a durable consumer go on where it was?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consumer {
    pub client: String,
    pub stream: String,
    pub consumer: String,
    /// What was confirmed in these times may have been undone.
    pub excused: Vec<Span>,
    pub promise: String,
}

/// Did every accepted job end once?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Jobs {
    pub client: String,
    pub promise: String,
    pub check: String,
}

/// How the length of a gap is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Telling {
    /// `after 9.1 s, 12s allowed`
    After,
    /// `9.1 s without at the most, 12s allowed`
    Without,
    /// `9.1 s at the longest`
    Longest,
}

/// Was a client served within its budget?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    pub client: String,
    /// The groups that are asked about, or all operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Gaps that begin in this time count.
    pub span: Span,
    pub allowed_us: u64,
    pub promise: String,
    pub check: String,
    pub telling: Telling,
    /// The name of the figure that the length is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<String>,
}

/// What became of publishes where there was no quorum: an error, in time, and never an acknowledgement?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusals {
    pub client: String,
    pub stream: String,
    pub without: Span,
    pub within_us: u64,
    pub promise: String,
    /// What was so in that time, in people's words.
    pub when: String,
}

/// What a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    Redis,
    Nats,
    Jobs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub name: String,
    pub uses: Store,
}

/// Did the same clients without any fault see nothing that a fault could be blamed for?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    pub clients: Vec<Client>,
    pub stream: String,
    pub consumer: String,
}

/// Is everything back that was lost?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    pub promise: String,
    pub check: String,
    pub read: Read,
}

/// What a store was seen to hold at last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Read {
    /// Beside what it held before.
    Compared(Compared),
    /// It could not be read.
    Unread { why: String },
}

impl Read {
    /// How much there is as it was.
    ///
    /// # Errors
    /// What is not.
    pub fn as_it_was(&self) -> Result<String, String> {
        match self {
            Self::Unread { why } => Err(why.clone()),
            Self::Compared(compared) => match compared.differences() {
                differences if differences.is_empty() => Ok(format!("all of {}", compared.told())),
                differences => Err(differences.to_string()),
            },
        }
    }
}
