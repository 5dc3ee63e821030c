//! Questions about what was done to a cluster and what was seen of it then. Times are in microseconds since 1970.

use serde::{Deserialize, Serialize};

/// Did a budget grant evictions that it allows, and refuse one more?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evictions {
    pub promise: String,
    pub workload: String,
    /// Its pods, all of which were ready.
    pub replicas: u32,
    /// How many the budget allows at once.
    pub limit: u32,
    /// In the order in which they were asked for.
    pub asked: Vec<Eviction>,
    /// Why not all pods were ready again in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_back: Option<Late>,
}

/// An eviction that was asked for, and the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    pub at_us: u64,
    pub pod: String,
    /// Why it was refused; absent where it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What had not come when its time was over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    pub at_us: u64,
    pub why: String,
}

/// Did every eviction leave a quorum ready?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    pub promise: String,
    pub workload: String,
    /// How many there are when all is well.
    pub members: u32,
    /// How few may be ready.
    pub floor: u32,
    /// What was done meanwhile, in the order in which it began.
    pub disturbances: Vec<Began>,
    /// The first moment, and each at which something changed.
    pub seen: Vec<Members>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    pub at_us: u64,
    /// `the drain of n2`
    pub what: String,
}

/// The members of a quorum at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    pub at_us: u64,
    pub ready: u32,
    /// Those that had just begun to leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<String>,
}

/// Was a node drained in its time?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub promise: String,
    pub node: String,
    pub within_us: u64,
    pub from_us: u64,
    pub to_us: u64,
    pub came_to: Drained,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drained {
    Empty {
        evicted: usize,
        refusals: u64,
    },
    /// Why it was not empty.
    Not {
        why: String,
    },
}

/// Was the system in its steady state again in time?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steady {
    pub promise: String,
    pub check: String,
    /// What it had to recover from, in people's words.
    pub after: String,
    pub from_us: u64,
    pub within_us: u64,
    /// What it lacked, whenever that changed.
    pub seen: Vec<Lacking>,
    /// How it is said that it lacks nothing.
    pub held: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    pub at_us: u64,
    /// Empty where it lacked nothing.
    pub what: String,
}
