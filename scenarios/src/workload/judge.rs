//! From histories to checks of promises.

use super::fleet::Histories;
use super::pods::{CONSUMER, Client};
use gauntlet_core::checkers::{Conclusion, Finding, availability, jobs, nats, nats_consumer, redis};
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::store::{Store, StoreKind};
use gauntlet_core::history::{Attempt, History, Operation};
use gauntlet_core::span::Span;
use gauntlet_core::timeline::{Violation, around};
use gauntlet_core::{Evidence, Outcome};
use gauntlet_engine::Lab;
use std::time::Duration;

/// Fewer operations than this show nothing.
const NEEDED: u64 = 20;

/// What a judgement came to, and in numbers.
pub type Judged = (Outcome, String);

/// What may be lost.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Of plainly acknowledged writes.
    pub plain_percent: f64,
    /// Of writes that a replica acknowledged too.
    pub replicated: u64,
}

/// Operations shown on each side of the moment at which a promise was broken.
const EACH_SIDE: usize = 8;

/// Tells when a promise was broken, where the findings say so, with the operations around that moment.
fn show_findings(lab: &Lab, history: &History, client: &str, check: &str, findings: &[Finding]) {
    let moment = |finding: &Finding| match finding {
        Finding::Lost { acked_us, .. } => Some((*acked_us, "acknowledged, and lost later".to_owned())),
        Finding::AckedWithoutQuorum { at_us, .. } => Some((*at_us, "acknowledged without a quorum".to_owned())),
        Finding::Redelivered { at_us, .. } => Some((*at_us, "delivered again after its acknowledgement".to_owned())),
        Finding::FloorWentBack { at_us, .. } => Some((*at_us, "the consumer went back".to_owned())),
        _ => None,
    };
    let Some((at_us, what)) = findings.iter().filter_map(moment).min() else { return };
    show(lab, history, client, check, Moment { at_us, what, group: None });
}

struct Moment {
    at_us: u64,
    what: String,
    group: Option<String>,
}

fn show(lab: &Lab, history: &History, client: &str, check: &str, moment: Moment) {
    let concerned = |attempt: &Attempt| moment.group.is_none() || attempt.group == moment.group;
    lab.violated(Violation {
        check: check.to_owned(),
        at_ms: moment.at_us / 1000,
        what: moment.what,
        client: client.to_owned(),
        operations: around(history, moment.at_us, EACH_SIDE, concerned),
        group: moment.group,
    });
}

pub fn told(findings: &[Finding]) -> String {
    let shown: Vec<String> = findings.iter().take(3).map(ToString::to_string).collect();
    let more = findings.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join("; "))
}

fn judged(broken: Option<String>, insufficient: &[String], held: String) -> Judged {
    match (broken, insufficient) {
        (Some(detail), _) => (Outcome::Broken, detail),
        (None, []) => (Outcome::Held, held),
        (None, reasons) => (Outcome::Unknown, reasons.join("; ")),
    }
}

/// Records the checks of everything that clients wrote, under the promises of what they used.
pub fn judge_all(lab: &Lab, histories: &Histories, allowance: Allowance, loss_promise: &str) {
    let deployment = lab.deployment();
    for client in Client::all(deployment) {
        match client {
            Client::Redis(store) => judge_redis(lab, histories, store, allowance, loss_promise),
            Client::Nats(store) | Client::NatsAt(store, _) => {
                let promise = store.promise.as_ref().map_or(loss_promise, |promise| promise.as_str());
                let name = "acknowledged messages are there once and in order";
                let (outcome, detail) = judge_nats(lab, histories, client.name(), name);
                lab.check(promise, name, outcome, detail);
            }
            Client::Jobs(pipeline) => {
                let objective = deployment.contract.objectives.jobs.as_ref();
                let promise = objective.map_or(loss_promise, |jobs| jobs.promise.as_str());
                let name = "every accepted job ended once";
                let (outcome, detail) = judge_jobs(lab, histories, &pipeline.name.value, name);
                lab.check(promise, name, outcome, detail);
            }
        }
    }
}

/// Whether replicas are promised, so that acknowledgements of theirs must have been seen: without one, "none was lost"
/// says nothing.
fn has_replicas(store: &Store) -> bool {
    matches!(store.kind, StoreKind::RedisCluster { replicas_per_primary, .. } if replicas_per_primary > 0)
}

fn judge_redis(lab: &Lab, histories: &Histories, store: &Store, allowance: Allowance, promise: &str) {
    let waited = if has_replicas(store) { NEEDED } else { 0 };
    let store = store.name.value.as_str();
    let Some(history) = histories.of(store) else {
        return lab.check(promise, &format!("{store}: acknowledged writes are there"), Outcome::Unknown, "no history");
    };
    let report = redis::check(history, redis::Needs { plain: NEEDED, waited });
    let lost = report.lost_waited.len() as u64;
    lab.figure(&format!("{store}: replicated writes lost"), lost as f64, "writes", Some(allowance.replicated as f64));
    let broken = (lost > allowance.replicated).then(|| told(&report.lost_waited));
    let held = format!("{lost} of {} lost, {} allowed", report.waited.acked, allowance.replicated);
    let (outcome, detail) = judged(broken, &report.insufficient, held);
    let name = "writes that a replica acknowledged are there";
    if outcome == Outcome::Broken {
        show_findings(lab, history, store, name, &report.lost_waited);
    }
    lab.check(promise, name, outcome, detail);

    let percent = report.plain.share_lost().unwrap_or(0.0) * 100.0;
    let allowed = allowance.plain_percent;
    lab.figure(&format!("{store}: acknowledged writes lost"), percent, "%", Some(allowed));
    let share = format!("{} of {} lost ({percent:.3} %), {allowed} % allowed", report.plain.lost, report.plain.acked);
    let broken = (percent > allowed).then(|| format!("{share}: {}", told(&report.lost_plain)));
    let (outcome, detail) = judged(broken, &report.insufficient, share);
    let name = "plainly acknowledged writes are there";
    if outcome == Outcome::Broken {
        show_findings(lab, history, store, name, &report.lost_plain);
    }
    lab.check(promise, name, outcome, detail);

    let broken = (!report.phantoms.is_empty()).then(|| told(&report.phantoms));
    let (outcome, detail) = judged(broken, &[], "none".to_owned());
    lab.check(promise, "no value is there that nobody wrote", outcome, detail);
}

/// What became of everything that a client of NATS published, for the check of that name.
pub fn judge_nats(lab: &Lab, histories: &Histories, client: &str, name: &str) -> Judged {
    let Some(history) = histories.of(client) else { return (Outcome::Unknown, "no history".to_owned()) };
    let report = nats::check(history, &histories.stream, NEEDED);
    let conclusion = report.conclude();
    if let Conclusion::Found(findings) = &conclusion {
        show_findings(lab, history, client, name, findings);
    }
    concluded(conclusion, format!("all {} of them", report.published.acked))
}

/// Records what became of a fleet's durable consumer. What was confirmed in `excused` times may have been undone.
pub fn judge_consumer(lab: &Lab, histories: &Histories, store: &str, excused: &[nats::Span], promise: &str) {
    let name = "the consumer went on where it was";
    let Some(history) = histories.of(store) else {
        return lab.check(promise, name, Outcome::Unknown, "no history");
    };
    let report = consumer(history, &histories.stream, excused);
    let forgotten = report.forgotten;
    lab.figure(&format!("{store}: acknowledgements forgotten"), forgotten as f64, "messages", None);
    let held = format!("{} confirmed, {forgotten} of them forgotten with their leader", report.confirmed);
    let conclusion = report.conclude();
    if let Conclusion::Found(findings) = &conclusion {
        show_findings(lab, history, store, name, findings);
    }
    let (outcome, detail) = concluded(conclusion, held);
    lab.check(promise, name, outcome, detail);
}

fn consumer(history: &History, stream: &str, excused: &[nats::Span]) -> nats_consumer::Report {
    nats_consumer::check(history, stream, CONSUMER, NEEDED, excused)
}

fn consumes(history: &History) -> bool {
    history.attempts.iter().any(|attempt| matches!(attempt.op, Operation::NatsFetch { .. }))
}

fn judge_jobs(lab: &Lab, histories: &Histories, pipeline: &str, name: &str) -> Judged {
    let Some(history) = histories.of(pipeline) else { return (Outcome::Unknown, "no history".to_owned()) };
    let report = jobs::check(history, NEEDED);
    let conclusion = report.conclude();
    if let Conclusion::Found(findings) = &conclusion {
        show_findings(lab, history, pipeline, name, findings);
    }
    concluded(conclusion, format!("all {} of them", report.accepted.acked))
}

fn concluded(conclusion: Conclusion, held: String) -> Judged {
    match conclusion {
        Conclusion::Clean => (Outcome::Held, held),
        Conclusion::Found(findings) => (Outcome::Broken, told(&findings)),
        Conclusion::Insufficient(reasons) => (Outcome::Unknown, reasons.join("; ")),
    }
}

/// The control: whether the same clients without any fault saw nothing that a fault could be blamed for.
pub fn control(deployment: Deployment<'_>, histories: &Histories) -> Evidence {
    let mut operations = 0;
    let pinned = Client::pinned(deployment).into_iter().filter(|client| histories.of(client.name()).is_some());
    for client in Client::all(deployment).into_iter().chain(pinned) {
        let name = client.name();
        let Some(history) = histories.of(name) else { return Evidence::Missing(format!("no history of {name}")) };
        let conclusion = match client {
            Client::Redis(_) => redis::check(history, redis::Needs { plain: NEEDED, waited: 0 }).conclude(0.0),
            Client::Nats(_) | Client::NatsAt(..) => match nats::check(history, &histories.stream, NEEDED).conclude() {
                Conclusion::Clean if consumes(history) => consumer(history, &histories.stream, &[]).conclude(),
                conclusion => conclusion,
            },
            Client::Jobs(_) => jobs::check(history, NEEDED).conclude(),
        };
        match conclusion {
            Conclusion::Clean => operations += history.attempts.len(),
            Conclusion::Found(findings) => {
                return Evidence::Missing(format!("{name} without the fault: {}", told(&findings)));
            }
            Conclusion::Insufficient(reasons) => {
                return Evidence::Missing(format!("{name} without the fault: {}", reasons.join("; ")));
            }
        }
    }
    if Client::all(deployment).is_empty() {
        return Evidence::Shown("the contract names nothing that clients could use: only pods are watched".to_owned());
    }
    Evidence::Shown(format!("{operations} operations without the fault, nothing lost"))
}

/// The longest time without success between two moments (microseconds since 1970) for one client, of the group that
/// `is_concerned` picks or of all of them.
pub fn longest_gap(
    histories: &Histories,
    client: &str,
    from_us: u64,
    to_us: u64,
    is_concerned: impl Fn(Option<&str>) -> bool,
) -> Result<f64, String> {
    let history = histories.of(client).ok_or_else(|| format!("no history of {client}"))?;
    let report = availability::check(history, from_us, to_us, 0, |attempt| is_concerned(attempt.group.as_deref()));
    // A client that was not trying has seen no unavailability, however long it lasted.
    if !report.insufficient.is_empty() {
        return Err(report.insufficient.join("; "));
    }
    let (_, worst) = report.worst();
    let tried = worst.ok + worst.failed + worst.unknown;
    if tried == 0 {
        return Err(format!("{client} tried nothing in that time"));
    }
    Ok(worst.longest_gap.length_us() as f64 / 1e6)
}

/// Tells when a time without success became longer than `allowed` under the check of that name: the longest one of
/// [`longest_gap`], for the same client, span and groups.
pub fn show_gap(
    lab: &Lab,
    histories: &Histories,
    (client, check): (&str, &str),
    (from_us, to_us): (u64, u64),
    allowed: Duration,
    is_concerned: impl Fn(Option<&str>) -> bool,
) {
    let Some(history) = histories.of(client) else { return };
    let report = availability::check(history, from_us, to_us, 0, |attempt| is_concerned(attempt.group.as_deref()));
    let (group, worst) = report.worst();
    let at_us = worst.longest_gap.from_us + u64::try_from(allowed.as_micros()).unwrap_or(u64::MAX);
    if at_us < worst.longest_gap.to_us {
        let what = format!("no success for {}", Span(allowed));
        show(lab, history, client, check, Moment { at_us, what, group: group.map(str::to_owned) });
    }
}
