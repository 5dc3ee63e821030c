//! `nats.quorum-loss`: so many servers are killed that those left are no quorum, and kept down for longer than any probe
//! is patient. Nothing may be acknowledged meanwhile, the survivors must live on, and once the others are back service
//! must resume within the budget, with everything there that ever was acknowledged.

use super::checks::{self, Window};
use super::members::Members;
use super::running::{self, Running};
use super::{AT_WORK, LOAD, LOST_QUORUM, Subject};
use crate::workload::fleet::Histories;
use crate::workload::{judge, now_us, set_to_work};
use async_trait::async_trait;
use gauntlet_chaos::hold::HoldContainer;
use gauntlet_core::checkers::nats;
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::Phase;
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::{Evidence, Info, Trouble};
use gauntlet_engine::lab::Ongoing;
use gauntlet_engine::{Lab, Scenario};
use std::time::Duration;

pub struct QuorumLoss;

#[async_trait]
impl Scenario for QuorumLoss {
    fn info(&self) -> Info {
        Info {
            name: "nats.quorum-loss",
            summary: "most NATS servers are down for longer than probes wait: nothing is acknowledged, nothing is lost",
            needs: &[HoldContainer::NEEDS],
            cluster: ClusterNeed::Shared,
            deadline: Span::from_secs(1200),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        Subject::applies(deployment)?;
        match Subject::of(deployment) {
            Some(subject) if subject.replicas != subject.servers => {
                Err("not every server has every stream, so some streams may keep their quorum".to_owned())
            }
            _ => Ok(()),
        }
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let subject = Subject::of(lab.deployment()).ok_or_else(|| Trouble::harness("no JetStream cluster"))?;
        let (control, fleet) = set_to_work(lab, LOAD).await?;
        let members = Members::of(lab, subject, &fleet).await?;
        checks::replication(lab, subject, &fleet).await?;

        let victims = victims(lab, &members.pods());
        let hold = members.patience(&lab.view().snapshot());
        lab.note(format!(
            "victims: {}, for {}, budget {}",
            victims.join(", "),
            Span(hold),
            Span(subject.restore_budget())
        ));
        lab.phase(Phase::Inject);
        let before = checks::running_but(lab, &members, &victims);
        let began_us = now_us();
        let faults = inject_all(lab, &members, &victims, control).await?;
        if faults.iter().any(|fault| !fault.took_effect()) {
            for fault in faults {
                lab.heal(fault).await?;
            }
            return Ok(());
        }
        let without_from_us = now_us();
        lab.phase(Phase::Observe);
        await_restart(lab, &members, &victims, &before, hold).await;
        let without_to_us = now_us();

        lab.phase(Phase::Heal);
        let mut quorum_us = None;
        for fault in faults {
            lab.heal(fault).await?;
            // One more than the survivors is a quorum.
            quorum_us.get_or_insert_with(now_us);
        }
        lab.phase(Phase::Recovery);
        let _ = fleet.progress(AT_WORK, subject.patience()).await?;
        let to_us = now_us();
        let whole = checks::whole_again(lab, subject, &fleet, "the loss of the quorum").await;
        checks::survivors(
            lab,
            subject,
            &before,
            &checks::running_but(lab, &members, &victims),
            "the loss of the quorum",
        );
        let histories = fleet.finish().await?;

        lab.phase(Phase::Judge);
        let without = nats::Span { from_us: without_from_us, to_us: without_to_us };
        check_refusals(lab, subject, &histories, subject.name(), without, "most servers down");
        let after = "the return of the quorum".to_owned();
        let window = Window {
            after,
            from_us: quorum_us.unwrap_or(without_to_us),
            to_us,
            budget: subject.restore_budget(),
            unsure: Some(subject.unsure(began_us, without_from_us + LOST_QUORUM.as_micros() as u64)),
        };
        checks::longest(lab, "whole again", whole, subject.objective.whole_within.0);
        checks::served_again(lab, subject, &histories, std::slice::from_ref(&window));
        checks::histories(lab, subject, &histories, &[window]);
        Ok(())
    }
}

/// As few pods as leave no quorum, chosen by lot.
fn victims(lab: &Lab, pods: &[String]) -> Vec<String> {
    let mut left = pods.to_vec();
    let mut victims = Vec::new();
    while left.len() * 2 > pods.len() {
        let Some(next) = lab.choose(&format!("victim {}", victims.len()), &left, String::clone).cloned() else { break };
        left.retain(|pod| *pod != next);
        victims.push(next);
    }
    victims
}

async fn inject_all(
    lab: &Lab,
    members: &Members<'_>,
    victims: &[String],
    control: Evidence,
) -> Result<Vec<Ongoing<HoldContainer>>, Trouble> {
    let mut faults = Vec::new();
    for victim in victims {
        let fault = HoldContainer::new(members.namespace(), victim, members.container());
        faults.push(lab.inject(fault, control.clone()).await?);
    }
    Ok(faults)
}

/// Waits until a survivor was restarted, which must not be, or until no probe would still do it.
pub(super) async fn await_restart(
    lab: &Lab,
    members: &Members<'_>,
    victims: &[String],
    before: &Running,
    hold: Duration,
) {
    let others: Vec<String> = members.pods().into_iter().filter(|pod| !victims.contains(pod)).collect();
    let restarted = lab.view().until("the probes to lose patience", hold, lab.progress(), |snapshot| {
        match running::changed(before, &members.running(&others, snapshot)) {
            changed if changed.is_empty() => Err("the survivors live on".to_owned()),
            changed => Ok(running::told(&changed)),
        }
    });
    if let Ok(changed) = restarted.await {
        lab.suspect(changed);
    }
}

/// What became of a client's publishes where there was no quorum: an error, in time, and never an acknowledgement.
pub(super) fn check_refusals(
    lab: &Lab,
    subject: Subject<'_>,
    histories: &Histories,
    client: &str,
    without: nats::Span,
    when: &str,
) {
    let told = (subject.objective.refuse_within.0, when);
    judge::judge_refusals(lab, histories, client, subject.promise(), without, told);
}
