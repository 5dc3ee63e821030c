//! What a scenario finds: told to the events as it is found, and kept for the verdict.

use crate::bus::now_us;
use crate::histories;
use crate::lab::Lab;
use gauntlet_cluster::ready;
use gauntlet_cluster::view::Snapshot;
use gauntlet_core::event::Event;
use gauntlet_core::history::History;
use gauntlet_core::judgement::disruption::{Lacking, Steady};
use gauntlet_core::judgement::{Answer, Question, Saved};
use gauntlet_core::matrix::Matrix;
use gauntlet_core::timeline::Violation;
use gauntlet_core::{Check, Figure, Outcome};
use std::collections::BTreeMap;
use std::time::Duration;

impl Lab {
    /// Records a check of a promise of the contract. Where it is only guessed, what was seen is recorded as such.
    pub fn check(&self, promise: &str, name: &str, outcome: Outcome, detail: impl Into<String>) {
        self.checked(promise, name, outcome, detail.into(), None);
    }

    /// Records that a promise is broken, with one sentence for people who know neither the check nor the scenario: who,
    /// how many of how many, within what time, and what is allowed.
    pub fn broken(&self, promise: &str, name: &str, detail: impl Into<String>, told: impl Into<String>) {
        self.checked(promise, name, Outcome::Broken, detail.into(), Some(told.into()));
    }

    fn checked(&self, promise: &str, name: &str, outcome: Outcome, detail: String, told: Option<String>) {
        let reference = self.contract.promise(promise).map_or_else(String::new, |p| p.reference.clone());
        let (promise_id, name) = (promise.to_owned(), name.to_owned());
        let check = Check { promise: promise_id, reference, name, outcome, looks: None, detail, told };
        let check = if self.is_guessed(promise) { check.unconfirmed() } else { check };
        self.emitter.emit(Event::Checked { scenario: self.name.clone(), check: check.clone() });
        if check.outcome == Outcome::Broken {
            self.case.suspect();
        }
        self.observe(|observations| observations.checks.push(check));
    }

    /// Says that a promise looks broken, before it can be judged: evidence is collected before the fault is healed.
    pub fn suspect(&self, why: impl Into<String>) {
        self.note(why);
        self.case.suspect();
    }

    /// Records that this cluster lacks what the scenario needs, as only a try could tell: it is skipped.
    pub fn unsuited(&self, reason: &str) {
        self.note(reason);
        self.observe(|observations| observations.unsuited = Some(reason.to_owned()));
    }

    pub fn figure(&self, name: &str, value: f64, unit: &str, limit: Option<f64>) {
        let figure = Figure { name: name.to_owned(), value, unit: unit.to_owned(), limit };
        self.emitter.emit(Event::Measured { scenario: self.name.clone(), figure: figure.clone() });
        self.observe(|observations| observations.figures.push(figure));
    }

    /// Asks histories, which are there by client with the names of their files, and records what they answer. The
    /// question is saved beside them, so that it can be asked again.
    pub fn ask(&self, histories: &BTreeMap<String, (String, History)>, question: Question) -> Answer {
        let answer = question.answer(|client| histories.get(client).map(|(_, history)| history));
        let known = question.clients().into_iter().filter_map(|client| {
            let (file, _) = histories.get(client)?;
            Some((client.to_owned(), file.clone()))
        });
        let saved = Saved { histories: known.collect(), question };
        if let Err(trouble) = histories::ask(&self.folder, &saved, &self.redactor) {
            self.note(format!("this cannot be judged again: {trouble}"));
        }
        for figure in &answer.figures {
            self.figure(&figure.name, figure.value, &figure.unit, figure.limit);
        }
        answer.violations.iter().for_each(|violation| self.violated(violation.clone()));
        for ruling in &answer.rulings {
            let (detail, told) = (ruling.detail.clone(), ruling.told.clone());
            self.checked(&ruling.promise, &ruling.check, ruling.outcome, detail, told);
        }
        answer
    }

    /// Tells who was expected to reach whom, and who did.
    pub fn matrix(&self, matrix: Matrix) {
        self.emitter.emit(Event::MatrixSeen { scenario: self.name.clone(), matrix });
    }

    /// Waits until the system is as it has to be, and checks that it came to that in time. `held` says how that is told,
    /// `after` what it had to recover from.
    pub async fn check_steady(
        &self,
        promise: &str,
        check: &str,
        within: Duration,
        (held, after): (&str, &str),
    ) -> bool {
        let from_us = now_us();
        let mut seen: Vec<Lacking> = Vec::new();
        let condition = |snapshot: &Snapshot| {
            let what = ready::lacking(self.deployment(), snapshot).join("; ");
            if seen.last().is_none_or(|last| last.what != what) {
                seen.push(Lacking { at_us: now_us(), what: what.clone() });
            }
            if what.is_empty() { Ok(()) } else { Err(what) }
        };
        let steady = self.view().until("the steady state", within, self.progress(), condition).await;
        self.ask(
            &BTreeMap::new(),
            Question::Steady(Steady {
                promise: promise.to_owned(),
                check: check.to_owned(),
                after: after.to_owned(),
                from_us,
                within_us: u64::try_from(within.as_micros()).unwrap_or(u64::MAX),
                seen,
                held: held.to_owned(),
            }),
        );
        steady.is_ok()
    }

    /// Tells when a promise was broken without a client. The check itself is recorded by [`Lab::broken`].
    pub fn broken_at(&self, check: &str, at_ms: u64, what: impl Into<String>) {
        self.violated(Violation::at(check, at_ms, what));
    }

    /// Tells when a promise was broken. The check itself is recorded by [`Lab::check`].
    fn violated(&self, violation: Violation) {
        self.emitter.emit(Event::Violated { scenario: self.name.clone(), violation });
    }
}
