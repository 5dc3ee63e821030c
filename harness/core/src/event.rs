//! Everything that happens in a run. `events.jsonl` holds one [`Record`] a line; every report is made from these alone.
//!
//! The enum is closed on purpose: a consumer matches it exhaustively, so a new event is a compile error in each of them.

use crate::baseline::Comparison;
use crate::digest::Digest;
use crate::matrix::Matrix;
use crate::run::{ExitCode, RunId};
use crate::scenario::ClusterNeed;
use crate::seed::Seed;
use crate::timeline::{EvidenceFile, KubernetesEvent, PodSeen, Series, Violation};
use crate::verdict::{Check, Evidence, Figure, Observations, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the lines in `events.jsonl`. Raised when a reader of older lines would misunderstand newer ones.
pub const SCHEMA: u32 = 1;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Record {
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Milliseconds since 1970, by the clock of the machine that ran this.
    pub at_ms: u64,
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    pub fn new(at_ms: u64, event: Event) -> Self {
        Self { schema: SCHEMA, at_ms, event }
    }

    /// The line, without its line break.
    ///
    /// # Errors
    /// When a value has no form in JSON, such as a number that is not a number.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads one line back.
    ///
    /// # Errors
    /// A line of another schema version, or one that is no record, said in one sentence.
    pub fn from_line(line: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_str(line).map_err(|error| format!("not an event: {error}"))?;
        if version.schema != SCHEMA {
            return Err(format!("schema version {} is not {SCHEMA}, which this program reads", version.schema));
        }
        serde_json::from_str(line).map_err(|error| format!("not an event of schema {SCHEMA}: {error}"))
    }
}

/// The JSON schema of one line of `events.jsonl`, for readers in other languages. It allows fields that it does not name,
/// as readers should: new ones come without a new version.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Record).to_value()
}

/// What a run is about, said once at its start.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunHeader {
    pub run: RunId,
    pub seed: Seed,
    pub system: String,
    pub overlay: String,
    /// What was deployed in place of the overlay: the overlay broken in one way on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
    pub provider: String,
    /// Names and versions of programs that matter to the result.
    pub versions: BTreeMap<String, String>,
    /// The scenarios that will run, in order; with `--repeat` a name has a `#2` suffix and so on.
    pub scenarios: Vec<String>,
    /// The command that runs all this again with the same seed.
    pub again: String,
    /// Where the document that makes the promises can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// What the system's contract promises.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promises: Vec<Promised>,
    /// Images whose real programs do not run, and what does in their place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stand_ins: BTreeMap<String, String>,
}

impl RunHeader {
    /// The mutant that was deployed, if any. Before the header told it, only the command did.
    pub fn deployed_mutant(&self) -> Option<&str> {
        let of_command = || self.again.split_once(" --mutant ")?.1.split_whitespace().next();
        self.mutant.as_deref().or_else(of_command)
    }

    /// Ids of the promises that nobody has confirmed.
    pub fn guesses(&self) -> Vec<&str> {
        self.promises.iter().filter(|promised| promised.guessed).map(|promised| promised.id.as_str()).collect()
    }
}

/// A sentence that a document holds the deployment to.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Promised {
    pub id: String,
    pub says: String,
    /// Where the document says so.
    pub reference: String,
    /// The part of the document's address that leads to this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The passage, word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Nobody has confirmed it, so it decides nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guessed: bool,
}

/// A step of a run that belongs to no scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Packages,
    Render,
    Cluster,
    Prerequisites,
    Apply,
    SteadyState,
    Evidence,
    Cleanup,
}

impl Stage {
    /// What is being done, as progress shows it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Packages => "install host packages",
            Self::Render => "render the overlay",
            Self::Cluster => "bring up the cluster",
            Self::Prerequisites => "create what must exist first",
            Self::Apply => "apply the overlay",
            Self::SteadyState => "wait for the steady state",
            Self::Evidence => "collect evidence",
            Self::Cleanup => "clean up",
        }
    }
}

/// A part of a scenario, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    SteadyState,
    Control,
    Inject,
    Observe,
    Heal,
    Recovery,
    Judge,
}

impl Phase {
    pub fn title(self) -> &'static str {
        match self {
            Self::SteadyState => "steady state",
            Self::Control => "workload without the fault",
            Self::Inject => "inject",
            Self::Observe => "observe",
            Self::Heal => "heal",
            Self::Recovery => "steady state again",
            Self::Judge => "judge",
        }
    }
}

/// Everything that can happen. `scenario` is always a name from [`RunHeader::scenarios`].
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    RunStarted(RunHeader),
    /// What is deployed, by digest; said once it is rendered.
    Digested {
        #[serde(flatten)]
        digest: Digest,
        /// What is not what the command expected of it, a sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        differs: Vec<String>,
    },
    /// Images that name one release while a program of another runs in their place, and what that one says of itself;
    /// said where there are any.
    OtherReleases {
        images: BTreeMap<String, String>,
    },
    StageStarted {
        stage: Stage,
        detail: String,
    },
    StageFinished {
        stage: Stage,
        took_ms: u64,
    },
    /// Something is awaited: said when waiting begins and whenever what was last seen changes.
    Waiting {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
        what: String,
        last_seen: String,
        waited_ms: u64,
        deadline_ms: u64,
    },
    /// Something worth telling that changes nothing.
    Note {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
        text: String,
    },
    ClusterReady {
        cluster: String,
        provider: String,
        kubernetes: String,
        nodes: Vec<String>,
        /// What a cluster that exists already was found to have and to lack, by what was looked for.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        found: BTreeMap<String, String>,
    },
    ScenarioStarted {
        scenario: String,
        summary: String,
        cluster: ClusterNeed,
        seed: Seed,
        deadline_ms: u64,
    },
    PhaseStarted {
        scenario: String,
        phase: Phase,
    },
    FaultInjecting {
        scenario: String,
        fault: String,
    },
    FaultProven {
        scenario: String,
        fault: String,
        evidence: Evidence,
    },
    FaultHealed {
        scenario: String,
        fault: String,
        evidence: Evidence,
    },
    Measured {
        scenario: String,
        figure: Figure,
    },
    Checked {
        scenario: String,
        check: Check,
    },
    /// How clients fared; said when their histories are in.
    WorkloadSeries {
        scenario: String,
        series: Series,
    },
    /// A pod came to be something else. At the start of a scenario every pod is told.
    PodChanged {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
        #[serde(flatten)]
        seen: PodSeen,
    },
    /// The cluster recorded an event object.
    KubernetesEvent {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
        #[serde(flatten)]
        seen: KubernetesEvent,
    },
    /// We did something to the system that is no fault: asked for an eviction, say.
    Action {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
        text: String,
    },
    /// When a promise was broken; said beside the check that found it.
    Violated {
        scenario: String,
        violation: Violation,
    },
    /// A file of evidence was collected.
    EvidenceCollected {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
        file: EvidenceFile,
    },
    /// Who was expected to reach whom, and who did; said when all of it is judged.
    MatrixSeen {
        scenario: String,
        matrix: Matrix,
    },
    /// The run's figures against those of earlier runs. The last one counts: a run can be compared again.
    BaselineCompared(Comparison),
    ScenarioFinished {
        scenario: String,
        verdict: Verdict,
        observations: Observations,
        took_ms: u64,
        /// The command that runs this one again with the same seed.
        again: String,
        /// Folder of the evidence, relative to the run's folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
    /// Trouble outside any scenario; set-up or clean-up did not succeed.
    Trouble {
        stage: Stage,
        message: String,
        hints: Vec<String>,
    },
    Interrupted,
    RunFinished {
        exit: ExitCode,
        took_ms: u64,
    },
}

/// Makes something of events as they happen: progress on a terminal, a report file. Sees nothing else.
pub trait Consumer: Send {
    fn consume(&mut self, record: &Record);

    /// Called once after the last event.
    ///
    /// # Errors
    /// What could not be written, and where.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_its_line() {
        let event = Event::ScenarioFinished {
            scenario: "redis.failover".into(),
            verdict: Verdict::trouble("lost the cluster"),
            observations: Observations::default(),
            took_ms: 12,
            again: "gauntlet run".into(),
            evidence: None,
        };
        let record = Record::new(5, event);
        assert_eq!(Record::from_line(&record.to_line().unwrap()).unwrap(), record);
    }

    #[test]
    fn a_line_names_its_event_and_schema() {
        let line = Record::new(5, Event::Interrupted).to_line().unwrap();
        assert_eq!(line, r#"{"schema":1,"at_ms":5,"event":"interrupted"}"#);
    }

    #[test]
    fn a_header_from_before_promises_and_mutants_were_told_is_read() {
        let line = r#"{"schema":1,"at_ms":5,"event":"run-started","run":"r","seed":1,"system":"s","overlay":"o","provider":"p","versions":{},"scenarios":[],"again":"a"}"#;
        let Event::RunStarted(header) = Record::from_line(line).unwrap().event else { panic!("no header") };
        assert!(header.promises.is_empty());
        assert_eq!(header.deployed_mutant(), None);
        let again = r#"again":"gauntlet run --mutant redis.failover/no-replicas --seed 1"#;
        let line = line.replace(r#"again":"a"#, again);
        let Event::RunStarted(header) = Record::from_line(&line).unwrap().event else { panic!("no header") };
        assert_eq!(header.deployed_mutant(), Some("redis.failover/no-replicas"));
    }

    #[test]
    fn a_line_of_another_schema_is_refused() {
        let error = Record::from_line(r#"{"schema":9,"at_ms":5,"event":"whatever"}"#).unwrap_err();
        assert_eq!(error, "schema version 9 is not 1, which this program reads");
    }
}
