//! Where the time of a run went: the phases of its scenarios, and the stages around them.

use gauntlet_core::event::{Event, Phase, Record, Stage};
use std::collections::BTreeMap;

/// Every phase, in the order in which they come.
pub const PHASES: [Phase; 7] =
    [Phase::SteadyState, Phase::Control, Phase::Inject, Phase::Observe, Phase::Heal, Phase::Recovery, Phase::Judge];

/// Times in milliseconds. What several clusters did at once counts for each of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    scenarios: BTreeMap<String, BTreeMap<Phase, u64>>,
    stages: BTreeMap<Stage, u64>,
    /// Phases that have not ended, and when they began.
    open: BTreeMap<String, (Phase, u64)>,
}

impl Times {
    pub fn add(&mut self, record: &Record) {
        match &record.event {
            Event::PhaseStarted { scenario, phase } => {
                self.close(scenario, record.at_ms);
                self.open.insert(scenario.clone(), (*phase, record.at_ms));
            }
            Event::ScenarioFinished { scenario, .. } => self.close(scenario, record.at_ms),
            Event::StageFinished { stage, took_ms } => *self.stages.entry(*stage).or_default() += took_ms,
            _ => {}
        }
    }

    fn close(&mut self, scenario: &str, at_ms: u64) {
        let Some((phase, began_ms)) = self.open.remove(scenario) else { return };
        let phases = self.scenarios.entry(scenario.to_owned()).or_default();
        *phases.entry(phase).or_default() += at_ms.saturating_sub(began_ms);
    }

    /// What a scenario spent in a phase, however often it came back to it; `None` where it never was in it.
    pub fn of(&self, scenario: &str, phase: Phase) -> Option<u64> {
        self.scenarios.get(scenario)?.get(&phase).copied()
    }

    /// Everything that took time, the longest first.
    pub fn in_all(&self) -> Vec<(&'static str, u64)> {
        let of_phases = PHASES.iter().map(|phase| {
            let took = self.scenarios.values().filter_map(|phases| phases.get(phase)).sum();
            (phase.title(), took)
        });
        let of_stages = self.stages.iter().map(|(stage, took)| (stage.title(), *took));
        let mut all: Vec<(&str, u64)> = of_phases.chain(of_stages).filter(|(_, took)| *took > 0).collect();
        all.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(at_ms: u64, scenario: &str, phase: Phase) -> Record {
        Record::new(at_ms, Event::PhaseStarted { scenario: scenario.into(), phase })
    }

    #[test]
    fn a_phase_lasts_until_the_next_of_its_scenario_and_adds_up_when_it_comes_again() {
        let mut times = Times::default();
        let records = [
            phase(1_000, "a", Phase::Inject),
            phase(1_500, "b", Phase::Control),
            phase(3_000, "a", Phase::Observe),
            phase(4_000, "a", Phase::Inject),
            phase(4_500, "a", Phase::Judge),
            Record::new(9_000, Event::StageFinished { stage: Stage::Cluster, took_ms: 700 }),
        ];
        records.iter().for_each(|record| times.add(record));
        assert_eq!(times.of("a", Phase::Inject), Some(2_500));
        assert_eq!(times.of("a", Phase::Heal), None);
        assert_eq!(times.of("b", Phase::Control), None, "it has not ended");
        let expected = [("inject", 2_500), ("observe", 1_000), ("bring up the cluster", 700)];
        assert_eq!(times.in_all(), expected);
    }
}
