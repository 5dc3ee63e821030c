//! `nats.peer-loss`: the server that leads a stream is killed and kept down; once it is back and the replicas are whole,
//! each other peer in its turn. Publishers and consumers must be served again within the budget that NATS's election
//! times give, nothing acknowledged may be lost or repeated, and the replica sets must be whole again.

use super::checks::{self, Window};
use super::members::Members;
use super::peers::Answer;
use super::{AT_WORK, LOAD, Subject};
use crate::workload::{Fleet, now_us, set_to_work};
use async_trait::async_trait;
use gauntlet_chaos::hold::HoldContainer;
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::Phase;
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::{Evidence, Info, Trouble};
use gauntlet_engine::{Lab, Scenario};

pub struct PeerLoss;

#[async_trait]
impl Scenario for PeerLoss {
    fn info(&self) -> Info {
        Info {
            name: "nats.peer-loss",
            summary: "each NATS server in turn is killed, a stream's leader first: service resumes and nothing is lost",
            needs: &[HoldContainer::NEEDS],
            cluster: ClusterNeed::Shared,
            deadline: Span::from_secs(1200),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        Subject::applies(deployment)
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let subject = Subject::of(lab.deployment()).ok_or_else(|| Trouble::harness("no JetStream cluster"))?;
        let (control, fleet) = set_to_work(lab, LOAD).await?;
        let members = Members::of(lab, subject, &fleet).await?;
        let answer = checks::replication(lab, subject, &fleet).await?;
        let (mut windows, mut returns) = (Vec::new(), Vec::new());
        for victim in order(lab, &answer, &members, &fleet.stream())? {
            let Some(window) = lose(lab, subject, &members, &fleet, &victim, control.clone()).await? else {
                return Ok(());
            };
            lab.phase(Phase::Recovery);
            let whole = checks::whole_again(lab, subject, &fleet, &window.after).await;
            windows.push(window);
            // The next peer is lost alone, or not at all.
            let Some(seconds) = whole else { break };
            returns.push(seconds);
        }
        let histories = fleet.finish().await?;

        lab.phase(Phase::Judge);
        checks::longest(lab, "whole again", returns, subject.objective.whole_within.0);
        checks::served_again(lab, subject, &histories, &windows);
        checks::histories(lab, subject, &histories, &windows);
        Ok(())
    }
}

/// The pods in the order in which they are lost: first the one that leads the stream under load, the others by lot.
fn order(lab: &Lab, answer: &Answer, members: &Members<'_>, stream: &str) -> Result<Vec<String>, Trouble> {
    let leader = members.leader_of(answer, stream)?;
    let mut rest: Vec<String> = members.pods().into_iter().filter(|pod| *pod != leader).collect();
    let mut order = vec![leader];
    while let Some(next) = lab.choose(&format!("victim {}", order.len()), &rest, String::clone).cloned() {
        rest.retain(|pod| *pod != next);
        order.push(next);
    }
    Ok(order)
}

/// Loses one peer until clients are served without it, then lets it come back. `None` when the fault had no effect.
async fn lose(
    lab: &Lab,
    subject: Subject<'_>,
    members: &Members<'_>,
    fleet: &Fleet<'_>,
    victim: &str,
    control: Evidence,
) -> Result<Option<Window>, Trouble> {
    let after = format!("the loss of {victim}");
    if let (Some(server), Ok(answer)) = (members.server_of(victim), checks::ask(subject, fleet).await) {
        lab.note(format!(
            "victim: {victim}, which leads {:?}, budget {}",
            answer.led_by(server),
            Span(subject.budget())
        ));
    }
    lab.phase(Phase::Inject);
    let lost = [victim.to_owned()];
    let before = checks::running_but(lab, members, &lost);
    let from_us = now_us();
    let fault = HoldContainer::new(members.namespace(), victim, members.container());
    let fault = lab.inject(fault, control).await?;
    if !fault.took_effect() {
        lab.heal(fault).await?;
        return Ok(None);
    }
    let unsure = Some(subject.unsure(from_us, now_us()));

    lab.phase(Phase::Observe);
    // Everybody is served again, or the time in which they must have been is over; the histories tell who was not.
    fleet.served_again(AT_WORK, subject.patience()).await?;
    let to_us = now_us();
    checks::survivors(lab, subject, &before, &checks::running_but(lab, members, &lost), &after);

    lab.phase(Phase::Heal);
    lab.heal(fault).await?;
    Ok(Some(Window { after, from_us, to_us, budget: subject.budget(), unsure }))
}
