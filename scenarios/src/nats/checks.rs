//! What is judged alike after every loss: that clients are served again in time, that the replicas are whole, and that
//! nothing else was restarted.

use super::members::Members;
use super::peers::Answer;
use super::running::{self, Running};
use super::{AT_WORK_WITHIN, Subject};
use crate::workload::Client;
use crate::workload::fleet::{Fleet, Histories};
use crate::workload::judge::{self, Allowance};
use gauntlet_cluster::progress::Waiting;
use gauntlet_core::checkers::nats;
use gauntlet_core::judgement::Telling;
use gauntlet_core::span::Span;
use gauntlet_core::{Outcome, Trouble};
use gauntlet_engine::Lab;
use gauntlet_engine::bus::now_ms;
use std::time::Duration;

/// How often the leaders are asked; their state cannot be watched from outside.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(500);

/// A time in which clients were or should have been served, in microseconds since 1970.
#[derive(Debug, Clone)]
pub struct Window {
    /// What happened at its beginning, for people.
    pub after: String,
    pub from_us: u64,
    pub to_us: u64,
    /// What the store's own clients are owed.
    pub budget: Duration,
    /// When a consumer's leader may have confirmed what its peers never learned of.
    pub unsure: Option<nats::Span>,
}

/// Waits until the streams are whole, and checks that each of the contract's has the copies that the contract promises.
pub(super) async fn replication(lab: &Lab, subject: Subject<'_>, fleet: &Fleet<'_>) -> Result<Answer, Trouble> {
    let streams: Vec<&str> = subject.streams.iter().map(String::as_str).collect();
    let lacking = |why| Trouble::harness(format!("the streams are not in order before the fault: {why}"));
    let answer = whole(lab, subject, fleet, AT_WORK_WITHIN).await.map_err(lacking)?;
    let wrong = answer.not_replicated(&streams, subject.replicas);
    let name = "streams have their copies";
    match wrong.is_empty() {
        true => {
            let detail = format!("{} on {} peers each", streams.join(", "), subject.replicas);
            lab.check(subject.durability(), name, Outcome::Held, detail);
        }
        false => {
            let (store, copies, wrong) = (subject.name(), subject.replicas, wrong.join("; "));
            let told = format!("not every stream of {store} has its {copies} copies: {wrong}");
            lab.broken(subject.durability(), name, wrong, told);
        }
    }
    Ok(answer)
}

/// What the peers say of themselves.
pub(super) async fn ask(subject: Subject<'_>, fleet: &Fleet<'_>) -> Result<Answer, String> {
    fleet.ask(subject.name(), "peers").await.and_then(|text| Answer::parse(&text))
}

/// Waits until every stream and consumer is led and has all its replicas current, as their live leaders say.
///
/// # Errors
/// What was lacking in the end.
pub(super) async fn whole(
    lab: &Lab,
    subject: Subject<'_>,
    fleet: &Fleet<'_>,
    within: Duration,
) -> Result<Answer, String> {
    let own = fleet.stream();
    let streams: Vec<&str> = subject.streams.iter().map(String::as_str).chain([own.as_str()]).collect();
    let mut waiting = Waiting::start("every replica of every stream to be current", within, lab.progress());
    loop {
        let lacking = match ask(subject, fleet).await {
            Ok(answer) => match answer.not_whole(&streams) {
                lacking if lacking.is_empty() => return Ok(answer),
                lacking => lacking.join("; "),
            },
            Err(why) => why,
        };
        waiting.seen(&lacking);
        if tokio::time::Instant::now() >= waiting.until() {
            return Err(waiting.gave_up());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Checks that the replica sets are whole again in time, and the system in its steady state. The seconds that the
/// replicas took; `None` when they never were.
pub(super) async fn whole_again(lab: &Lab, subject: Subject<'_>, fleet: &Fleet<'_>, after: &str) -> Option<f64> {
    let within = subject.objective.whole_within.0;
    let started = std::time::Instant::now();
    let name = format!("every replica is current again after {after}");
    let whole = whole(lab, subject, fleet, within).await;
    let seconds = started.elapsed().as_secs_f64();
    match &whole {
        Ok(_) => lab.check(subject.promise(), &name, Outcome::Held, format!("after {seconds:.1} s")),
        Err(lacking) => {
            let (store, limit) = (subject.name(), Span(within).in_words());
            let told = format!("not every replica of {store} was current again {limit} after {after}: {lacking}");
            lab.broken(subject.promise(), &name, lacking.clone(), told);
            lab.broken_at(&name, now_ms(), "replicas were not current");
        }
    }
    let name = format!("the system is in its steady state after {after}");
    lab.check_steady(subject.promise(), &name, within, ("everything is ready", after)).await;
    whole.is_ok().then_some(seconds)
}

/// The longest of some times, as a figure.
pub(super) fn longest(lab: &Lab, name: &str, seconds: impl IntoIterator<Item = f64>, limit: Duration) {
    if let Some(longest) = seconds.into_iter().max_by(f64::total_cmp) {
        lab.figure(name, longest, "s", Some(limit.as_secs_f64()));
    }
}

/// Checks that publishers, consumers and everybody else who relies on the store were served again within budget.
pub(super) fn served_again(lab: &Lab, subject: Subject<'_>, histories: &Histories, windows: &[Window]) {
    let consumer = format!("{} consumer", histories.stream);
    let own = [("publishes", histories.stream.as_str()), ("consumer", consumer.as_str())];
    let mut clients: Vec<Served<'_>> =
        own.map(|(who, group)| Served { who, client: subject.name(), group: Some(group), budget: None }).to_vec();
    let present: Vec<&str> = Client::all(lab.deployment()).iter().map(Client::name).collect();
    let others = subject.objective.unavailable_at_most.iter().filter(|other| present.contains(&other.of.as_str()));
    clients.extend(others.map(|other| {
        let name = other.of.as_str();
        Served { who: name, client: name, group: None, budget: Some(other.window.0) }
    }));
    for client in clients {
        let gaps = windows.iter().filter_map(|window| client.check(lab, subject, histories, window));
        let budget = windows.iter().map(|window| client.budget(window)).max().unwrap_or_default();
        longest(lab, &format!("{}: longest gap", client.who), gaps.collect::<Vec<_>>(), budget);
    }
}

/// Somebody who must be served within a budget.
#[derive(Clone)]
struct Served<'a> {
    who: &'a str,
    client: &'a str,
    group: Option<&'a str>,
    /// Of its own, where it is not a client of the store.
    budget: Option<Duration>,
}

impl Served<'_> {
    fn budget(&self, window: &Window) -> Duration {
        self.budget.unwrap_or(window.budget)
    }

    /// The longest time in which it was not served, in seconds, where that can be told.
    fn check(&self, lab: &Lab, subject: Subject<'_>, histories: &Histories, window: &Window) -> Option<f64> {
        let name = format!("{}: served within the budget after {}", self.who, window.after);
        let served = judge::Served {
            client: self.client,
            span: nats::Span { from_us: window.from_us, to_us: window.to_us },
            allowed: self.budget(window),
            promise: subject.promise(),
            check: &name,
            telling: Telling::After,
            // The longest of all windows is one.
            figure: None,
        };
        let own = |group: &str| Some(group) == self.group;
        judge::judge_gap(lab, histories, &served, self.group.is_some().then_some(&own as &dyn Fn(&str) -> bool))
    }
}

/// Checks that the containers that nobody killed are the same as before.
pub(super) fn survivors(lab: &Lab, subject: Subject<'_>, before: &Running, now: &Running, after: &str) {
    let name = format!("no survivor was restarted after {after}");
    let changed = running::changed(before, now);
    match changed.is_empty() {
        true => {
            let pods: Vec<&str> = before.keys().map(String::as_str).collect();
            lab.check(subject.promise(), &name, Outcome::Held, format!("the same in {}", pods.join(", ")));
        }
        false => {
            let detail = running::told(&changed);
            let told = format!("after {after}, {detail}, though nothing was done to it");
            lab.broken(subject.promise(), &name, detail, told);
            for one in changed {
                lab.broken_at(&name, one.at_ms.unwrap_or_else(now_ms), one.told);
            }
        }
    }
}

/// Judges everything that the clients recorded: what was acknowledged is there once and in order, and the consumer went
/// on where it was, but for what its leader confirmed when it was lost or alone.
pub(super) fn histories(lab: &Lab, subject: Subject<'_>, histories: &Histories, windows: &[Window]) {
    let unsure: Vec<nats::Span> = windows.iter().filter_map(|window| window.unsure).collect();
    judge::judge_consumer(lab, histories, subject.name(), &unsure, subject.durability());
    // Nobody touches the other stores, so they have no excuse.
    let allowance = Allowance { plain_percent: 0.0, replicated: 0 };
    judge::judge_all(lab, histories, allowance, subject.promise());
}

/// The containers of all members but `lost`.
pub(super) fn running_but(lab: &Lab, members: &Members<'_>, lost: &[String]) -> Running {
    let others: Vec<String> = members.pods().into_iter().filter(|pod| !lost.contains(pod)).collect();
    members.running(&others, &lab.view().snapshot())
}
