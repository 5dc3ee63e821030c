//! `network.matrix`: every source tries every destination and port, from inside the pods, while a canary shows that
//! policies are enforced. What a row allows must answer; what the contract denies must stay silent, between two moments
//! in which the same target answered somebody else.

use super::judge::{self, Enforcement, Flanks, Probed};
use super::members::{Member, Members};
use super::parties::{self, NAMESPACE};
use super::plan::{OWN_PORT, Plan, Planned, What, Who};
use super::policies::Policies;
use super::rounds::{self, Round, Wanted};
use super::targets::{self, Resolved};
use crate::workload::fleet;
use async_trait::async_trait;
use gauntlet_chaos::deny::{Canary, DenyIngress};
use gauntlet_cluster::probe::Target;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::network::{Expected, Network, Protocol};
use gauntlet_core::event::Phase;
use gauntlet_core::matrix::{Cell, Matrix, Seen};
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Info, Outcome, Trouble};
use gauntlet_engine::{Lab, Scenario};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub struct NetworkMatrix;

/// How long silence is listened to.
const PATIENCE: Duration = Duration::from_secs(3);

/// What should have answered and did not is listened to for longer, since a slow machine is silent too; so is a name
/// that was not resolved.
const SECOND_PATIENCE: Duration = Duration::from_secs(10);

/// Broken cells that a check tells; all of them stand in the matrix.
const TOLD: usize = 5;

fn network<'a>(deployment: Deployment<'a>) -> Option<&'a Network> {
    let network = deployment.contract.network.as_ref()?;
    let here = network.overlays.is_empty() || network.overlays.iter().any(|o| o.value == deployment.overlay_name);
    here.then_some(network)
}

#[async_trait]
impl Scenario for NetworkMatrix {
    fn info(&self) -> Info {
        Info {
            name: "network.matrix",
            summary: "every source tries every destination and port: what the document allows answers, the rest is silent",
            needs: &[],
            cluster: ClusterNeed::Shared,
            deadline: Span::from_secs(600),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        let network = network(deployment).ok_or("this overlay promises nothing about who may reach whom")?;
        if network.restricted_ingress.is_empty() && network.restricted_egress.is_empty() {
            return Err("the contract restricts nobody".to_owned());
        }
        Ok(())
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let network = network(lab.deployment()).ok_or_else(|| Trouble::harness("no network to check"))?;
        // Nothing of it is judged, so what each guessed row would come to may as well be told.
        let assumed = lab.is_guessed(network.promise.as_str()).then(|| network.assumed());
        let network = assumed.as_ref().unwrap_or(network);
        // What lets clients of other scenarios in would let others in, too, or close what is open.
        fleet::remove_policies(lab).await?;
        let plan = Plan::of(lab.deployment(), network, &targets::beyond(lab));
        lab.phase(Phase::Control);
        let members = Members::place(lab, network, &plan).await?;
        for (who, why) in &members.missing {
            lab.note(format!("no prober for {who:?}: {why}"));
        }
        let resolved = targets::resolve(lab, &plan, &members).await?;
        let judged = Trial { lab, network, plan: &plan, members: &members, resolved: &resolved }.run().await;
        let removed = members.remove(lab).await;
        judged.and(removed)
    }
}

/// A matrix under way.
struct Trial<'a> {
    lab: &'a Lab,
    network: &'a Network,
    plan: &'a Plan,
    members: &'a Members,
    resolved: &'a [Resolved],
}

impl Trial<'_> {
    async fn run(&self) -> Result<(), Trouble> {
        let lab = self.lab;
        let canary = self.canary()?;
        let control = canary.until(lab.scene(), "before any policy", |seen| seen == Seen::Open).await;
        let controls = self.controls();
        let before = self.ask("before", &controls, PATIENCE).await;

        lab.phase(Phase::Inject);
        let labels = parties::canary_labels();
        let fault = DenyIngress { policy: "gauntlet-canary".to_owned(), labels, canary: canary.clone() };
        let fault = lab.inject(fault, control).await?;
        if !fault.took_effect() {
            lab.heal(fault).await?;
            return Ok(());
        }
        let enforcement = match canary.ask(lab.scene()).await? {
            Seen::Refused => Enforcement::Rejects,
            _ => Enforcement::Drops,
        };

        lab.phase(Phase::Observe);
        let started = Instant::now();
        let mut sweep = self.ask("sweep", &self.everything(), PATIENCE).await;
        lab.figure("matrix", sweep.seen.len() as f64, "probes", None);
        lab.figure("sweep", started.elapsed().as_secs_f64(), "s", None);
        let again = self.ask("again", &self.worth_asking_again(&sweep), SECOND_PATIENCE).await;
        sweep.seen.extend(again.seen);
        let policies = self.policies().await?;

        lab.phase(Phase::Heal);
        lab.heal(fault).await?;
        let after = self.ask("after", &controls, PATIENCE).await;

        lab.phase(Phase::Judge);
        let flanks = self.flanks(&before, &after);
        let cells =
            self.plan.cells.iter().map(|cell| self.judge(cell, &sweep, &flanks, enforcement, &policies)).collect();
        let matrix = Matrix { cells };
        self.check(&matrix);
        let guessed = lab.is_guessed(self.network.promise.as_str());
        lab.matrix(if guessed { matrix.unconfirmed() } else { matrix });
        Ok(())
    }

    async fn policies(&self) -> Result<Policies, Trouble> {
        let client = &self.lab.access().client;
        let (policies, namespaces): (Api<NetworkPolicy>, Api<Namespace>) =
            (Api::all(client.clone()), Api::all(client.clone()));
        let policies = policies.list(&ListParams::default()).await.or_trouble(|| "cannot list NetworkPolicies")?;
        let namespaces = namespaces.list(&ListParams::default()).await.or_trouble(|| "cannot list namespaces")?;
        let labels = |namespace: &Namespace| (namespace.name_any(), namespace.labels().clone());
        Ok(Policies { items: policies.items, namespaces: namespaces.items.iter().map(labels).collect() })
    }

    fn canary(&self) -> Result<Canary, Trouble> {
        let [asks, answers] = parties::CANARIES;
        let answers = self.members.named(answers).ok_or_else(|| Trouble::harness("the canary does not run"))?;
        Ok(Canary {
            namespace: NAMESPACE.to_owned(),
            pod: asks.to_owned(),
            container: parties::CONTAINER.to_owned(),
            target: Target::new(&answers.address, OWN_PORT, Protocol::Tcp),
        })
    }

    async fn ask(&self, what: &str, wanted: &Wanted, patience: Duration) -> Round {
        let round = rounds::ask(self.lab.access(), &self.members.all, wanted, patience).await;
        for trouble in &round.troubles {
            self.lab.note(format!("{what}: {trouble}"));
        }
        round
    }

    /// Every probe of a cell: who asks, and what.
    fn probes(&self, cell: &Planned) -> Vec<(usize, &Member, Target, Option<usize>)> {
        let resolved = &self.resolved[cell.destination];
        let mut probes = Vec::new();
        for (prober, member) in self.members.probers(&self.plan.sources[cell.source].who) {
            for way in targets::ways_from(resolved, prober, member, cell.port) {
                probes.push((prober, member, targets::target(way, cell.port, cell.protocol), way.pod));
            }
        }
        probes
    }

    fn everything(&self) -> Wanted {
        let mut wanted = Wanted::new();
        for (prober, _, target, _) in self.plan.cells.iter().flat_map(|cell| self.probes(cell)) {
            wanted.entry(prober).or_default().insert(target);
        }
        wanted
    }

    /// Those who may reach a target; every pod itself; and for what is no restricted pod, somebody without any policy.
    fn controls(&self) -> Wanted {
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
    fn worth_asking_again(&self, sweep: &Round) -> Wanted {
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
    fn flanks(&self, before: &Round, after: &Round) -> BTreeMap<Target, Flanks> {
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

    fn judge(
        &self,
        cell: &Planned,
        sweep: &Round,
        flanks: &BTreeMap<Target, Flanks>,
        enforcement: Enforcement,
        policies: &Policies,
    ) -> Cell {
        let none = Flanks { before: None, after: None };
        let (source, destination) = (&self.plan.sources[cell.source], &self.plan.destinations[cell.destination]);
        let asked = self.probes(cell);
        let probes: Vec<Probed> = asked
            .iter()
            .map(|(prober, member, target, _)| Probed {
                way: format!("{} → {target}", member.pod),
                seen: sweep.of(*prober, target),
                flanks: flanks.get(target).copied().unwrap_or(none),
            })
            .collect();
        let nothing_there = self.nothing_there(cell);
        let (outcome, detail) = match nothing_there {
            Some(why) => (None, why),
            None => judge::judge(&cell.expected, &probes, enforcement),
        };
        let differs = matches!(outcome, Some(Outcome::Broken | Outcome::Unknown));
        Cell {
            from: source.name.clone(),
            to: destination.name.clone(),
            port: cell.port,
            protocol: cell.protocol,
            expected: cell.expected.clone(),
            seen: judge::tally(&probes),
            outcome,
            detail: if differs || outcome.is_none() { detail } else { String::new() },
            policies: match judge::telling(&cell.expected, &probes).filter(|_| differs) {
                Some(place) => self.explain(cell, asked[place].1, asked[place].3, policies),
                None => vec![],
            },
        }
    }

    /// What the policies say of one probe of a cell.
    fn explain(&self, cell: &Planned, member: &Member, reached: Option<usize>, policies: &Policies) -> Vec<String> {
        let resolved = &self.resolved[cell.destination];
        let reached = reached.or(resolved.behind.first().copied()).and_then(|place| self.members.all.get(place));
        let to = reached.map_or_else(|| resolved.end.clone(), Member::end);
        let port = resolved.target_ports.get(&cell.port).copied().unwrap_or(cell.port);
        policies.explain(&member.end(), &to, port, cell.protocol)
    }

    /// Why a cell has nothing to probe although everybody is in place: nobody reaches for himself, and a Service need
    /// not have every port of its pods.
    fn nothing_there(&self, cell: &Planned) -> Option<String> {
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

    /// One check a source.
    fn check(&self, matrix: &Matrix) {
        let promise = self.network.promise.as_str();
        for source in &self.plan.sources {
            let row: Vec<&Cell> = matrix.cells.iter().filter(|cell| cell.from == source.name).collect();
            let (outcome, detail) = row_outcome(&row);
            if let Some(outcome) = outcome {
                self.lab.check(promise, &format!("{} reaches what it may and no more", source.name), outcome, detail);
            }
        }
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

/// What the cells of one source come to; nothing where all of them are left open.
fn row_outcome(row: &[&Cell]) -> (Option<Outcome>, String) {
    let of = |outcome: Outcome| row.iter().filter(move |cell| cell.outcome == Some(outcome));
    let count = |outcome: Outcome| of(outcome).count();
    let tell = |outcome: Outcome| {
        let told = of(outcome).take(TOLD).map(|cell| {
            let policies =
                if cell.policies.is_empty() { String::new() } else { format!(" ({})", cell.policies.join("; ")) };
            let (expected, seen) = (cell.expected.word(), cell.seen_words());
            format!(
                "{} {}/{}: expected {expected}, seen {seen}: {}{policies}",
                cell.to, cell.port, cell.protocol, cell.detail
            )
        });
        let more = count(outcome).saturating_sub(TOLD);
        let rest = if more > 0 { format!("\nand {more} more") } else { String::new() };
        format!("{}{rest}", told.collect::<Vec<String>>().join("\n"))
    };
    for outcome in [Outcome::Broken, Outcome::Unknown] {
        if count(outcome) > 0 {
            return (Some(outcome), tell(outcome));
        }
    }
    let held = of(Outcome::Held);
    let allowed = held.clone().filter(|cell| matches!(cell.expected, Expected::Allowed(_))).count();
    let denied = held.count() - allowed;
    let open = row.iter().filter(|cell| cell.outcome.is_none()).count();
    let detail = format!("{allowed} allowed and answered, {denied} denied and silent, {open} not judged");
    ((allowed + denied > 0).then_some(Outcome::Held), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(expected: Expected, outcome: Option<Outcome>) -> Cell {
        Cell {
            from: "api".into(),
            to: "db".into(),
            port: 5432,
            protocol: Protocol::Tcp,
            expected,
            seen: [(Seen::Open, 2)].into(),
            outcome,
            detail: "2 of 2 got through".into(),
            policies: vec!["ingress of the destination: db-in".into()],
        }
    }

    fn outcome(cells: &[Cell]) -> (Option<Outcome>, String) {
        row_outcome(&cells.iter().collect::<Vec<&Cell>>())
    }

    #[test]
    fn a_row_is_as_good_as_its_worst_cell_and_names_it() {
        let denied = || Expected::Denied(String::new());
        let held = cell(Expected::Allowed(String::new()), Some(Outcome::Held));
        let (broken, unknown) = (cell(denied(), Some(Outcome::Broken)), cell(denied(), Some(Outcome::Unknown)));
        let open = cell(Expected::Open(String::new()), None);
        assert_eq!(
            outcome(&[held.clone(), open.clone()]),
            (Some(Outcome::Held), "1 allowed and answered, 0 denied and silent, 1 not judged".to_owned())
        );
        assert_eq!(outcome(&[held.clone(), unknown.clone()]).0, Some(Outcome::Unknown));
        let (worst, detail) = outcome(&[held, unknown, broken]);
        assert_eq!(worst, Some(Outcome::Broken));
        assert_eq!(
            detail,
            "db 5432/tcp: expected denied, seen open: 2 of 2 got through (ingress of the destination: db-in)"
        );
        assert_eq!(outcome(&[open]).0, None, "what is open everywhere says nothing");
    }

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
