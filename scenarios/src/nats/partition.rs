//! `nats.partition`: the server that leads a stream is cut off from its peers, but not from its clients; then each server
//! in turn from all clients, but not from its peers. Whoever is on the side of the few gets nothing acknowledged, the
//! others are served, and afterwards the history is whole.

use super::checks::{self, Window};
use super::members::Members;
use super::quorum_loss::{await_restart, check_refusals};
use super::{AT_WORK, LOAD, LOST_QUORUM, Subject};
use crate::workload::fleet::Histories;
use crate::workload::{Fleet, Load, judge, now_us, set_to_work};
use async_trait::async_trait;
use gauntlet_chaos::traffic::{CutTraffic, DisturbTraffic};
use gauntlet_cluster::traffic::Party;
use gauntlet_core::checkers::nats;
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::Phase;
use gauntlet_core::judgement::Telling;
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::{Evidence, Info, Trouble};
use gauntlet_engine::{Lab, Scenario};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

pub struct Partition;

/// A client at each server that knows no other, and those that know all. Each reads the whole stream back in the end.
const PINNED: Load = Load { pinned: true, pause_ms: 100, ..LOAD };

#[async_trait]
impl Scenario for Partition {
    fn info(&self) -> Info {
        Info {
            name: "nats.partition",
            summary: "servers are cut off from peers, then from clients: the few acknowledge nothing, the many go on",
            needs: &[CutTraffic::NEEDS],
            cluster: ClusterNeed::Shared,
            deadline: Span::from_secs(1200),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        Subject::applies(deployment)
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let subject = Subject::of(lab.deployment()).ok_or_else(|| Trouble::harness("no JetStream cluster"))?;
        let (control, fleet) = set_to_work(lab, PINNED).await?;
        let members = Members::of(lab, subject, &fleet).await?;
        let experiment = Experiment { lab, subject, members, fleet, control };
        let answer = checks::replication(lab, subject, &experiment.fleet).await?;
        let mut cuts = Vec::new();
        let leader = experiment.members.leader_of(&answer, &experiment.fleet.stream())?;
        let Some(cut) = experiment.cut_peers(&leader).await? else { return Ok(()) };
        let mut whole = checks::whole_again(lab, subject, &experiment.fleet, &cut.window.after).await.is_some();
        cuts.push(cut);
        for pod in experiment.members.pods() {
            // The next one is cut off alone, or not at all.
            if !whole {
                break;
            }
            let Some(cut) = experiment.cut_clients(&pod).await? else { return Ok(()) };
            whole = checks::whole_again(lab, subject, &experiment.fleet, &cut.window.after).await.is_some();
            cuts.push(cut);
        }
        let histories = experiment.fleet.finish().await?;

        lab.phase(Phase::Judge);
        for cut in &cuts {
            cut.judge(lab, subject, &histories);
        }
        let windows: Vec<Window> = cuts.iter().map(|cut| cut.window.clone()).collect();
        checks::served_again(lab, subject, &histories, &windows);
        for (client, _) in histories.pinned(lab.deployment()) {
            let name = format!("what was acknowledged to clients of {client} is there once and in order");
            judge::judge_nats(lab, &histories, client, subject.durability(), &name);
        }
        checks::histories(lab, subject, &histories, &windows);
        Ok(())
    }
}

/// Everything that every cut needs.
struct Experiment<'a> {
    lab: &'a Lab,
    subject: Subject<'a>,
    members: Members<'a>,
    fleet: Fleet<'a>,
    control: Evidence,
}

/// A server that was cut off.
struct Cut {
    victim: String,
    /// What it was cut off from, in people's words.
    from: &'static str,
    cut: nats::Span,
    /// In which those must be served who are owed it: during the cut those on the side of the many, or after it all.
    window: Window,
}

impl<'a> Experiment<'a> {
    /// Cuts the leader off from its peers, for longer than its probes are patient. Clients of it stay with it, so that
    /// only those at other servers must be served; everybody must be when it is over.
    async fn cut_peers(&self, victim: &str) -> Result<Option<Cut>, Trouble> {
        let peers: Vec<String> = self.members.pods().into_iter().filter(|pod| pod != victim).collect();
        let peers = peers.iter().map(|pod| Party::pod(self.members.namespace(), pod)).collect();
        let hold = self.members.patience(&self.lab.view().snapshot());
        self.lab.note(format!("{victim} is cut off from its peers for {}", Span(hold)));
        let before = checks::running_but(self.lab, &self.members, &[]);
        let began_us = now_us();
        let fault = CutTraffic::between(vec![Party::pod(self.members.namespace(), victim)], peers);
        let Some((fault, from_us)) = self.inject(fault).await? else { return Ok(None) };
        await_restart(self.lab, &self.members, &[], &before, hold).await;
        let to_us = now_us();
        self.lab.phase(Phase::Heal);
        self.lab.heal(fault).await?;
        let healed_us = now_us();
        self.lab.phase(Phase::Recovery);
        let _ = self.fleet.progress(AT_WORK, self.subject.patience()).await?;
        let after = format!("the return of {victim} to its peers");
        let now = checks::running_but(self.lab, &self.members, &[]);
        checks::survivors(self.lab, self.subject, &before, &now, &format!("the cut between {victim} and its peers"));
        let budget = self.subject.restore_budget();
        let unsure = Some(self.subject.unsure(began_us, from_us + LOST_QUORUM.as_micros() as u64));
        let window = Window { after, from_us: healed_us, to_us: now_us(), budget, unsure };
        let cut = nats::Span { from_us, to_us };
        Ok(Some(Cut { victim: victim.to_owned(), from: "its peers", cut, window }))
    }

    /// Cuts a server off from everybody but its peers. Whoever knows another server must be served meanwhile.
    async fn cut_clients(&self, victim: &str) -> Result<Option<Cut>, Trouble> {
        let clients = self.everybody_else();
        self.lab.note(format!("{victim} is cut off from {} clients", clients.len()));
        let began_us = now_us();
        let fault = CutTraffic::between(vec![Party::pod(self.members.namespace(), victim)], clients);
        let Some((fault, from_us)) = self.inject(fault).await? else { return Ok(None) };
        self.fleet.served_again_of(|client| client != victim, AT_WORK, self.subject.patience()).await?;
        let to_us = now_us();
        self.lab.phase(Phase::Heal);
        self.lab.heal(fault).await?;
        self.lab.phase(Phase::Recovery);
        let (after, budget) = (format!("the loss of the way to {victim}"), self.subject.budget());
        // Its peers go on hearing from it, so what it confirms they know.
        let window = Window { after, from_us: began_us, to_us, budget, unsure: None };
        let cut = nats::Span { from_us, to_us };
        Ok(Some(Cut { victim: victim.to_owned(), from: "clients", cut, window }))
    }

    /// Injects a cut; `None` when it had no effect. With it the time from when on it was in effect.
    async fn inject(&self, fault: DisturbTraffic) -> Result<Option<(Ongoing, u64)>, Trouble> {
        self.lab.phase(Phase::Inject);
        let fault = self.lab.inject(fault, self.control.clone()).await?;
        if !fault.took_effect() {
            self.lab.heal(fault).await?;
            return Ok(None);
        }
        self.lab.phase(Phase::Observe);
        Ok(Some((fault, now_us())))
    }

    /// All pods of the system that are no members, and the clients.
    fn everybody_else(&self) -> Vec<Party> {
        let members = self.members.pods();
        let own = self.fleet.pods().into_iter().map(|(_, pod, namespace)| (namespace, pod));
        let namespaces: Vec<&str> = self.lab.deployment().workloads().map(|w| w.namespace.as_str()).collect();
        let running = |pod: &Pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"));
        let snapshot = self.lab.view().snapshot();
        let of_system = snapshot.pods.iter().filter(|pod| running(pod)).filter_map(|pod| {
            let (namespace, name) = (pod.namespace()?, pod.name_any());
            let is_other = namespaces.contains(&namespace.as_str())
                && !(namespace == self.members.namespace() && members.contains(&name));
            is_other.then_some((namespace, name))
        });
        own.chain(of_system).map(|(namespace, pod)| Party::pod(namespace, pod)).collect()
    }
}

type Ongoing = gauntlet_engine::lab::Ongoing<DisturbTraffic>;

impl Cut {
    /// The client on the side of the few got nothing acknowledged, and those on the other side were served.
    fn judge(&self, lab: &Lab, subject: Subject<'_>, histories: &Histories) {
        check_refusals(
            lab,
            subject,
            histories,
            &self.victim,
            self.cut,
            &format!("{} cut off from {}", self.victim, self.from),
        );
        for (client, _) in histories.pinned(lab.deployment()).filter(|(client, _)| *client != self.victim) {
            let name = format!("clients of {client} are served while {} is cut off from {}", self.victim, self.from);
            let served = judge::Served {
                client,
                span: self.cut,
                allowed: subject.budget(),
                promise: subject.promise(),
                check: &name,
                telling: Telling::Without,
                figure: None,
            };
            judge::judge_gap(lab, histories, &served, None);
        }
    }
}
