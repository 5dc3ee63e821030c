//! The domain of Gauntlet, without any I/O: what a deployment promises, what an experiment is, and how it is judged.
//!
//! - [`contract`]: `system.yaml`, what a deployment promises, strictly parsed and checked against itself
//! - [`yaml`], [`problem`], [`suggest`]: parsing with positions, and what a person reads when it fails
//! - [`scenario`]: what is known of a scenario before it runs, and which ones a command line selects
//! - [`capability`]: powers that a provider of clusters may have and a scenario may need
//! - [`proposal`]: a contract guessed from manifests, for a person to confirm
//! - [`verdict`]: evidence and findings, and the verdict that follows from them
//! - [`matrix`]: who was expected to reach whom, and who did
//! - [`event`]: everything that happens in a run; reports are made from nothing else
//! - [`node_agent`]: what is said to the agent on a node, and what it answers
//! - [`seed`]: random choices that a run can repeat
//! - [`run`]: names of runs, and exit codes
//! - [`history`], [`checkers`]: what clients did and saw, and what that says of the store behind them
//! - [`judgement`]: what is asked of histories, and the answers, also later
//! - [`timeline`]: what happened when, for reports
//! - [`baseline`]: figures of earlier runs, and whether those of a new one are worse than noise explains
//! - [`kept`]: known data before and after it was lost and restored
//! - [`digest`]: what was deployed, by digest
//! - [`trouble`]: what went wrong outside the system under test, and what to do next
//! - [`redact`]: what must not be told, taken out of what is
//! - [`span`]: lengths of time as people write them
//! - [`dns`]: names as Kubernetes takes them

pub mod baseline;
pub mod capability;
pub mod checkers;
pub mod contract;
pub mod digest;
pub mod dns;
pub mod event;
pub mod history;
pub mod judgement;
pub mod kept;
pub mod matrix;
pub mod node_agent;
pub mod problem;
pub mod proposal;
pub mod redact;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod span;
pub mod suggest;
pub mod timeline;
pub mod trouble;
pub mod verdict;
pub mod yaml;

pub use capability::Capability;
pub use contract::Contract;
pub use event::{Event, Record};
pub use redact::Redactor;
pub use run::{ExitCode, RunId};
pub use scenario::{Info, Selection};
pub use seed::Seed;
pub use trouble::Trouble;
pub use verdict::{Check, Evidence, FaultEvidence, Figure, Observations, Outcome, Verdict};
