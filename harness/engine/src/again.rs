//! The commands that repeat a run, or one scenario of it.

use crate::plan::Planned;
use gauntlet_core::Seed;

/// What a run was told, as a shell takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Again {
    /// What holds for each of its scenarios: `gauntlet run --system cordum …`, without a seed.
    pub command: String,
    /// What says which scenarios run, and how often.
    pub selection: String,
}

impl Again {
    /// Repeats the whole run.
    pub fn run(&self, seed: Seed) -> String {
        format!("{} --seed {seed} {}", self.command, self.selection).trim_end().to_owned()
    }

    /// Repeats one scenario as it was in its round, by itself.
    pub fn scenario(&self, planned: &Planned, seed: Seed) -> String {
        let name = planned.scenario.info().name;
        format!("{} --seed {} --exact {name}", self.command, planned.round_seed(seed))
    }
}
