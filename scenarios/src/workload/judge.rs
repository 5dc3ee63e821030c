//! From histories to checks of promises.

use super::fleet::Histories;
use super::pods::{CONSUMER, Client};
use gauntlet_core::checkers::{Conclusion, Finding, availability, jobs, nats, nats_consumer, redis};
use gauntlet_core::contract::Deployment;
use gauntlet_core::history::{History, Operation};
use gauntlet_core::{Evidence, Outcome};
use gauntlet_engine::Lab;

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
    /// Whether replicated acknowledgements must have been seen at all.
    pub needs_replicated: bool,
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
            Client::Redis(store) => judge_redis(lab, histories, &store.name.value, allowance, loss_promise),
            Client::Nats(store) => {
                let promise = store.promise.as_ref().map_or(loss_promise, |promise| promise.as_str());
                let (outcome, detail) = judge_nats(histories, &store.name.value);
                lab.check(promise, "acknowledged messages are there once and in order", outcome, detail);
            }
            Client::Jobs(pipeline) => {
                let objective = deployment.contract.objectives.jobs.as_ref();
                let promise = objective.map_or(loss_promise, |jobs| jobs.promise.as_str());
                let (outcome, detail) = judge_jobs(histories, &pipeline.name.value);
                lab.check(promise, "every accepted job ended once", outcome, detail);
            }
        }
    }
}

fn judge_redis(lab: &Lab, histories: &Histories, store: &str, allowance: Allowance, promise: &str) {
    let Some(history) = histories.of(store) else { return };
    let waited = if allowance.needs_replicated { NEEDED } else { 0 };
    let report = redis::check(history, redis::Needs { plain: NEEDED, waited });
    let lost = report.lost_waited.len() as u64;
    lab.figure(&format!("{store}: replicated writes lost"), lost as f64, "writes", Some(allowance.replicated as f64));
    let broken = (lost > allowance.replicated).then(|| told(&report.lost_waited));
    let held = format!("{lost} of {} lost, {} allowed", report.waited.acked, allowance.replicated);
    let (outcome, detail) = judged(broken, &report.insufficient, held);
    lab.check(promise, "writes that a replica acknowledged are there", outcome, detail);

    let percent = report.plain.share_lost().unwrap_or(0.0) * 100.0;
    let allowed = allowance.plain_percent;
    lab.figure(&format!("{store}: acknowledged writes lost"), percent, "%", Some(allowed));
    let share = format!("{} of {} lost ({percent:.3} %), {allowed} % allowed", report.plain.lost, report.plain.acked);
    let broken = (percent > allowed).then(|| format!("{share}: {}", told(&report.lost_plain)));
    let (outcome, detail) = judged(broken, &report.insufficient, share);
    lab.check(promise, "plainly acknowledged writes are there", outcome, detail);

    let broken = (!report.phantoms.is_empty()).then(|| told(&report.phantoms));
    let (outcome, detail) = judged(broken, &[], "none".to_owned());
    lab.check(promise, "no value is there that nobody wrote", outcome, detail);
}

fn judge_nats(histories: &Histories, store: &str) -> Judged {
    let Some(history) = histories.of(store) else { return (Outcome::Unknown, "no history".to_owned()) };
    let report = nats::check(history, &histories.stream, NEEDED);
    concluded(report.conclude(), format!("all {} of them", report.published.acked))
}

/// Records what became of a fleet's durable consumer. Of confirmed acknowledgements `forgotten` may have been undone.
pub fn judge_consumer(lab: &Lab, histories: &Histories, store: &str, forgotten: u64, promise: &str) {
    let name = "the consumer went on where it was";
    let Some(history) = histories.of(store) else {
        return lab.check(promise, name, Outcome::Unknown, "no history");
    };
    let report = consumer(history, &histories.stream);
    let undone = report.furthest_back.max(report.redelivered.len() as u64);
    lab.figure(&format!("{store}: acknowledgements forgotten"), undone as f64, "messages", Some(forgotten as f64));
    let held = format!("{} confirmed, {undone} of them forgotten, {forgotten} allowed", report.confirmed);
    let (outcome, detail) = concluded(report.conclude(forgotten), held);
    lab.check(promise, name, outcome, detail);
}

fn consumer(history: &History, stream: &str) -> nats_consumer::Report {
    nats_consumer::check(history, stream, CONSUMER, NEEDED)
}

fn consumes(history: &History) -> bool {
    history.attempts.iter().any(|attempt| matches!(attempt.op, Operation::NatsFetch { .. }))
}

fn judge_jobs(histories: &Histories, pipeline: &str) -> Judged {
    let Some(history) = histories.of(pipeline) else { return (Outcome::Unknown, "no history".to_owned()) };
    let report = jobs::check(history, NEEDED);
    concluded(report.conclude(), format!("all {} of them", report.accepted.acked))
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
    for client in Client::all(deployment) {
        let name = client.name();
        let Some(history) = histories.of(name) else { return Evidence::Missing(format!("no history of {name}")) };
        let conclusion = match client {
            Client::Redis(_) => redis::check(history, redis::Needs { plain: NEEDED, waited: 0 }).conclude(0.0),
            Client::Nats(_) => match nats::check(history, &histories.stream, NEEDED).conclude() {
                Conclusion::Clean if consumes(history) => consumer(history, &histories.stream).conclude(0),
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
