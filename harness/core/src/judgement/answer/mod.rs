//! From histories and other things that were seen to checks of promises.
//!
//! - [`stores`]: what stores and pipelines owe their clients
//! - [`served`]: times without service, and refusals
//! - [`disruption`]: what was done to the cluster
//! - [`words`]: sentences for people who know neither the check nor the scenario
//! - [`control`]: the same clients without any fault

mod control;
mod disruption;
mod served;
mod stores;
#[cfg(test)]
mod tests;
mod words;

pub(super) use control::WITHOUT;

use super::question::{Question, Read};
use crate::checkers::{Conclusion, Finding};
use crate::history::{Attempt, History};
use crate::matrix::asked::Row;
use crate::timeline::{Violation, around};
use crate::verdict::{Evidence, Figure, Outcome};

/// Fewer operations than this show nothing.
const NEEDED: u64 = 20;

/// Operations shown on each side of the moment at which a promise was broken.
const EACH_SIDE: usize = 8;

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    pub promise: String,
    pub check: String,
    pub outcome: Outcome,
    pub detail: String,
    /// What is broken, in one plain sentence.
    pub told: Option<String>,
}

/// What was seen, before it is a check of a promise.
struct Came {
    outcome: Outcome,
    detail: String,
    told: Option<String>,
}

impl Came {
    fn held(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Held, detail: detail.into(), told: None }
    }

    fn unknown(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, detail: detail.into(), told: None }
    }

    /// With the sentence that says it plainly.
    fn broken(detail: impl Into<String>, told: impl Into<String>) -> Self {
        Self { outcome: Outcome::Broken, detail: detail.into(), told: Some(told.into()) }
    }
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
    fn rule(&mut self, promise: &str, check: &str, came: Came) {
        let Came { outcome, detail, told } = came;
        self.rulings.push(Ruling { promise: promise.to_owned(), check: check.to_owned(), outcome, detail, told });
    }

    /// Tells when a promise was broken without a client.
    fn broken_at(&mut self, check: &str, at_us: u64, what: String) {
        self.violations.push(Violation::at(check, at_us / 1000, what));
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
        let (check, client) = (check.to_owned(), Some(client.to_owned()));
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
            Self::Matrix(asked) => {
                for Row { check, outcome, detail, told } in asked.rows() {
                    answer.rule(&asked.promise, &check, Came { outcome, detail, told });
                }
            }
            Self::Restored(asked) => {
                let came = match (&asked.read, asked.read.as_it_was()) {
                    (_, Ok(told)) => Came::held(told),
                    // Whether that is the store's fault, what else is asked of it says.
                    (Read::Unread { .. }, Err(why)) => Came::unknown(format!("nothing could be read: {why}")),
                    (Read::Compared(compared), Err(differs)) => Came::broken(differs, compared.told_differences()),
                };
                answer.rule(&asked.promise, &asked.check, came);
            }
            Self::Evictions(asked) => asked.answer(&mut answer),
            Self::Quorum(asked) => asked.answer(&mut answer),
            Self::Drain(asked) => asked.answer(&mut answer),
            Self::Steady(asked) => asked.answer(&mut answer),
        }
        answer
    }
}

const CONSUMER_CHECK: &str = "the consumer went on where it was";

fn with(history: Option<&History>, judge: impl FnOnce(&History) -> Came) -> Came {
    history.map_or_else(|| Came::unknown("no history"), judge)
}

fn judged(broken: Option<Came>, insufficient: &[String], held: String) -> Came {
    match (broken, insufficient) {
        (Some(broken), _) => broken,
        (None, []) => Came::held(held),
        (None, reasons) => Came::unknown(reasons.join("; ")),
    }
}

/// `plainly` says what was found in a sentence of its own.
fn concluded(conclusion: Conclusion, held: String, plainly: impl FnOnce(&[Finding]) -> String) -> Came {
    match conclusion {
        Conclusion::Clean => Came::held(held),
        Conclusion::Found(findings) => Came::broken(told(&findings), plainly(&findings)),
        Conclusion::Insufficient(reasons) => Came::unknown(reasons.join("; ")),
    }
}
