//! `redis.failover`: the process of a primary is killed and kept down. A replica must take over within the budget that
//! the live configuration gives, nothing that a replica acknowledged may be lost, and the old primary must come back as
//! a replica in sync.

use super::live::Members;
use super::topology::{self, Node, Topology};
use crate::workload::judge::{self, Allowance, Served};
use crate::workload::{Load, now_us, set_to_work};
use async_trait::async_trait;
use gauntlet_chaos::hold::HoldContainer;
use gauntlet_cluster::progress::Waiting;
use gauntlet_core::checkers::nats::Span as Times;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::objective::Failover as Objective;
use gauntlet_core::contract::store::{Store, StoreKind};
use gauntlet_core::event::Phase;
use gauntlet_core::judgement::Telling;
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::{Info, Outcome, Trouble};
use gauntlet_engine::{Lab, Scenario};
use std::time::Duration;

pub struct Failover;

/// How often nodes are asked; their state cannot be watched from outside.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Successes of every client that show that it is served again.
const AT_WORK: u64 = 50;

fn subject(deployment: Deployment<'_>) -> Option<(&Store, &Objective)> {
    let clusters = deployment.stores().filter(|store| matches!(store.kind, StoreKind::RedisCluster { .. }));
    clusters.filter_map(|store| Some((store, deployment.failover(&store.name.value)?))).next()
}

#[async_trait]
impl Scenario for Failover {
    fn info(&self) -> Info {
        Info {
            name: "redis.failover",
            summary: "a primary is killed and kept down: a replica takes over in time and nothing replicated is lost",
            needs: &[HoldContainer::NEEDS],
            cluster: ClusterNeed::Shared,
            deadline: Span::from_secs(600),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        match subject(deployment) {
            None => Err("this overlay has no Redis Cluster that promises to survive the loss of a primary".to_owned()),
            Some((store, _)) if store.cli.is_empty() => {
                Err(format!("the contract does not say how to ask {} (`cli`)", store.name.value))
            }
            Some(_) => Ok(()),
        }
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let (store, objective) = subject(lab.deployment()).ok_or_else(|| Trouble::harness("no Redis Cluster"))?;
        let members = Members::of(lab, store)?;
        let victim = choose(lab, &members).await?;
        let budget = objective.budget.for_node_timeout(members.node_timeout(&victim.pod).await?);
        lab.note(format!("victim: {} (node {}), budget {}", victim.pod, victim.node.id, Span(budget)));
        let (control, fleet) = set_to_work(lab, Load::every_ms(20)).await?;
        lab.phase(Phase::Inject);
        let injected_us = now_us();
        let namespace = members.workload.namespace.value.clone();
        let fault = lab.inject(HoldContainer::new(namespace, &victim.pod, members.container()), control).await?;
        if !fault.took_effect() {
            lab.heal(fault).await?;
            return Ok(());
        }

        lab.phase(Phase::Observe);
        let loss = Loss { store: &store.name.value, victim: &victim, from_us: injected_us, budget };
        let successor = await_successor(lab, &members, &victim, loss.patience()).await;
        // Clients of every shard are heard again, or the time in which they must have been is over.
        fleet.served_again(AT_WORK, budget).await?;
        let views = members.views(Some(&victim.pod)).await;
        let observed_us = now_us();
        check_takeover(lab, objective.promise.as_str(), &loss, successor, &views);

        lab.phase(Phase::Heal);
        lab.heal(fault).await?;
        lab.phase(Phase::Recovery);
        check_return(lab, &members, &victim, objective).await;
        let histories = fleet.finish().await?;

        lab.phase(Phase::Judge);
        let promise = objective.promise.as_str();
        let served = Served {
            client: &store.name.value,
            span: Times { from_us: injected_us, to_us: observed_us },
            allowed: budget,
            promise,
            check: "clients of the lost shard are served within the budget",
            telling: Telling::After,
            figure: Some("failover time"),
        };
        judge::judge_gap(lab, &histories, &served, Some(&|group| victim.is_group(group)));
        let allowance =
            Allowance { plain_percent: objective.plain_loss_percent, replicated: objective.replicated_loss };
        judge::judge_all(lab, &histories, allowance, promise);
        Ok(())
    }
}

/// The primary that will be lost.
struct Victim {
    pod: String,
    node: Node,
}

impl Victim {
    /// Whether a group of operations is that of its shard. Groups are named after the shard's first owner.
    fn is_group(&self, group: &str) -> bool {
        let names = [Some(&self.node.address), self.node.hostname.as_ref()];
        names
            .into_iter()
            .flatten()
            .any(|name| group.ends_with(&format!(" {name}")) || group.contains(&format!(" {name}:")))
    }
}

async fn choose(lab: &Lab, members: &Members<'_>) -> Result<Victim, Trouble> {
    let views = members.views(None).await;
    let view = views.into_iter().next().ok_or_else(|| Trouble::harness("no node of the Redis Cluster answers"))?;
    let mut primaries: Vec<Node> = view.primaries().cloned().collect();
    primaries.sort_by(|a, b| a.slots.cmp(&b.slots));
    let name = |node: &Node| members.pod_of(node).unwrap_or_else(|| node.address.clone());
    let node = lab.choose("victim", &primaries, name).ok_or_else(|| Trouble::harness("no primary serves slots"))?;
    let pod =
        members.pod_of(node).ok_or_else(|| Trouble::harness(format!("no pod has the address {}", node.address)))?;
    Ok(Victim { pod, node: node.clone() })
}

/// Checked while the primary is still down: what was wrong can be looked at then.
fn check_takeover(lab: &Lab, promise: &str, loss: &Loss<'_>, successor: Option<String>, views: &[Topology]) {
    let (pod, store, budget) = (&loss.victim.pod, loss.store, Span(loss.budget).in_words());
    let name = "a replica took over";
    if views.is_empty() {
        lab.check(promise, name, Outcome::Unknown, "no other node answered what it sees");
        return;
    }
    match successor {
        Some(id) => lab.check(promise, name, Outcome::Held, format!("node {id} serves its slots")),
        None => {
            let told = format!(
                "no replica took over from {pod} within {}; {budget} are allowed",
                Span(loss.patience()).in_words()
            );
            lab.broken(promise, name, "most of the others saw none", told);
            lab.broken_at(name, loss.deadline_ms(), format!("no replica had taken over from {pod}"));
        }
    }
    let (name, detail) = ("all slots are served without the lost primary", format!("{} views", views.len()));
    if topology::all_served(views) {
        lab.check(promise, name, Outcome::Held, detail);
        return;
    }
    let (whole, all) = (views.iter().filter(|view| view.serves_all()).count(), views.len());
    let told = format!("{whole} of {all} nodes of {store} saw every slot served without {pod}; most of them have to");
    lab.broken(promise, name, detail, told);
    lab.broken_at(name, loss.deadline_ms(), "slots were not served".to_owned());
}

/// A primary that is down, and the time in which another has to be in its place.
struct Loss<'a> {
    store: &'a str,
    victim: &'a Victim,
    from_us: u64,
    budget: Duration,
}

impl Loss<'_> {
    /// How long a successor is waited for: long enough to see who is late.
    fn patience(&self) -> Duration {
        self.budget * 2
    }

    fn deadline_ms(&self) -> u64 {
        self.from_us / 1000 + u64::try_from(self.budget.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The node that most of the others see in the victim's place; `None` when there is none at the deadline.
async fn await_successor(lab: &Lab, members: &Members<'_>, victim: &Victim, deadline: Duration) -> Option<String> {
    let mut waiting = Waiting::start("a replica to take over", deadline, lab.progress());
    loop {
        let views = members.views(Some(&victim.pod)).await;
        let successor = topology::successor(&views, &victim.node.id, &victim.node.slots);
        if successor.is_some() || tokio::time::Instant::now() >= waiting.until() {
            return successor;
        }
        waiting.seen("most of the others see none");
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Whether the old primary comes back as a replica in sync, and the system to its steady state.
async fn check_return(lab: &Lab, members: &Members<'_>, victim: &Victim, objective: &Objective) {
    let mut waiting =
        Waiting::start(format!("{} to be a replica in sync", victim.pod), objective.rejoin_within.0, lab.progress());
    let started = std::time::Instant::now();
    let promise = objective.promise.as_str();
    let name = "the old primary is back as a replica in sync";
    loop {
        let Some(lacking) = members.not_in_sync(&victim.pod).await else {
            lab.figure(
                "rejoin time",
                started.elapsed().as_secs_f64(),
                "s",
                Some(objective.rejoin_within.0.as_secs_f64()),
            );
            lab.check(promise, name, Outcome::Held, format!("{} is in sync", victim.pod));
            break;
        };
        waiting.seen(&lacking);
        if tokio::time::Instant::now() >= waiting.until() {
            let (pod, within) = (&victim.pod, objective.rejoin_within.in_words());
            let told = format!("{pod} was no replica in sync {within} after it could start again: {lacking}");
            lab.broken(promise, name, waiting.gave_up(), told);
            lab.broken_at(name, now_us() / 1000, lacking);
            break;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    let name = "the system is in its steady state again";
    let after = format!("the loss of {}", victim.pod);
    lab.check_steady(promise, name, objective.rejoin_within.0, ("everything is ready", &after)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn victim() -> Victim {
        let line = "a 10.0.0.1:6379@1,r-1.svc master - 0 0 1 connected 0-16383";
        Victim { pod: "r-1".into(), node: Topology::parse(line).unwrap().nodes.remove(0) }
    }

    #[test]
    fn a_failover_is_broken_when_its_time_is_over_and_not_when_it_is_judged() {
        let victim = victim();
        let loss = Loss { store: "r", victim: &victim, from_us: 5_000_000, budget: Duration::from_secs(12) };
        assert_eq!(loss.deadline_ms(), 17_000);
    }

    #[test]
    fn a_shard_is_known_by_the_name_or_the_address_of_its_first_owner() {
        let victim = victim();
        for (group, is_it) in [
            ("shard of r-1.svc:6379", true),
            ("shard of 10.0.0.1:6379", true),
            ("shard of 10.0.0.12:6379", false),
            ("shard of r-2.svc:6379", false),
        ] {
            assert_eq!(victim.is_group(group), is_it, "{group}");
        }
    }
}
