//! PodDisruptionBudgets, and the quorums of workloads that are no known store: what their budget keeps.

use super::Promised;
use super::manifests::{Manifest, Manifests};
use super::row::Row;
use super::stores::{self, Known};
use super::workload::Workload;
use serde_json::{Value, json};

/// What is guessed of budgets.
#[derive(Default)]
pub struct Guess {
    pub budgets: Vec<Row>,
    pub quorums: Vec<Row>,
    pub promises: Vec<Promised>,
}

pub fn guess(manifests: &Manifests<'_>) -> Guess {
    let mut guess = Guess::default();
    let mut names: Vec<&str> = Vec::new();
    for budget in manifests.of_kind("PodDisruptionBudget") {
        let row = Row::new(budget.origin()).with("name", budget.name());
        let Some(workload) = subjects(manifests, budget).next() else {
            guess.budgets.push(row.off("it selects no workload of the manifests"));
            continue;
        };
        let replicas = workload.replicas();
        let Some((word, amount)) = allowance(budget, replicas) else {
            guess.budgets.push(row.off("neither minAvailable nor maxUnavailable is a number of pods"));
            continue;
        };
        let id = format!("budget.{}", budget.name());
        let row = row.with("workload", workload.name).with("allows", json!({word: amount})).with("promise", id.clone());
        let why = (word == "minAvailable" && amount > replicas)
            .then(|| format!("it wants more pods available than the {replicas} that there are, so none can be evicted"))
            .or_else(|| names.contains(&budget.name()).then(|| "another budget has this name".to_owned()));
        let row = row.off_if(why);
        if row.is_on() {
            names.push(budget.name());
            let says = format!("Disruptions of {} keep to its budget", workload.name);
            guess.promises.push(Promised { id, says, from: budget.origin(), off: None });
            guess.quorum(manifests, workload, budget);
        }
        guess.budgets.push(row);
    }
    guess
}

impl Guess {
    /// What a budget keeps is the only thing known of how many a workload needs.
    fn quorum(&mut self, manifests: &Manifests<'_>, workload: &Workload<'_>, budget: &Manifest) {
        let floor = floor(manifests, workload).filter(|floor| *floor > 0 && *floor < workload.replicas());
        let has_another =
            || stores::known(manifests, workload).is_some_and(|found| !matches!(found.known, Known::Unclear(_)));
        let Some(floor) = floor.filter(|_| !has_another()) else { return };
        let id = format!("quorum.{}", workload.name);
        if self.promises.iter().any(|promised| promised.id == id) {
            return;
        }
        let says = format!("Disruptions leave at least {floor} of {} pods of {}", workload.replicas(), workload.name);
        self.promises.push(Promised { id: id.clone(), says, from: budget.origin(), off: None });
        let row = Row::new(budget.origin()).with("workload", workload.name).with("minReady", floor);
        self.quorums.push(row.with("because", "its budget keeps so many").with("promise", id));
    }
}

fn subjects<'m, 'a>(manifests: &'m Manifests<'a>, budget: &'a Manifest) -> impl Iterator<Item = &'m Workload<'a>> {
    manifests.selected(budget.namespace(), &budget.object["spec"]["selector"]).filter(|workload| workload.is_serving())
}

/// What a budget allows, in pods.
fn allowance(budget: &Manifest, replicas: u64) -> Option<(&'static str, u64)> {
    let spec = &budget.object["spec"];
    let word = if spec["minAvailable"].is_null() { "maxUnavailable" } else { "minAvailable" };
    Some((word, pods(&spec[word], replicas)?))
}

/// How few pods of a workload its budgets let stay; nothing where there is no budget.
pub fn floor(manifests: &Manifests<'_>, workload: &Workload<'_>) -> Option<u64> {
    let budgets = manifests.of_kind("PodDisruptionBudget");
    let mine = budgets.filter(|budget| subjects(manifests, budget).next().is_some_and(|w| w.name == workload.name));
    let floors = mine.filter_map(|budget| {
        let (word, amount) = allowance(budget, workload.replicas())?;
        Some(if word == "minAvailable" { amount } else { workload.replicas().saturating_sub(amount) })
    });
    floors.min()
}

/// A number of pods, or a percentage of them, rounded up as Kubernetes does.
fn pods(amount: &Value, replicas: u64) -> Option<u64> {
    match amount.as_str() {
        None => amount.as_u64(),
        Some(text) => text.strip_suffix('%')?.parse::<u64>().ok().map(|percent| (replicas * percent).div_ceil(100)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_up() {
        for (amount, replicas, expected) in
            [(json!("50%"), 3, Some(2)), (json!(1), 3, Some(1)), (json!("0%"), 3, Some(0)), (json!("half"), 3, None)]
        {
            assert_eq!(pods(&amount, replicas), expected, "{amount}");
        }
    }
}
