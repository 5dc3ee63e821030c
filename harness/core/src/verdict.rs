//! Evidence and findings of one scenario, and the verdict that follows from them.
//!
//! [`Observations::judge`] is the only way to `passed`: it wants every fault proven to have taken effect, proven to be
//! healed, and its workload clean without it, and at least one finding. Whatever is missing makes it inconclusive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was seen in support of a claim, or why it could not be shown.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    Shown(String),
    Missing(String),
}

impl Evidence {
    /// Nobody has looked yet: how every piece of evidence starts.
    pub fn not_looked_at() -> Self {
        Self::Missing("was never looked at".to_owned())
    }

    fn missing(&self) -> Option<&str> {
        match self {
            Self::Shown(_) => None,
            Self::Missing(why) => Some(why),
        }
    }
}

/// The three pieces of evidence that every fault needs.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FaultEvidence {
    /// What was done to what, for example `hold-container cordum/cordum-redis-2 redis`.
    pub fault: String,
    /// The disturbance was really there.
    pub took_effect: Evidence,
    /// The disturbance is really gone.
    pub healed: Evidence,
    /// The same workload without the fault was clean.
    pub control: Evidence,
}

impl FaultEvidence {
    /// A fault of which nothing has been shown.
    pub fn new(fault: impl Into<String>) -> Self {
        Self {
            fault: fault.into(),
            took_effect: Evidence::not_looked_at(),
            healed: Evidence::not_looked_at(),
            control: Evidence::not_looked_at(),
        }
    }

    fn gaps(&self) -> impl Iterator<Item = String> + '_ {
        [("took effect", &self.took_effect), ("was healed", &self.healed), ("has a clean control", &self.control)]
            .into_iter()
            .filter_map(|(claim, evidence)| {
                evidence.missing().map(|why| format!("not shown that {} {claim}: {why}", self.fault))
            })
    }
}

/// What one check of a promise came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Held,
    Broken,
    /// It could not be told.
    Unknown,
    /// The promise is a guess that nobody has confirmed, so what was seen is told and decides nothing.
    Unconfirmed,
}

/// One promise looked at in one way.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Check {
    /// Id of the promise in the contract.
    pub promise: String,
    /// Where the promise is written.
    pub reference: String,
    /// What was looked at, in a few words.
    pub name: String,
    pub outcome: Outcome,
    /// What an unconfirmed promise would have come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<Outcome>,
    /// What was seen, with numbers.
    pub detail: String,
    /// The same in one plain sentence for people who know neither the check nor the scenario; reports say it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

impl Check {
    /// What it came to, as reports say it.
    pub fn word(&self) -> &'static str {
        match (self.outcome, self.looks) {
            (Outcome::Held, _) => "held",
            (Outcome::Broken, _) => "broken",
            (Outcome::Unknown, _) => "cannot tell",
            (Outcome::Unconfirmed, Some(Outcome::Held)) => "unconfirmed, looks held",
            (Outcome::Unconfirmed, Some(Outcome::Broken)) => "unconfirmed, looks broken",
            (Outcome::Unconfirmed, _) => "unconfirmed, cannot tell",
        }
    }

    /// The same of a promise that is only guessed: neither held nor broken.
    pub fn unconfirmed(self) -> Self {
        Self { looks: Some(self.outcome), outcome: Outcome::Unconfirmed, ..self }
    }
}

/// A measured number.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// What the promise allows, in the same unit, where it sets a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// Everything a scenario saw that bears on its verdict.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Observations {
    pub faults: Vec<FaultEvidence>,
    pub checks: Vec<Check>,
    pub figures: Vec<Figure>,
    /// What the scenario needs of a cluster and found that this one does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsuited: Option<String>,
}

/// Proof that a verdict went through [`Observations::judge`]; it cannot be made in any other way, except by reading the
/// events of a run again.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Passed {
    held: usize,
}

impl Passed {
    /// How many checks held.
    pub fn held(&self) -> usize {
        self.held
    }
}

/// What is said of a scenario in the end.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    Passed(Passed),
    /// Promises were broken while the fault was proven.
    Failed {
        broken: Vec<Check>,
    },
    /// It could not be told: evidence is missing or the harness was in trouble. `broken` lists what looked broken.
    Inconclusive {
        reasons: Vec<String>,
        #[serde(default)]
        broken: Vec<Check>,
    },
    Skipped {
        reason: String,
    },
}

impl Verdict {
    /// The harness got into trouble before anything could be judged.
    pub fn trouble(reason: impl Into<String>) -> Self {
        Self::Inconclusive { reasons: vec![reason.into()], broken: vec![] }
    }

    /// One word, as tables and reports show it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed { .. } => "failed",
            Self::Inconclusive { .. } => "inconclusive",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Why, in sentences a person reads first; empty for a pass.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Passed(_) => vec![],
            Self::Failed { broken } => broken.iter().map(describe).collect(),
            Self::Inconclusive { reasons, broken } => {
                let broken = broken.iter().map(|check| format!("looked broken: {}", describe(check)));
                reasons.iter().cloned().chain(broken).collect()
            }
            Self::Skipped { reason } => vec![reason.clone()],
        }
    }
}

/// In words first, where there are any; then by its name.
fn describe(check: &Check) -> String {
    let told = check.told.as_ref().map_or(String::new(), |told| format!("{told}\n  "));
    format!("{told}{} ({}, {}): {}", check.name, check.promise, check.reference, check.detail)
}

impl Observations {
    /// The verdict that follows, and nothing but what follows.
    pub fn judge(&self) -> Verdict {
        let broken: Vec<Check> = self.with_outcome(Outcome::Broken).cloned().collect();
        if let (Some(reason), true) = (&self.unsuited, broken.is_empty()) {
            return Verdict::Skipped { reason: reason.clone() };
        }
        let mut reasons: Vec<String> = self.faults.iter().flat_map(FaultEvidence::gaps).collect();
        if self.faults.is_empty() {
            reasons.push("no fault was injected, so nothing was tried".to_owned());
        }
        let confirmed = self.checks.len() - self.with_outcome(Outcome::Unconfirmed).count();
        if self.checks.is_empty() {
            reasons.push("no promise was checked".to_owned());
        } else if confirmed == 0 {
            reasons.push("every promise that was checked is a guess that nobody has confirmed".to_owned());
        }
        if reasons.is_empty() && !broken.is_empty() {
            return Verdict::Failed { broken };
        }
        reasons.extend(self.with_outcome(Outcome::Unknown).map(|check| format!("could not tell: {}", describe(check))));
        if reasons.is_empty() {
            return Verdict::Passed(Passed { held: confirmed });
        }
        Verdict::Inconclusive { reasons, broken }
    }

    fn with_outcome(&self, outcome: Outcome) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.outcome == outcome)
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
