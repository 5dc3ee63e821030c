//! `drain.quorum`: every node in turn is drained through the Eviction API while clients work. No eviction may take a
//! quorum's members below its floor, evictions that would are refused, and clients lose nothing.

use super::attempt;
use super::watch::Watcher;
use crate::workload::fleet::Histories;
use crate::workload::judge::{self, Allowance, Served};
use crate::workload::pods::Client;
use crate::workload::{Load, now_us, set_to_work};
use async_trait::async_trait;
use gauntlet_chaos::cordon::Cordon;
use gauntlet_cluster::nodes;
use gauntlet_core::checkers::nats::Span as Times;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::objective::Drain;
use gauntlet_core::event::Phase;
use gauntlet_core::judgement::Telling;
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::{Capability, Evidence, Info, Outcome, Trouble};
use gauntlet_engine::{Lab, Scenario};
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
            done = disturb(lab, drain, &control) => done?,
        }
        let to_us = now_us();
        lab.phase(Phase::Recovery);
        let _ = fleet.progress(AT_WORK, AT_WORK_WITHIN).await?;
        let histories = fleet.finish().await?;
        lab.phase(Phase::Judge);
        check_quorums(lab, &watcher);
        check_windows(lab, drain, &histories, from_us, to_us);
        let allowance = Allowance { plain_percent: drain.plain_loss_percent, replicated: 0 };
        judge::judge_all(lab, &histories, allowance, drain.promise.as_str());
        Ok(())
    }
}

/// Everything that is done to the cluster: evictions on purpose, then the drains.
async fn disturb(lab: &Lab, drain: &Drain, control: &Evidence) -> Result<(), Trouble> {
    lab.phase(Phase::Inject);
    let deployment = lab.deployment();
    for quorum in deployment.quorums() {
        let workload = deployment.workload(&quorum.workload.value);
        let budget = deployment.budgets().find(|budget| budget.workload.value == quorum.workload.value);
        let (Some(workload), Some(budget)) = (workload, budget) else {
            lab.note(format!("{}: the contract promises no budget, so none is exhausted", quorum.workload.value));
            continue;
        };
        let attempts = attempt::exhaust(lab, budget, workload).await?;
        let limit = attempt::allowed(budget.allows, deployment.replicas(workload));
        for (name, outcome, detail) in attempt::judge(&attempts, limit) {
            lab.check(budget.promise.as_str(), &format!("{}: {name}", workload.name.value), outcome, detail);
        }
    }
    for node in lab.cluster().workers() {
        if !drain_node(lab, drain, node, control.clone()).await? {
            lab.note(format!("what is known after {node} decides: no further node is drained"));
            break;
        }
    }
    Ok(())
}

/// Drains one node and brings it back. A drain that does not end is a broken promise, not trouble. Whether it ended and
/// all was well again.
async fn drain_node(lab: &Lab, drain: &Drain, node: &str, control: Evidence) -> Result<bool, Trouble> {
    let started = std::time::Instant::now();
    let cordon = lab.inject(Cordon::new(node), control).await?;
    lab.phase(Phase::Observe);
    let promise = drain.promise.as_str();
    let name = format!("draining {node} completes");
    let emptied = nodes::empty(lab.access(), lab.view(), node, drain.within.0, lab.progress()).await;
    match &emptied {
        Ok(drained) => {
            let seconds = started.elapsed().as_secs_f64();
            lab.figure(&format!("drain of {node}"), seconds, "s", Some(drain.within.0.as_secs_f64()));
            let detail = format!("{} pods evicted, {} refusals", drained.evicted.len(), drained.refusals);
            lab.check(promise, &name, Outcome::Held, detail);
        }
        Err(trouble) => lab.check(promise, &name, Outcome::Broken, trouble.message.clone()),
    }
    lab.phase(Phase::Heal);
    lab.heal(cordon).await?;
    let name = format!("everything is ready again after {node}");
    let steady = lab.steady(drain.within.0).await;
    match &steady {
        Ok(()) => lab.check(promise, &name, Outcome::Held, "the steady state"),
        Err(trouble) => lab.check(promise, &name, Outcome::Broken, trouble.message.clone()),
    }
    Ok(emptied.is_ok() && steady.is_ok())
}

fn check_quorums(lab: &Lab, watcher: &Watcher) {
    let lowest = watcher.seen();
    for quorum in lab.deployment().quorums() {
        let workload = &quorum.workload.value;
        let floor = quorum.min_ready.value;
        let name = format!("{workload}: no eviction left fewer than {floor} ready");
        if let Some(seen) = lowest.of(workload) {
            lab.figure(&format!("{workload}: fewest ready"), f64::from(seen), "pods", None);
        }
        let (outcome, detail) = match lowest.after_leaving(workload) {
            None => (Outcome::Unknown, "no member was ever seen to leave".to_owned()),
            Some(seen) if seen < floor => (Outcome::Broken, format!("an eviction left {seen}")),
            Some(seen) => (Outcome::Held, format!("{seen} at the lowest")),
        };
        lab.check(quorum.promise.as_str(), &name, outcome, detail);
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
        judge::judge_gap(lab, histories, &served, None);
    }
}
