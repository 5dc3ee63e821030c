//! `drain.quorum`: every node in turn is drained through the Eviction API while clients work. No eviction may take a
//! quorum's members below its floor, evictions that would are refused, and clients lose nothing.

use super::attempt;
use super::watch::Watcher;
use crate::workload::Client;
use crate::workload::fleet::Histories;
use crate::workload::judge::{Allowance, Served, judge_all, judge_gap};
use crate::workload::{Load, now_us, set_to_work};
use async_trait::async_trait;
use gauntlet_chaos::cordon::Cordon;
use gauntlet_cluster::nodes::{self, Emptied};
use gauntlet_core::checkers::nats::Span as Times;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::objective::Drain;
use gauntlet_core::event::Phase;
use gauntlet_core::judgement::disruption::Drained;
use gauntlet_core::judgement::{self, Question, Telling};
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::{Capability, Evidence, Info, Trouble};
use gauntlet_engine::{Lab, Scenario};
use std::collections::BTreeMap;
use std::time::Duration;

pub struct DrainQuorum;

/// Successes of every client that show that it is served again.
const AT_WORK: u64 = 30;

const AT_WORK_WITHIN: Duration = Duration::from_secs(60);

#[async_trait]
impl Scenario for DrainQuorum {
    fn info(&self) -> Info {
        Info {
            name: "drain.quorum",
            summary: "every node is drained in turn: no eviction breaks a quorum, and clients lose nothing",
            needs: &[Capability::DrainNodes],
            cluster: ClusterNeed::Shared,
            deadline: Span::from_secs(1200),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        if deployment.contract.objectives.drain.is_none() {
            return Err("the contract promises nothing about draining nodes".to_owned());
        }
        if deployment.quorums().next().is_none() {
            return Err("this overlay has no quorum to keep".to_owned());
        }
        Ok(())
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let drain = lab.deployment().contract.objectives.drain.as_ref();
        let drain = drain.ok_or_else(|| Trouble::harness("nothing is promised about draining"))?;
        let (control, fleet) = set_to_work(lab, Load::every_ms(50)).await?;
        let from_us = now_us();
        let watcher = Watcher::new();
        tokio::select! {
            () = watcher.run(lab.deployment(), lab.view()) => {}
            done = disturb(lab, drain, &control, &watcher) => done?,
        }
        let to_us = now_us();
        lab.phase(Phase::Recovery);
        let _ = fleet.progress(AT_WORK, AT_WORK_WITHIN).await?;
        let histories = fleet.finish().await?;
        lab.phase(Phase::Judge);
        check_quorums(lab, &watcher);
        check_windows(lab, drain, &histories, from_us, to_us);
        let allowance = Allowance { plain_percent: drain.plain_loss_percent, replicated: 0 };
        judge_all(lab, &histories, allowance, drain.promise.as_str());
        Ok(())
    }
}

/// Everything that is done to the cluster: evictions on purpose, then the drains.
async fn disturb(lab: &Lab, drain: &Drain, control: &Evidence, watcher: &Watcher) -> Result<(), Trouble> {
    lab.phase(Phase::Inject);
    let deployment = lab.deployment();
    for quorum in deployment.quorums() {
        let workload = deployment.workload(&quorum.workload.value);
        let budget = deployment.budgets().find(|budget| budget.workload.value == quorum.workload.value);
        let (Some(workload), Some(budget)) = (workload, budget) else {
            lab.note(format!("{}: the contract promises no budget, so none is exhausted", quorum.workload.value));
            continue;
        };
        watcher.began(&format!("the evictions of {} pods", workload.name.value));
        let evictions = attempt::exhaust(lab, budget, workload).await?;
        lab.ask(&BTreeMap::new(), Question::Evictions(evictions));
    }
    for node in lab.cluster().workers() {
        if !drain_node(lab, drain, node, control.clone(), watcher).await? {
            lab.note(format!("what is known after {node} decides: no further node is drained"));
            break;
        }
    }
    Ok(())
}

/// Drains one node and brings it back. A drain that does not end is a broken promise, not trouble. Whether it ended and
/// all was well again.
async fn drain_node(
    lab: &Lab,
    drain: &Drain,
    node: &str,
    control: Evidence,
    watcher: &Watcher,
) -> Result<bool, Trouble> {
    nodes::check_drainable(lab.access(), lab.view(), node).await?;
    let (from_us, lost_before) = (now_us(), lost_quorum(lab, watcher));
    watcher.began(&format!("the drain of {node}"));
    let cordon = lab.inject(Cordon::new(node), control).await?;
    lab.phase(Phase::Observe);
    let emptied = nodes::empty(lab.access(), lab.view(), node, drain.within.0, lab.progress()).await?;
    let is_empty = matches!(emptied, Emptied::Empty(_));
    let came_to = match emptied {
        Emptied::Empty(drained) => Drained::Empty { evicted: drained.evicted.len(), refusals: drained.refusals },
        Emptied::Late { left } => Drained::Not { why: left },
    };
    let promise = drain.promise.as_str();
    let asked = judgement::disruption::Drain {
        promise: promise.to_owned(),
        node: node.to_owned(),
        within_us: u64::try_from(drain.within.0.as_micros()).unwrap_or(u64::MAX),
        from_us,
        to_us: now_us(),
        came_to,
    };
    lab.ask(&BTreeMap::new(), Question::Drain(asked));
    if let Some(lost) = lost_quorum(lab, watcher).filter(|lost| Some(lost) != lost_before.as_ref()) {
        lab.suspect(lost);
    }
    lab.phase(Phase::Heal);
    lab.heal(cordon).await?;
    let (name, after) = (format!("everything is ready again after {node}"), format!("the drain of {node}"));
    let steady = lab.check_steady(promise, &name, drain.within.0, ("the steady state", &after)).await;
    Ok(is_empty && steady)
}

/// A quorum that an eviction has broken, in words.
fn lost_quorum(lab: &Lab, watcher: &Watcher) -> Option<String> {
    let lowest = watcher.seen();
    lab.deployment().quorums().find_map(|quorum| {
        let workload = &quorum.workload.value;
        let left = lowest.after_leaving(workload).filter(|left| *left < quorum.min_ready.value)?;
        Some(format!("an eviction left {left} of {workload} ready, {} are a quorum", quorum.min_ready.value))
    })
}

fn check_quorums(lab: &Lab, watcher: &Watcher) {
    let (seen, deployment) = (watcher.seen(), lab.deployment());
    for quorum in deployment.quorums() {
        let workload = &quorum.workload.value;
        let asked = judgement::disruption::Quorum {
            promise: quorum.promise.as_str().to_owned(),
            workload: workload.clone(),
            members: deployment.workload(workload).map_or(0, |workload| deployment.replicas(workload)),
            floor: quorum.min_ready.value,
            disturbances: watcher.disturbances(),
            seen: seen.of(workload).to_vec(),
        };
        lab.ask(&BTreeMap::new(), Question::Quorum(asked));
    }
}

fn check_windows(lab: &Lab, drain: &Drain, histories: &Histories, from_us: u64, to_us: u64) {
    let present: Vec<&str> = Client::all(lab.deployment()).iter().map(Client::name).collect();
    for window in drain.unavailable_at_most.iter().filter(|window| present.contains(&window.of.as_str())) {
        let client = window.of.as_str();
        let served = Served {
            client,
            span: Times { from_us, to_us },
            allowed: window.window.0,
            promise: drain.promise.as_str(),
            check: &format!("{client}: never unavailable for longer than {}", window.window),
            telling: Telling::Longest,
            figure: Some(&format!("{client}: longest unavailability")),
        };
        judge_gap(lab, histories, &served, None);
    }
}
