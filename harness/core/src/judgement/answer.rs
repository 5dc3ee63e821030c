//! From histories to checks of promises.

use super::question::{Consumer, Control, Gap, Jobs, Messages, Question, Refusals, Store, Telling, Writes};
use crate::checkers::{Conclusion, Finding, availability, jobs, nats, nats_consumer, redis};
use crate::history::{Attempt, History, Operation};
use crate::span::Span;
use crate::timeline::{Violation, around};
use crate::verdict::{Evidence, Figure, Outcome};
use std::time::Duration;

/// Fewer operations than this show nothing.
const NEEDED: u64 = 20;

/// Publishes that must have been refused, so that it can be said what becomes of one.
const REFUSED: usize = 5;

/// Operations shown on each side of the moment at which a promise was broken.
const EACH_SIDE: usize = 8;

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    pub promise: String,
    pub check: String,
    pub outcome: Outcome,
    pub detail: String,
}

/// What histories say to a question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    pub rulings: Vec<Ruling>,
    pub figures: Vec<Figure>,
    /// When promises were broken, where that is known.
    pub violations: Vec<Violation>,
    /// Of a question for the control.
    pub control: Option<Evidence>,
    /// Of a question for a gap: its length in seconds, where it can be told.
    pub gap: Option<f64>,
}

impl Answer {
    fn rule(&mut self, promise: &str, check: &str, (outcome, detail): (Outcome, String)) {
        self.rulings.push(Ruling { promise: promise.to_owned(), check: check.to_owned(), outcome, detail });
    }

    fn figure(&mut self, name: String, value: f64, unit: &str, limit: Option<f64>) {
        self.figures.push(Figure { name, value, unit: unit.to_owned(), limit });
    }

    /// Tells when a promise was broken, where the findings say so, with the operations around that moment.
    fn show(&mut self, history: &History, client: &str, check: &str, findings: &[Finding]) {
        let moment = |finding: &Finding| match finding {
            Finding::Lost { acked_us, .. } => Some((*acked_us, "acknowledged, and lost later")),
            Finding::AckedWithoutQuorum { at_us, .. } => Some((*at_us, "acknowledged without a quorum")),
            Finding::Redelivered { at_us, .. } => Some((*at_us, "delivered again after its acknowledgement")),
            Finding::FloorWentBack { at_us, .. } => Some((*at_us, "the consumer went back")),
            _ => None,
        };
        if let Some((at_us, what)) = findings.iter().filter_map(moment).min() {
            self.violated(history, client, check, at_us, what.to_owned(), None);
        }
    }

    fn violated(
        &mut self,
        history: &History,
        client: &str,
        check: &str,
        at_us: u64,
        what: String,
        group: Option<String>,
    ) {
        let concerned = |attempt: &Attempt| group.is_none() || attempt.group == group;
        let operations = around(history, at_us, EACH_SIDE, concerned);
        let (check, client) = (check.to_owned(), client.to_owned());
        self.violations.push(Violation { check, at_ms: at_us / 1000, what, client, operations, group });
    }
}

/// The first findings in words, and how many more there are.
pub fn told(findings: &[Finding]) -> String {
    let shown: Vec<String> = findings.iter().take(3).map(ToString::to_string).collect();
    let more = findings.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join("; "))
}

impl Question {
    /// What the histories say; `of` has them by client.
    pub fn answer<'h>(&self, of: impl Fn(&str) -> Option<&'h History>) -> Answer {
        let mut answer = Answer::default();
        match self {
            Self::Writes(asked) => asked.answer(of(&asked.client), &mut answer),
            Self::Messages(asked) => {
                let ruling = with(of(&asked.client), |history| asked.answer(history, &mut answer));
                answer.rule(&asked.promise, &asked.check, ruling);
            }
            Self::Consumer(asked) => {
                let ruling = with(of(&asked.client), |history| asked.answer(history, &mut answer));
                answer.rule(&asked.promise, CONSUMER_CHECK, ruling);
            }
            Self::Jobs(asked) => {
                let ruling = with(of(&asked.client), |history| asked.answer(history, &mut answer));
                answer.rule(&asked.promise, &asked.check, ruling);
            }
            Self::Gap(asked) => {
                let ruling = with(of(&asked.client), |history| asked.answer(history, &mut answer));
                answer.rule(&asked.promise, &asked.check, ruling);
            }
            Self::Refusals(asked) => asked.answer(of(&asked.client), &mut answer),
            Self::Control(asked) => answer.control = Some(asked.answer(of)),
        }
        answer
    }
}

const CONSUMER_CHECK: &str = "the consumer went on where it was";

fn with(history: Option<&History>, judge: impl FnOnce(&History) -> (Outcome, String)) -> (Outcome, String) {
    history.map_or((Outcome::Unknown, "no history".to_owned()), judge)
}

fn judged(broken: Option<String>, insufficient: &[String], held: String) -> (Outcome, String) {
    match (broken, insufficient) {
        (Some(detail), _) => (Outcome::Broken, detail),
        (None, []) => (Outcome::Held, held),
        (None, reasons) => (Outcome::Unknown, reasons.join("; ")),
    }
}

fn concluded(conclusion: Conclusion, held: String) -> (Outcome, String) {
    match conclusion {
        Conclusion::Clean => (Outcome::Held, held),
        Conclusion::Found(findings) => (Outcome::Broken, told(&findings)),
        Conclusion::Insufficient(reasons) => (Outcome::Unknown, reasons.join("; ")),
    }
}

impl Writes {
    fn answer(&self, history: Option<&History>, answer: &mut Answer) {
        let (store, promise) = (self.client.as_str(), self.promise.as_str());
        let Some(history) = history else {
            let check = format!("{store}: acknowledged writes are there");
            return answer.rule(promise, &check, (Outcome::Unknown, "no history".to_owned()));
        };
        let waited = if self.has_replicas { NEEDED } else { 0 };
        let report = redis::check(history, redis::Needs { plain: NEEDED, waited });
        let (lost, allowed) = (report.lost_waited.len() as u64, self.allowance.replicated);
        answer.figure(format!("{store}: replicated writes lost"), lost as f64, "writes", Some(allowed as f64));
        let broken = (lost > allowed).then(|| told(&report.lost_waited));
        let held = format!("{lost} of {} lost, {allowed} allowed", report.waited.acked);
        let check = "writes that a replica acknowledged are there";
        if broken.is_some() {
            answer.show(history, store, check, &report.lost_waited);
        }
        answer.rule(promise, check, judged(broken, &report.insufficient, held));

        let percent = report.plain.share_lost().unwrap_or(0.0) * 100.0;
        let allowed = self.allowance.plain_percent;
        answer.figure(format!("{store}: acknowledged writes lost"), percent, "%", Some(allowed));
        let share =
            format!("{} of {} lost ({percent:.3} %), {allowed} % allowed", report.plain.lost, report.plain.acked);
        let broken = (percent > allowed).then(|| format!("{share}: {}", told(&report.lost_plain)));
        let check = "plainly acknowledged writes are there";
        if broken.is_some() {
            answer.show(history, store, check, &report.lost_plain);
        }
        answer.rule(promise, check, judged(broken, &report.insufficient, share));

        let broken = (!report.phantoms.is_empty()).then(|| told(&report.phantoms));
        answer.rule(promise, "no value is there that nobody wrote", judged(broken, &[], "none".to_owned()));
    }
}

impl Messages {
    fn answer(&self, history: &History, answer: &mut Answer) -> (Outcome, String) {
        let report = nats::check(history, &self.stream, NEEDED);
        let conclusion = report.conclude();
        if let Conclusion::Found(findings) = &conclusion {
            answer.show(history, &self.client, &self.check, findings);
        }
        concluded(conclusion, format!("all {} of them", report.published.acked))
    }
}

impl Consumer {
    fn answer(&self, history: &History, answer: &mut Answer) -> (Outcome, String) {
        let report = nats_consumer::check(history, &self.stream, &self.consumer, NEEDED, &self.excused);
        let forgotten = report.forgotten;
        answer.figure(format!("{}: acknowledgements forgotten", self.client), forgotten as f64, "messages", None);
        let conclusion = report.conclude();
        if let Conclusion::Found(findings) = &conclusion {
            answer.show(history, &self.client, CONSUMER_CHECK, findings);
        }
        concluded(
            conclusion,
            format!("{} confirmed, {forgotten} of them forgotten with their leader", report.confirmed),
        )
    }
}

impl Jobs {
    fn answer(&self, history: &History, answer: &mut Answer) -> (Outcome, String) {
        let report = jobs::check(history, NEEDED);
        let conclusion = report.conclude();
        if let Conclusion::Found(findings) = &conclusion {
            answer.show(history, &self.client, &self.check, findings);
        }
        concluded(conclusion, format!("all {} of them", report.accepted.acked))
    }
}

impl Gap {
    fn answer(&self, history: &History, answer: &mut Answer) -> (Outcome, String) {
        let concerned = |attempt: &Attempt| match (&self.groups, &attempt.group) {
            (None, _) => true,
            (Some(groups), Some(group)) => groups.contains(group),
            (Some(_), None) => false,
        };
        let report = availability::check(history, self.span.from_us, self.span.to_us, 0, concerned);
        let (group, worst) = report.worst();
        let past_us = worst.longest_gap.from_us.saturating_add(self.allowed_us);
        let allowed = Span(Duration::from_micros(self.allowed_us));
        if past_us < worst.longest_gap.to_us {
            let (what, group) = (format!("no success for {allowed}"), group.map(str::to_owned));
            answer.violated(history, &self.client, &self.check, past_us, what, group);
        }
        // A client that was not trying has seen no unavailability, however long it lasted.
        if !report.insufficient.is_empty() {
            return (Outcome::Unknown, report.insufficient.join("; "));
        }
        if worst.ok + worst.failed + worst.unknown == 0 {
            return (Outcome::Unknown, format!("{} tried nothing in that time", self.client));
        }
        let (seconds, limit) = (worst.longest_gap.length_us() as f64 / 1e6, self.allowed_us as f64 / 1e6);
        answer.gap = Some(seconds);
        if let Some(name) = &self.figure {
            answer.figure(name.clone(), seconds, "s", Some(limit));
        }
        let outcome = if seconds <= limit { Outcome::Held } else { Outcome::Broken };
        let detail = match self.telling {
            Telling::After => format!("after {seconds:.1} s, {allowed} allowed"),
            Telling::Without => format!("{seconds:.1} s without at the most, {allowed} allowed"),
            Telling::Longest => format!("{seconds:.1} s at the longest"),
        };
        (outcome, detail)
    }
}

impl Refusals {
    fn answer(&self, history: Option<&History>, answer: &mut Answer) {
        let (promise, when) = (self.promise.as_str(), &self.when);
        let check = format!("nothing is acknowledged with {when}");
        let Some(history) = history else {
            return answer.rule(promise, &check, (Outcome::Unknown, "no history".to_owned()));
        };
        let refused = self.refusals(history);
        let acked = nats::acked_without_quorum(history, &self.stream, &[self.without]);
        let ruling = match (acked.is_empty(), refused.len()) {
            (false, _) => (Outcome::Broken, told(&acked)),
            (true, count) if count < REFUSED => (Outcome::Unknown, format!("{count} publishes were tried")),
            (true, count) => (Outcome::Held, format!("none of {count} publishes")),
        };
        answer.rule(promise, &check, ruling);

        let within = self.within_us as f64 / 1e6;
        let slowest = refused.iter().copied().max().unwrap_or(0) as f64 / 1e6;
        answer.figure(format!("slowest refusal with {when}"), slowest, "s", Some(within));
        let outcome = match refused.len() {
            count if count < REFUSED => Outcome::Unknown,
            _ if slowest > within => Outcome::Broken,
            _ => Outcome::Held,
        };
        let allowed = Span(Duration::from_micros(self.within_us));
        let detail = format!("{slowest:.1} s at the slowest, {allowed} allowed");
        answer.rule(promise, &format!("a publish ends in an error in time with {when}"), (outcome, detail));
    }

    /// How long each publish took, in microseconds, that was tried without a quorum and not acknowledged.
    fn refusals(&self, history: &History) -> Vec<u64> {
        let tried = |attempt: &&Attempt| {
            let began = attempt.invoked.wall_us;
            matches!(&attempt.op, Operation::NatsPublish { stream: of, .. } if *of == self.stream)
                && !attempt.is_ok()
                && self.without.from_us <= began
                && began <= self.without.to_us
        };
        let took = |attempt: &Attempt| {
            let end = attempt.completed.map_or(u64::MAX, |at| at.mono_us);
            end.saturating_sub(attempt.invoked.mono_us)
        };
        history.attempts.iter().filter(tried).map(took).collect()
    }
}

impl Control {
    fn answer<'h>(&self, of: impl Fn(&str) -> Option<&'h History>) -> Evidence {
        let mut operations = 0;
        for client in &self.clients {
            let name = &client.name;
            let Some(history) = of(name) else { return Evidence::Missing(format!("no history of {name}")) };
            match self.conclusion(client.uses, history) {
                Conclusion::Clean => operations += history.attempts.len(),
                Conclusion::Found(findings) => {
                    return Evidence::Missing(format!("{name} {WITHOUT} {}", told(&findings)));
                }
                Conclusion::Insufficient(reasons) => {
                    return Evidence::Missing(format!("{name} {WITHOUT} {}", reasons.join("; ")));
                }
            }
        }
        Evidence::Shown(format!("{operations} operations without the fault, nothing lost"))
    }

    fn conclusion(&self, uses: Store, history: &History) -> Conclusion {
        let consumes = || history.attempts.iter().any(|attempt| matches!(attempt.op, Operation::NatsFetch { .. }));
        match uses {
            Store::Redis => redis::check(history, redis::Needs { plain: NEEDED, waited: 0 }).conclude(0.0),
            Store::Jobs => jobs::check(history, NEEDED).conclude(),
            Store::Nats => match nats::check(history, &self.stream, NEEDED).conclude() {
                Conclusion::Clean if consumes() => {
                    nats_consumer::check(history, &self.stream, &self.consumer, NEEDED, &[]).conclude()
                }
                conclusion => conclusion,
            },
        }
    }
}

/// How a control that is not clean begins to say so, after the client's name.
pub(super) const WITHOUT: &str = "without the fault:";

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
