//! `network.matrix`: every source tries every destination and port, from inside the pods, while a canary shows that
//! policies are enforced. What a row allows must answer; what the contract denies must stay silent, between two moments
//! in which the same target answered somebody else.

use super::members::{Member, Members};
use super::parties;
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
use gauntlet_core::contract::network::{Network, Protocol};
use gauntlet_core::event::Phase;
use gauntlet_core::judgement::Question;
use gauntlet_core::matrix::Seen;
use gauntlet_core::matrix::asked::{Asked, AskedCell};
use gauntlet_core::matrix::judge::{self, Enforcement, Flanks, Probed};
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Capability, Info, Trouble};
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
            needs: &[Capability::EnterPods],
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
        let fault = lab.inject(DenyIngress::new(&lab.run, "gauntlet-canary", labels, canary), control).await?;
        let Some(enforcement) = fault.fault().enforcement() else {
            let is_ignored = fault.fault().is_ignored();
            lab.heal(fault).await?;
            if is_ignored && !lab.cluster().capabilities().contains(&Capability::EnforcePolicies) {
                lab.unsuited("this cluster's network enforces no policies: pods are reached under one that denies it");
            }
            return Ok(());
        };
        if let Some(after) = fault.fault().enforced_after() {
            lab.figure("time to enforcement", after.as_secs_f64(), "s", None);
        }

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
        let cells = &self.questions.plan.cells;
        let cells = cells.iter().map(|cell| self.asked(cell, &sweep, &flanks, enforcement, &policies)).collect();
        let promise = self.questions.network.promise.as_str().to_owned();
        let asked = Asked { promise, enforcement, cells };
        let matrix = asked.matrix();
        lab.ask(&BTreeMap::new(), Question::Matrix(asked));
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
            namespace: self.questions.members.names.namespace.clone(),
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

    fn asked(
        &self,
        cell: &Planned,
        sweep: &Round,
        flanks: &BTreeMap<Target, Flanks>,
        enforcement: Enforcement,
        policies: &Policies,
    ) -> AskedCell {
        let none = Flanks { before: None, after: None };
        let (source, destination) =
            (&self.questions.plan.sources[cell.source], &self.questions.plan.destinations[cell.destination]);
        let probes = self.questions.probes(cell);
        let probed = probes.iter().map(|(prober, member, target, _)| Probed {
            way: format!("{} → {target}", member.pod),
            seen: sweep.of(*prober, target),
            flanks: flanks.get(target).copied().unwrap_or(none),
        });
        let mut asked = AskedCell {
            from: source.name.clone(),
            to: destination.name.clone(),
            port: cell.port,
            protocol: cell.protocol,
            expected: cell.expected.clone(),
            nothing_there: self.questions.nothing_there(cell),
            probes: probed.collect(),
            policies: vec![],
        };
        if asked.judged(enforcement).differs()
            && let Some(place) = judge::telling(&asked.expected, &asked.probes)
        {
            let (_, member, _, reached) = &probes[place];
            asked.policies = self.explain(cell, member, *reached, policies);
        }
        asked
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
}
