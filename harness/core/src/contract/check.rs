//! The contract against itself: every dangling reference and every contradiction, with where it stands.

mod contradictions;
mod names;
mod references;

use super::model::{Contract, Only, Ref};
use crate::problem::Problem;
use crate::suggest;
use crate::yaml::Located;

/// Everything wrong with a contract that parsed, in the order of the file.
pub fn problems(file: &str, contract: &Contract) -> Vec<Problem> {
    let mut findings = Findings { file, contract, problems: vec![] };
    names::check(&mut findings);
    references::check(&mut findings);
    contradictions::check(&mut findings);
    findings.problems.sort_by_key(|problem| (problem.line, problem.column));
    findings.problems
}

/// Collects problems of one contract.
struct Findings<'a> {
    file: &'a str,
    contract: &'a Contract,
    problems: Vec<Problem>,
}

impl<'a> Findings<'a> {
    fn add<T>(&mut self, at: &Located<T>, message: impl Into<String>) {
        self.problems.push(at.problem(self.file, message));
    }

    fn add_hinted<T>(&mut self, at: &Located<T>, message: impl Into<String>, hint: impl Into<String>) {
        let mut problem = at.problem(self.file, message);
        problem.suggestion = Some(hint.into());
        self.problems.push(problem);
    }

    /// `reference` must be one of `known`, which are `what`s.
    fn known(&mut self, what: &str, reference: &Ref, known: &[&str]) {
        if known.contains(&reference.as_str()) {
            return;
        }
        let mut problem = reference.problem(self.file, format!("no {what} is called `{}`", reference.value));
        problem.suggestion = suggest::sentence(&reference.value, known.iter().copied());
        self.problems.push(problem);
    }

    fn overlays(&mut self, only: &Only) {
        let known: Vec<&str> = self.contract.overlays.keys().map(String::as_str).collect();
        for name in only {
            self.known("overlay", name, &known);
        }
    }

    /// Overlays in which something restricted to `only` exists.
    fn overlay_names(&self, only: &'a Only) -> Vec<&'a str> {
        let all = self.contract.overlays.keys().map(String::as_str);
        all.filter(|name| only.is_empty() || only.iter().any(|o| o.value == *name)).collect()
    }
}
