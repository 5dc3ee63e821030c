//! What is asked: of whom, by whom, and who answers for whom. Pure.

use super::members::{Member, Members};
use super::plan::{Plan, Planned, What, Who};
use super::rounds::{Round, Wanted};
use super::targets::{self, Resolved};
use gauntlet_cluster::probe::Target;
use gauntlet_core::contract::network::{Expected, Network};
use gauntlet_core::matrix::Seen;
use gauntlet_core::matrix::judge::Flanks;
use std::collections::BTreeMap;

/// A matrix with everybody in place.
pub struct Questions<'a> {
    pub network: &'a Network,
    pub plan: &'a Plan,
    pub members: &'a Members,
    pub resolved: &'a [Resolved],
}

impl Questions<'_> {
    /// Every probe of a cell: who asks, and what.
    pub fn probes(&self, cell: &Planned) -> Vec<(usize, &Member, Target, Option<usize>)> {
        let resolved = &self.resolved[cell.destination];
        let mut probes = Vec::new();
        for (prober, member) in self.members.probers(&self.plan.sources[cell.source].who) {
            for way in targets::ways_from(resolved, prober, member, cell.port) {
                probes.push((prober, member, targets::target(way, cell.port, cell.protocol), way.pod));
            }
        }
        probes
    }

    pub fn everything(&self) -> Wanted {
        let mut wanted = Wanted::new();
        for (prober, _, target, _) in self.plan.cells.iter().flat_map(|cell| self.probes(cell)) {
            wanted.entry(prober).or_default().insert(target);
        }
        wanted
    }

    /// Those who may reach a target; every pod itself; and for what is no restricted pod, somebody without any policy.
    pub fn controls(&self) -> Wanted {
        let mut wanted = Wanted::new();
        for cell in self.plan.cells.iter().filter(|cell| matches!(cell.expected, Expected::Allowed(_))) {
            for (prober, _, target, _) in self.probes(cell) {
                wanted.entry(prober).or_default().insert(target);
            }
        }
        for (place, destination) in self.plan.destinations.iter().enumerate() {
            let resolved = &self.resolved[place];
            let witnessed = match &destination.what {
                What::Pods(_) => false,
                What::Service { workload, .. } => !self.network.restricts_ingress(workload),
                What::Dns | What::ApiServer | What::Nodes | What::Outside(_) => true,
            };
            for (port, protocol) in destination.ports.iter().copied() {
                for way in &resolved.ways {
                    if let Some(pod) = way.pod.filter(|pod| self.members.asks(*pod)) {
                        wanted.entry(pod).or_default().insert(targets::target(way, port, protocol));
                    }
                    if witnessed {
                        for (witness, _) in self.members.probers(&Who::Foreign) {
                            wanted.entry(witness).or_default().insert(targets::target(way, port, protocol));
                        }
                    }
                }
            }
        }
        wanted
    }

    /// What is asked once more, with more patience: silence where an answer was due, and names that were not resolved.
    pub fn worth_asking_again(&self, sweep: &Round) -> Wanted {
        let mut wanted = Wanted::new();
        for cell in &self.plan.cells {
            let again = match cell.expected {
                Expected::Allowed(_) => [Seen::Timeout, Seen::Unresolved].as_slice(),
                Expected::Denied(_) => &[Seen::Unresolved],
                Expected::Open(_) => &[],
            };
            for (prober, _, target, _) in self.probes(cell) {
                if again.contains(&sweep.of(prober, &target)) {
                    wanted.entry(prober).or_default().insert(target);
                }
            }
        }
        wanted
    }

    /// How every target answered somebody who may reach it, before and after.
    pub fn flanks(&self, before: &Round, after: &Round) -> BTreeMap<Target, Flanks> {
        let (before, after) = (answered(before), answered(after));
        let mut flanks: BTreeMap<Target, Flanks> = BTreeMap::new();
        for (place, destination) in self.plan.destinations.iter().enumerate() {
            let resolved = &self.resolved[place];
            for (port, protocol) in destination.ports.iter().copied() {
                let behind = resolved.behind.iter().filter_map(|pod| self.members.all.get(*pod));
                let behind: Vec<Target> = behind.map(|member| Target::new(&member.address, port, protocol)).collect();
                for way in &resolved.ways {
                    let target = targets::target(way, port, protocol);
                    // A Service answers as the pods behind it do, where nobody may use it.
                    let of = |round: &BTreeMap<Target, Seen>| {
                        std::iter::once(&target).chain(&behind).find_map(|target| round.get(target).copied())
                    };
                    flanks.insert(target.clone(), Flanks { before: of(&before), after: of(&after) });
                }
            }
        }
        flanks
    }

    /// Why a cell has nothing to probe although everybody is in place: nobody reaches for himself, and a Service need
    /// not have every port of its pods.
    pub fn nothing_there(&self, cell: &Planned) -> Option<String> {
        let resolved = &self.resolved[cell.destination];
        let offers = |way: &targets::Way| way.ports.as_ref().is_none_or(|ports| ports.contains(&cell.port));
        let has_prober = self.members.probers(&self.plan.sources[cell.source].who).next().is_some();
        let ways: Vec<&targets::Way> = resolved.ways.iter().filter(|way| offers(way)).collect();
        if !resolved.ways.is_empty() && ways.is_empty() {
            return Some("the Service does not offer this port".to_owned());
        }
        let itself = has_prober && !ways.is_empty() && self.probes(cell).is_empty();
        itself.then(|| "the source would reach for itself".to_owned())
    }
}

/// The best answer that each target gave in a round of controls. One that may be asked by several is known by any.
fn answered(round: &Round) -> BTreeMap<Target, Seen> {
    let mut answers = BTreeMap::new();
    for ((_, target), seen) in &round.seen {
        match seen {
            Seen::Open => drop(answers.insert(target.clone(), Seen::Open)),
            Seen::Refused => drop(answers.entry(target.clone()).or_insert(Seen::Refused)),
            Seen::Timeout | Seen::Unresolved | Seen::ProbeFailed => {}
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::contract::network::Protocol;

    #[test]
    fn a_target_is_known_by_its_best_answer() {
        let target = |port| Target::new("10.0.0.1", port, Protocol::Tcp);
        let seen = [
            ((0, target(1)), Seen::Timeout),
            ((1, target(1)), Seen::Open),
            ((2, target(1)), Seen::Refused),
            ((0, target(2)), Seen::Timeout),
        ];
        let round = Round { seen: seen.into(), troubles: vec![] };
        assert_eq!(answered(&round), [(target(1), Seen::Open)].into());
    }
}
