//! A contract proposed from manifests, for a person to confirm. Everything in it is guessed and says so: its promises,
//! figures that are invented, its network with peers and rows carry `guessed: true`, by which they are looked at and told
//! but decide nothing.
//!
//! - [`manifests`], [`workload`]: objects with their files, workloads, Services and what belongs together
//! - [`budgets`]: PodDisruptionBudgets, and what they keep
//! - [`stores`]: data stores that are known by their images, and their quorums
//! - [`network`]: NetworkPolicies as rows of a table
//! - [`images`]: what runs in place of images that are not at hand
//! - [`needs`]: what the manifests use and do not have
//! - [`definitions`]: kinds that are no part of Kubernetes
//! - [`row`]: how an entry is written

mod budgets;
mod definitions;
mod images;
mod manifests;
mod needs;
mod network;
mod row;
mod stores;
mod workload;

pub use manifests::Manifest;

use manifests::Manifests;
use row::{Row, flow, section};
use serde_json::{Value, json};
use std::fmt::Write as _;
use workload::Workload;

/// What a proposal is made from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What the system is to be called.
    pub name: &'a str,
    /// What the overlay is to be called.
    pub overlay: &'a str,
    /// The overlay, relative to the contract.
    pub path: &'a str,
    /// Where definitions of foreign kinds will be, relative to the contract.
    pub definitions: &'a str,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The text of the contract.
    pub text: String,
    /// Definitions of kinds that are no part of Kubernetes and that the manifests do not define.
    pub definitions: Vec<Value>,
}

/// A promise that entries of one table refer to.
struct Promised {
    id: String,
    says: String,
    from: String,
    /// Why it is only a comment.
    off: Option<String>,
}

/// How many workloads there are, by which nothing can be proposed where there are none.
pub fn workloads(manifests: &[Manifest]) -> usize {
    Manifests::of(manifests).workloads.len()
}

/// The contract that manifests seem to keep.
pub fn propose(source: Source<'_>, manifests: &[Manifest]) -> Proposal {
    let manifests = Manifests::of(manifests);
    let (budgets, stores, network) =
        (budgets::guess(&manifests), stores::guess(&manifests), network::guess(&manifests));
    let definitions = definitions::guess(&manifests);
    let quorums: Vec<Row> = stores.quorums.into_iter().chain(budgets.quorums).collect();
    let drains = quorums.iter().any(Row::is_on);
    let guessed = stores.promises.into_iter().chain(budgets.promises);
    let mut promises =
        vec![promise("inventory", "Every workload runs with the replicas and ports listed here", source.path)];
    promises.extend(guessed.map(|promised| promise(&promised.id, &promised.says, &promised.from).off_if(promised.off)));
    if drains {
        promises.push(promise("drain", "Every node can be emptied, and all is well again afterwards", source.path));
    }
    if network.restricts() {
        let from: Vec<String> = network.origins.iter().cloned().collect();
        promises.push(promise("network", "Only who is listed reaches whom, on the listed ports", &from.join(", ")));
    }

    let mut text = head(source);
    part(&mut text, "promises", PROMISES, &promises);
    needs::write(&mut text, &manifests, (!definitions.is_empty()).then_some(source.definitions));
    part(&mut text, "images", IMAGES, &images::guess(&manifests));
    part(&mut text, "workloads", "", &workload_rows(&manifests));
    part(&mut text, "stores", STORES, &stores.stores);
    part(&mut text, "quorums", "", &quorums);
    part(&mut text, "budgets", "", &budgets.budgets);
    text.push('\n');
    network.write(&mut text);
    part(&mut text, "backups", BACKUPS, &backups(&manifests));
    steady_state(&mut text, &manifests);
    objectives(&mut text, drains, &stores.failover, &stores.consensus);
    Proposal { text, definitions }
}

const HEAD: &str = "\
# Proposed from manifests by a program. Nothing in here is promised yet: `gauntlet run` looks at it, tells what it saw, and
# judges none of it. Compare each entry with what your documentation promises and correct it; then delete `guessed: true`
# from the promise that it names and, where it has that line itself, from the entry, and say under `reference` where the
# promise is written.
";
const PROMISES: &str =
    "Confirm a promise by deleting its line `guessed: true`, and that of the entry that names it, where it has one.";
const IMAGES: &str = "\
These images are not at hand, so a stand-in that answers on these ports runs in their place: what is said of the system
is said of its manifests, not of these programs. Where nodes can pull them, delete their entries.";
const STORES: &str =
    "Passwords and certificates cannot be guessed: add `password: {secret: NAME, key: KEY}` and `clientTls: SECRET`.";
const OBJECTIVES: &str = "
# Manifests say nothing of these figures, so they are invented: put in what you promise, and delete `guessed: true` from
# each entry. Until then its promise counts for nothing, also where that is confirmed.
objectives:
";
const BACKUPS: &str = "\
Backups found. Each counts once the way back is written down: its store, the files of one run, and the steps of a restore.";

fn head(source: Source<'_>) -> String {
    let overlay = json!({source.overlay: {"path": source.path, "default": true}});
    let (name, path) = (flow(&source.name.into()), flow(&source.path.into()));
    format!("{HEAD}name: {name}\ntitle: {name}\ndocument: {path}\n\noverlays: {}\n", flow(&overlay))
}

fn part(text: &mut String, key: &str, comment: &str, rows: &[Row]) {
    if !rows.is_empty() {
        text.push('\n');
    }
    section(text, "", key, comment, rows);
}

fn promise(id: &str, says: &str, from: &str) -> Row {
    Row::new("")
        .with("id", id)
        .with("says", says)
        .with("reference", format!("not written down yet, guessed from {from}"))
        .with("guessed", true)
}

fn workload_rows(manifests: &Manifests<'_>) -> Vec<Row> {
    let usable = manifests.workloads.iter().map(|workload| workload.row(manifests));
    let others = manifests.unusable.iter().map(|(workload, why)| workload.row(manifests).off(why.clone()));
    usable.chain(others).collect()
}

/// Words by which backups are known: by the names of their jobs, or by what those run.
const NAMES: [&str; 3] = ["backup", "snapshot", "dump"];
const COMMANDS: [&str; 6] = ["pg_dump", "pg_basebackup", "mysqldump", "mongodump", "--rdb", "snapshot save"];

/// Without a way back a backup proves nothing, and that cannot be guessed: all of these are comments.
fn backups(manifests: &Manifests<'_>) -> Vec<Row> {
    let is_backup = |workload: &&Workload<'_>| {
        let commands = workload.commands();
        workload.kind == "CronJob"
            && (NAMES.iter().any(|word| workload.name.contains(word))
                || COMMANDS.iter().any(|word| commands.contains(word)))
    };
    let row = |workload: &Workload<'_>| {
        let claim = workload.needs().into_iter().find(|needed| needed.kind == "PersistentVolumeClaim");
        Row::new(workload.manifest.origin())
            .with("name", workload.name)
            .with("store", "STORE")
            .with("workload", workload.name)
            .with("schedule", workload.manifest.object["spec"]["schedule"].clone())
            .with("claim", claim.map_or("CLAIM", |needed| needed.name))
            .with("files", "FILES-{time}")
            .with("restore", json!([]))
            .off("the store, the files and the way back are not known")
    };
    manifests.workloads.iter().filter(is_backup).map(row).collect()
}

fn steady_state(text: &mut String, manifests: &Manifests<'_>) {
    let jobs: Vec<&str> = manifests.workloads.iter().filter(|w| w.kind == "Job").map(|w| w.name).collect();
    text.push_str("\nsteadyState:\n  within: 5m\n");
    if !jobs.is_empty() {
        let _ = writeln!(text, "  completedJobs: {}", flow(&json!(jobs)));
    }
}

fn objectives(text: &mut String, drains: bool, failover: &[Row], consensus: &[Row]) {
    let is_on = |rows: &[Row]| rows.iter().any(Row::is_on);
    if !drains && !is_on(failover) && !is_on(consensus) {
        text.push_str("\nobjectives: {}\n");
    } else {
        text.push_str(OBJECTIVES);
    }
    if drains {
        text.push_str(
            "  drain:\n    within: 5m\n    unavailableAtMost: []\n    plainLossPercent: 1\n    promise: drain\n    \
             guessed: true\n",
        );
    }
    section(text, "  ", "failover", "", failover);
    section(text, "  ", "consensus", "", consensus);
}

#[cfg(test)]
mod tests;
