//! Times without service, and refusals.

use super::super::question::{Gap, Refusals, Telling};
use super::words::{count, seconds};
use super::{Answer, Came, told};
use crate::checkers::{availability, nats};
use crate::history::{Attempt, History, Operation};
use crate::span::Span;
use std::time::Duration;

/// Publishes that must have been refused, so that it can be said what becomes of one.
const REFUSED: usize = 5;

impl Gap {
    pub(super) fn answer(&self, history: &History, answer: &mut Answer) -> Came {
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
            return Came::unknown(report.insufficient.join("; "));
        }
        if worst.ok + worst.failed + worst.unknown == 0 {
            return Came::unknown(format!("{} tried nothing in that time", self.client));
        }
        let (took, limit) = (worst.longest_gap.length_us() as f64 / 1e6, self.allowed_us as f64 / 1e6);
        answer.gap = Some(took);
        if let Some(name) = &self.figure {
            answer.figure(name.clone(), took, "s", Some(limit));
        }
        let detail = match self.telling {
            Telling::After => format!("after {took:.1} s, {allowed} allowed"),
            Telling::Without => format!("{took:.1} s without at the most, {allowed} allowed"),
            Telling::Longest => format!("{took:.1} s at the longest"),
        };
        if took <= limit {
            Came::held(detail)
        } else {
            Came::broken(detail, self.told(group, worst.longest_gap.length_us()))
        }
    }

    /// `cordum-redis did not serve its clients for 40.1 s (shard of r-1); 12 s are allowed`
    fn told(&self, group: Option<&str>, took_us: u64) -> String {
        let whose = group.map_or(String::new(), |group| format!(" ({group})"));
        let (took, allowed) = (seconds(took_us), seconds(self.allowed_us));
        format!("{} did not serve its clients for {took}{whose}; {allowed} are allowed", self.client)
    }
}

impl Refusals {
    pub(super) fn answer(&self, history: Option<&History>, answer: &mut Answer) {
        let (promise, when) = (self.promise.as_str(), &self.when);
        let check = format!("nothing is acknowledged with {when}");
        let Some(history) = history else {
            return answer.rule(promise, &check, Came::unknown("no history"));
        };
        let refused = self.refusals(history);
        let acked = nats::acked_without_quorum(history, &self.stream, &[self.without]);
        let ruling = match (acked.is_empty(), refused.len()) {
            (false, _) => Came::broken(told(&acked), self.acknowledged(acked.len())),
            (true, count) if count < REFUSED => Came::unknown(format!("{count} publishes were tried")),
            (true, count) => Came::held(format!("none of {count} publishes")),
        };
        answer.rule(promise, &check, ruling);

        let within = self.within_us as f64 / 1e6;
        let slowest = refused.iter().copied().max().unwrap_or(0) as f64 / 1e6;
        answer.figure(format!("slowest refusal with {when}"), slowest, "s", Some(within));
        let allowed = Span(Duration::from_micros(self.within_us));
        let detail = format!("{slowest:.1} s at the slowest, {allowed} allowed");
        let came = match refused.len() {
            count if count < REFUSED => Came::unknown(detail),
            _ if slowest > within => Came::broken(detail, self.too_slow(slowest)),
            _ => Came::held(detail),
        };
        answer.rule(promise, &format!("a publish ends in an error in time with {when}"), came);
    }

    fn acknowledged(&self, number: usize) -> String {
        let number = number as u64;
        format!("{} acknowledged {} {} with {}; none may be", self.client, count(number), publishes(number), self.when)
    }

    fn too_slow(&self, slowest: f64) -> String {
        let allowed = seconds(self.within_us);
        format!("{} took {slowest:.1} s to refuse a publish with {}; {allowed} are allowed", self.client, self.when)
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

fn publishes(number: u64) -> &'static str {
    if number == 1 { "publish" } else { "publishes" }
}
