//! Events sorted by scenario: what happened in each, in order.

use crate::summary::Summary;
use gauntlet_core::event::{Event, Phase, Record, Stage};
use gauntlet_core::matrix::Matrix;
use gauntlet_core::timeline::{EvidenceFile, KubernetesEvent, PodSeen, Series, Violation};
use gauntlet_core::{Check, Outcome};
use std::collections::BTreeMap;

/// Something and when it was, in milliseconds since 1970.
pub type At<T> = (u64, T);

/// A run, told from its events.
#[derive(Default)]
pub struct Run {
    pub summary: Summary,
    pub last_ms: u64,
    pub kubernetes: Option<String>,
    pub nodes: Vec<String>,
    /// What a cluster that exists already has and lacks.
    pub found: BTreeMap<String, String>,
    /// What each stage came to, in order; those that did not finish have no time.
    pub stages: Vec<(Stage, String, Option<u64>)>,
    /// What belongs to no scenario.
    pub notes: Vec<At<String>>,
    pub evidence: Vec<EvidenceFile>,
    pub stories: Vec<Story>,
}

/// What happened in one scenario.
#[derive(Default)]
pub struct Story {
    pub name: String,
    pub says: String,
    pub seed: String,
    pub from_ms: u64,
    pub to_ms: Option<u64>,
    pub phases: Vec<At<Phase>>,
    pub faults: Vec<FaultWindow>,
    pub series: Vec<Series>,
    pub pods: BTreeMap<(String, String), Vec<At<PodSeen>>>,
    pub events: Vec<At<KubernetesEvent>>,
    pub actions: Vec<At<String>>,
    pub notes: Vec<At<String>>,
    pub violations: Vec<Violation>,
    /// When each check was judged, by its name.
    pub judged: BTreeMap<String, u64>,
    pub evidence: Vec<EvidenceFile>,
    pub matrices: Vec<Matrix>,
}

pub struct FaultWindow {
    pub fault: String,
    pub from_ms: u64,
    pub proven_ms: Option<u64>,
    pub healed_ms: Option<u64>,
}

impl Run {
    pub fn of(records: &[Record]) -> Self {
        let mut run = Self { summary: Summary::of(records), ..Self::default() };
        records.iter().for_each(|record| run.add(record));
        run
    }

    /// The story of that scenario, if it ever started.
    pub fn story(&self, scenario: &str) -> Option<&Story> {
        self.stories.iter().find(|story| story.name == scenario)
    }

    fn of_scenario(&mut self, scenario: &str) -> &mut Story {
        let at = self.stories.iter().position(|story| story.name == scenario).unwrap_or_else(|| {
            self.stories.push(Story { name: scenario.to_owned(), ..Story::default() });
            self.stories.len() - 1
        });
        &mut self.stories[at]
    }

    fn add(&mut self, record: &Record) {
        let at = record.at_ms;
        self.last_ms = self.last_ms.max(at);
        match &record.event {
            Event::ClusterReady { kubernetes, nodes, found, .. } => {
                self.found.clone_from(found);
                self.kubernetes = Some(kubernetes.clone());
                self.nodes.clone_from(nodes);
            }
            Event::StageStarted { stage, detail } => self.stages.push((*stage, detail.clone(), None)),
            Event::StageFinished { stage, took_ms } => {
                let open = self.stages.iter_mut().rev().find(|(started, _, took)| started == stage && took.is_none());
                if let Some(open) = open {
                    open.2 = Some(*took_ms);
                }
            }
            Event::Note { scenario: None, text } | Event::Action { scenario: None, text } => {
                self.notes.push((at, text.clone()));
            }
            Event::EvidenceCollected { scenario: None, file } => self.evidence.push(file.clone()),
            other => {
                if let Some(scenario) = scenario_of(other) {
                    self.of_scenario(scenario).add(at, other);
                }
            }
        }
    }
}

/// The scenario that an event belongs to.
fn scenario_of(event: &Event) -> Option<&str> {
    match event {
        Event::Waiting { scenario, .. }
        | Event::Note { scenario, .. }
        | Event::PodChanged { scenario, .. }
        | Event::KubernetesEvent { scenario, .. }
        | Event::Action { scenario, .. }
        | Event::EvidenceCollected { scenario, .. } => scenario.as_deref(),
        Event::ScenarioStarted { scenario, .. }
        | Event::PhaseStarted { scenario, .. }
        | Event::FaultInjecting { scenario, .. }
        | Event::FaultProven { scenario, .. }
        | Event::FaultHealed { scenario, .. }
        | Event::Measured { scenario, .. }
        | Event::Checked { scenario, .. }
        | Event::WorkloadSeries { scenario, .. }
        | Event::Violated { scenario, .. }
        | Event::MatrixSeen { scenario, .. }
        | Event::ScenarioFinished { scenario, .. } => Some(scenario),
        Event::RunStarted(_)
        | Event::BaselineCompared(_)
        | Event::Digested { .. }
        | Event::OtherReleases { .. }
        | Event::StageStarted { .. }
        | Event::StageFinished { .. }
        | Event::ClusterReady { .. }
        | Event::Trouble { .. }
        | Event::Interrupted
        | Event::RunFinished { .. } => None,
    }
}

impl Story {
    fn add(&mut self, at: u64, event: &Event) {
        if self.from_ms == 0 {
            self.from_ms = at;
        }
        match event {
            Event::ScenarioStarted { summary, seed, .. } => {
                self.from_ms = at;
                self.says.clone_from(summary);
                self.seed = seed.to_string();
            }
            Event::PhaseStarted { phase, .. } => self.phases.push((at, *phase)),
            Event::FaultInjecting { fault, .. } => {
                let fault = fault.clone();
                self.faults.push(FaultWindow { fault, from_ms: at, proven_ms: None, healed_ms: None });
            }
            Event::FaultProven { fault, .. } => {
                if let Some(window) = self.open(fault) {
                    window.proven_ms = Some(at);
                }
            }
            Event::FaultHealed { fault, .. } => {
                if let Some(window) = self.open(fault) {
                    window.healed_ms = Some(at);
                }
            }
            Event::Checked { check, .. } => {
                self.judged.insert(check.name.clone(), at);
            }
            Event::WorkloadSeries { series, .. } => self.series.push(series.clone()),
            Event::PodChanged { seen, .. } => {
                self.pods.entry((seen.namespace.clone(), seen.pod.clone())).or_default().push((at, seen.clone()));
            }
            Event::KubernetesEvent { seen, .. } => self.events.push((at, seen.clone())),
            Event::Action { text, .. } => self.actions.push((at, text.clone())),
            Event::Note { text, .. } => self.notes.push((at, text.clone())),
            Event::MatrixSeen { matrix, .. } => self.matrices.push(matrix.clone()),
            Event::Violated { violation, .. } => self.violations.push(violation.clone()),
            Event::EvidenceCollected { file, .. } => self.evidence.push(file.clone()),
            Event::ScenarioFinished { .. } => self.to_ms = Some(at),
            _ => {}
        }
    }

    fn open(&mut self, fault: &str) -> Option<&mut FaultWindow> {
        self.faults.iter_mut().rev().find(|window| window.fault == fault && window.healed_ms.is_none())
    }

    /// The moment that times are told from: the first fault, or the beginning.
    pub fn zero_ms(&self) -> u64 {
        self.faults.first().map_or(self.from_ms, |fault| fault.from_ms)
    }

    /// Moments at which promises were broken. What is broken is promised: of a guess there is no such moment.
    pub fn broken<'a>(&'a self, checks: &'a [Check]) -> impl Iterator<Item = &'a Violation> {
        let is_guess = |violation: &&Violation| {
            checks.iter().any(|check| check.name == violation.check && check.outcome == Outcome::Unconfirmed)
        };
        self.violations.iter().filter(move |violation| !is_guess(violation))
    }

    /// When a broken promise was broken: as told, or when it was judged.
    pub fn moment(&self, check: &str) -> Option<(u64, bool)> {
        let told = self.violations.iter().find(|violation| violation.check == check);
        told.map(|violation| (violation.at_ms, true)).or_else(|| Some((*self.judged.get(check)?, false)))
    }
}

/// Seconds from the moment that times are told from.
pub fn offset(at_ms: u64, zero_ms: u64) -> String {
    let sign = if at_ms < zero_ms { '−' } else { '+' };
    format!("{sign}{:.1} s", at_ms.abs_diff(zero_ms) as f64 / 1000.0)
}
