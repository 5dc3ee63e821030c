//! Which scenarios run, in which order, and which are skipped and why. Decided before anything is started.

use crate::scenario::Scenario;
use gauntlet_core::contract::Deployment;
use gauntlet_core::{Capability, Seed, Selection, Trouble, suggest};
use std::collections::BTreeSet;

/// One scenario of a run.
#[derive(Clone, Copy)]
pub struct Planned {
    pub scenario: &'static dyn Scenario,
    /// Counted from 1, with `--repeat`.
    pub round: u32,
}

impl Planned {
    /// Unique within the run.
    pub fn name(&self) -> String {
        let name = self.scenario.info().name;
        if self.round == 1 { name.to_owned() } else { format!("{name}#{}", self.round) }
    }

    /// The seed of its round: a run of one round that is given it makes the same choices.
    pub fn round_seed(&self, run: Seed) -> Seed {
        if self.round == 1 { run } else { Seed::short(run.derive(&format!("round {}", self.round)).0) }
    }

    /// What all its random choices follow from.
    pub fn seed(&self, run: Seed) -> Seed {
        self.round_seed(run).derive(self.scenario.info().name)
    }
}

/// The selected scenarios, `repeat` times over.
///
/// # Errors
/// A filter selects nothing, with the name that was probably meant.
pub fn plan(all: &[&'static dyn Scenario], selection: &Selection, repeat: u32) -> Result<Vec<Planned>, Trouble> {
    let names: Vec<&str> = all.iter().map(|scenario| scenario.info().name).collect();
    if let Some(filter) = selection.idle_filters(&names).first() {
        let trouble = Trouble::input(format!("no scenario matches `{filter}`"));
        let hint = suggest::sentence(filter, names.iter().copied());
        return Err(hint.into_iter().fold(trouble, Trouble::hint).hint("see all of them: gauntlet list"));
    }
    let selected: Vec<&'static dyn Scenario> =
        all.iter().copied().filter(|scenario| selection.selects(scenario.info().name)).collect();
    if selected.is_empty() {
        return Err(Trouble::input("nothing is left to run: --skip excludes every selected scenario"));
    }
    Ok((1..=repeat).flat_map(|round| selected.iter().map(move |&scenario| Planned { scenario, round })).collect())
}

/// The powers that those of the scenarios need that apply to the deployment.
pub fn needs(planned: &[Planned], deployment: Deployment<'_>) -> BTreeSet<Capability> {
    let applying = planned.iter().filter(|planned| planned.scenario.applies(deployment).is_ok());
    applying.flat_map(|planned| planned.scenario.info().needs).copied().collect()
}

/// Why a scenario cannot run on this deployment with these capabilities, all that is missing; `None` when it can.
pub fn skip_reason(
    scenario: &dyn Scenario,
    deployment: Deployment<'_>,
    capabilities: &BTreeSet<Capability>,
    lack: impl Fn(Capability) -> Option<String>,
    provider: &str,
) -> Option<String> {
    if let Err(reason) = scenario.applies(deployment) {
        return Some(reason);
    }
    let missing = scenario.info().needs.iter().filter(|need| !capabilities.contains(need));
    let missing: Vec<String> =
        missing.map(|need| lack(*need).map_or_else(|| need.to_string(), |why| format!("{need} ({why})"))).collect();
    (!missing.is_empty())
        .then(|| format!("the provider `{provider}` cannot do what this needs: {}", missing.join("; ")))
}
