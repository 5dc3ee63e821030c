//! What happened when: the facts that a report lays over each other on one axis of time.
//!
//! - [`series`]: throughput, errors and latency of clients, second by second
//! - [`around`]: the operations around a moment, as a person reads them
//!
//! The types here are parts of events; whoever reads old events finds none of them, and shows less.

mod around;
mod series;

pub use around::{Operations, around};
pub use series::{Series, series};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pod as it showed itself at one moment.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PodSeen {
    pub namespace: String,
    pub pod: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    pub state: PodState,
    /// Why it is in this state, where the pod says so: a reason of a container, `restart 2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a pod amounts to, from the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodState {
    /// Not on a node yet.
    Pending,
    /// On a node; its containers do not all run yet.
    Starting,
    /// Everything runs, and not everything is ready.
    NotReady,
    Ready,
    /// A container waits after a failure, or failed to start.
    Failing,
    /// Told to end, and still there.
    Terminating,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// No such pod any more.
    Gone,
}

impl PodState {
    pub fn title(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::NotReady => "not ready",
            Self::Ready => "ready",
            Self::Failing => "failing",
            Self::Terminating => "terminating",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}

/// An event object of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct KubernetesEvent {
    pub namespace: String,
    /// What it is about, as `Kind/name`.
    pub about: String,
    pub reason: String,
    pub message: String,
    /// Whether its type is `Warning`.
    pub warning: bool,
    /// How often it happened.
    pub count: u32,
}

/// The moment at which a promise was broken, and what clients did and saw around it, where they did.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Violation {
    /// Name of the check that found it.
    pub check: String,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// What happened at that moment, in a few words.
    pub what: String,
    /// The client that saw it, and the group of its operations where it concerns only one. Absent where no client had a
    /// part in it: a pod was evicted, a quorum was lost, a container was started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default)]
    pub operations: Operations,
}

impl Violation {
    /// One in which no client had a part.
    pub fn at(check: &str, at_ms: u64, what: impl Into<String>) -> Self {
        let (check, what, operations) = (check.to_owned(), what.into(), Operations::default());
        Self { check, at_ms, what, client: None, group: None, operations }
    }
}

/// One file of evidence in the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EvidenceFile {
    /// Relative to the run's folder.
    pub path: String,
    pub bytes: u64,
    /// What a report shows of it without the folder: the end of a log, the beginning of anything else.
    pub excerpt: String,
    /// Whether the excerpt is less than the whole.
    pub cut: bool,
}
