//! One line of a history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When something happened, in microseconds: on the client's monotonic clock (comparable within one client only) and
/// on the wall clock (Unix epoch; comparable between clients as far as their clocks agree).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    pub mono_us: u64,
    pub wall_us: u64,
}

/// What a client set out to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Operation {
    /// `SET key value`, followed by `WAIT replicas` where `wait` is given.
    RedisWrite { key: String, value: String, wait: Option<u32> },
    /// A JetStream publish with `Nats-Msg-Id: msg_id`.
    NatsPublish { stream: String, subject: String, msg_id: String },
    /// A durable consumer asked for its next messages.
    NatsFetch { stream: String, consumer: String },
    /// The acknowledgement of a message that the consumer was given for the `delivery`th time; it is written down when
    /// the message is there, so the invocation is the delivery.
    NatsAck { stream: String, consumer: String, sequence: u64, delivery: u64 },
    /// A question for where the consumer stands.
    NatsFloor { stream: String, consumer: String },
    /// A job handed to the pipeline under a name of the client's own.
    JobSubmit { name: String },
    /// One HTTP request.
    HttpProbe { target: String },
}

/// What the system answered to an operation that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// `replicas` acknowledged within the time given to `WAIT`; absent where `WAIT` was not asked for or not answered.
    RedisWrite {
        replicas: Option<u32>,
    },
    NatsPublish {
        sequence: u64,
        duplicate: bool,
    },
    /// So many messages came.
    NatsFetch {
        messages: u32,
    },
    /// The server confirmed the acknowledgement.
    NatsAck,
    /// Everything up to `floor` is acknowledged, as the consumer's leader sees it.
    NatsFloor {
        floor: u64,
    },
    /// The id under which the system accepted the job.
    JobSubmit {
        job: String,
    },
    HttpProbe {
        status: u16,
    },
}

/// How an operation ended, as far as its client can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The system said that it is done.
    Ok,
    /// The system said that it is not done, or the request provably never left the client.
    Failed,
    /// Timeout, broken connection, dead client: it may have happened, now or later, or not.
    Unknown,
}

/// Something read back after the fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Observation {
    /// The value of a key; `None` where the owner of its slot says that there is no such key.
    RedisValue { key: String, value: Option<String> },
    /// A message found in a stream.
    NatsMessage { stream: String, sequence: u64, msg_id: String },
    /// Where a durable consumer stood in the end: `undelivered` messages it never gave out, `unacknowledged` it waits for.
    NatsConsumer { stream: String, consumer: String, floor: u64, undelivered: u64, unacknowledged: u64 },
    /// A job's state as the system reports it; `None` where the system does not know the job. `ends` counts the
    /// transitions into a final state that were seen.
    JobState { job: String, state: Option<String>, terminal: bool, ends: u32 },
    /// A dump was read to its end and holds `count` observations: what it does not show is not there.
    DumpComplete { dump: Dump, count: u64 },
    /// The client read what it could of a dump, and why it could not read the rest.
    DumpFailed { dump: Dump, error: String },
}

impl Observation {
    /// The dump that this is an item of; none for the lines that end a dump.
    pub fn dump(&self) -> Option<Dump> {
        match self {
            Self::RedisValue { .. } => Some(Dump::Redis),
            Self::NatsMessage { stream, .. } => Some(Dump::Nats { stream: stream.clone() }),
            Self::JobState { .. } => Some(Dump::Jobs),
            Self::NatsConsumer { .. } | Self::DumpComplete { .. } | Self::DumpFailed { .. } => None,
        }
    }
}

/// Which part of the final state a dump covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Dump {
    Redis,
    Nats { stream: String },
    Jobs,
}

/// One line. `client` names the recorder; `id` is unique within it; `process` numbers its sequential workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// `group` names what fails together with this operation: a shard, a stream, an endpoint.
    Invoke {
        client: String,
        process: u32,
        id: u64,
        at: Stamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        op: Operation,
    },
    Complete {
        client: String,
        id: u64,
        at: Stamp,
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply: Option<Reply>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    Observe {
        client: String,
        at: Stamp,
        seen: Observation,
    },
}
