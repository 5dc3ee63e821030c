//! `network.matrix`: every source tries every destination and port, from inside the pods, while a canary shows that
//! policies are enforced. What a row allows must answer; what the contract denies must stay silent, between two moments
//! in which the same target answered somebody else.

use super::judge::{self, Enforcement, Flanks, Probed};
use super::members::{Member, Members};
use super::parties::{self, NAMESPACE};
use super::plan::{OWN_PORT, Plan, Planned};
use super::policies::Policies;
use super::questions::Questions;
use super::rounds::{self, Round, Wanted};
use super::targets;
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
use gauntlet_core::{Capability, Info, Outcome, Trouble};
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
        let questions = Questions { network, plan: &plan, members: &members, resolved: &resolved };
        let judged = Trial { lab, questions }.run().await;
        let removed = members.remove(lab).await;
        judged.and(removed)
    }
}

/// A matrix under way.
struct Trial<'a> {
    lab: &'a Lab,
    questions: Questions<'a>,
}

impl Trial<'_> {
    async fn run(&self) -> Result<(), Trouble> {
        let lab = self.lab;
        let canary = self.canary()?;
        let control = canary.until(lab.scene(), "before any policy", |seen| seen == Seen::Open).await;
        let controls = self.questions.controls();
        let before = self.ask("before", &controls, PATIENCE).await;

        lab.phase(Phase::Inject);
        let labels = parties::canary_labels();
        let fault = lab.inject(DenyIngress::new("gauntlet-canary", labels, canary.clone()), control).await?;
        if !fault.took_effect() {
            let is_ignored = fault.fault().is_ignored();
            lab.heal(fault).await?;
            if is_ignored && !lab.cluster().capabilities().contains(&Capability::EnforcePolicies) {
                lab.unsuited("this cluster's network enforces no policies: pods are reached under one that denies it");
            }
            return Ok(());
        }
        if let Some(after) = fault.fault().enforced_after() {
            lab.figure("time to enforcement", after.as_secs_f64(), "s", None);
        }
        let enforcement = match canary.ask(lab.scene()).await? {
            Seen::Refused => Enforcement::Rejects,
            _ => Enforcement::Drops,
        };

        lab.phase(Phase::Observe);
        let started = Instant::now();
        let mut sweep = self.ask("sweep", &self.questions.everything(), PATIENCE).await;
        lab.figure("matrix", sweep.seen.len() as f64, "probes", None);
        lab.figure("sweep", started.elapsed().as_secs_f64(), "s", None);
        let again = self.ask("again", &self.questions.worth_asking_again(&sweep), SECOND_PATIENCE).await;
        sweep.seen.extend(again.seen);
        let policies = self.policies().await?;

        lab.phase(Phase::Heal);
        lab.heal(fault).await?;
        let after = self.ask("after", &controls, PATIENCE).await;

        lab.phase(Phase::Judge);
        let flanks = self.questions.flanks(&before, &after);
        let cells = self
            .questions
            .plan
            .cells
            .iter()
            .map(|cell| self.judge(cell, &sweep, &flanks, enforcement, &policies))
            .collect();
        let matrix = Matrix { cells };
        self.check(&matrix);
        let guessed = lab.is_guessed(self.questions.network.promise.as_str());
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
        let answers =
            self.questions.members.named(answers).ok_or_else(|| Trouble::harness("the canary does not run"))?;
        Ok(Canary {
            namespace: NAMESPACE.to_owned(),
            pod: asks.to_owned(),
            container: parties::CONTAINER.to_owned(),
            target: Target::new(&answers.address, OWN_PORT, Protocol::Tcp),
        })
    }

    async fn ask(&self, what: &str, wanted: &Wanted, patience: Duration) -> Round {
        let round = rounds::ask(self.lab.access(), &self.questions.members.all, wanted, patience).await;
        for trouble in &round.troubles {
            self.lab.note(format!("{what}: {trouble}"));
        }
        round
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
        let (source, destination) =
            (&self.questions.plan.sources[cell.source], &self.questions.plan.destinations[cell.destination]);
        let asked = self.questions.probes(cell);
        let probes: Vec<Probed> = asked
            .iter()
            .map(|(prober, member, target, _)| Probed {
                way: format!("{} → {target}", member.pod),
                seen: sweep.of(*prober, target),
                flanks: flanks.get(target).copied().unwrap_or(none),
            })
            .collect();
        let nothing_there = self.questions.nothing_there(cell);
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
        let resolved = &self.questions.resolved[cell.destination];
        let reached =
            reached.or(resolved.behind.first().copied()).and_then(|place| self.questions.members.all.get(place));
        let to = reached.map_or_else(|| resolved.end.clone(), Member::end);
        let port = resolved.target_ports.get(&cell.port).copied().unwrap_or(cell.port);
        policies.explain(&member.end(), &to, port, cell.protocol)
    }

    /// One check a source.
    fn check(&self, matrix: &Matrix) {
        let promise = self.questions.network.promise.as_str();
        for source in &self.questions.plan.sources {
            let row: Vec<&Cell> = matrix.cells.iter().filter(|cell| cell.from == source.name).collect();
            let (outcome, detail) = row_outcome(&row);
            if let Some(outcome) = outcome {
                self.lab.check(promise, &format!("{} reaches what it may and no more", source.name), outcome, detail);
            }
        }
    }
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
}
