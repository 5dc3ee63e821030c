//! Which programs a system needs on this machine, and which package has each.

use super::pypi::{self, Release};
use gauntlet_core::Contract;
use gauntlet_core::contract::store::StoreKind;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    pub name: &'static str,
    pub package: &'static str,
    /// The release that is wanted, where the package's is too old.
    pub newer: Option<Release>,
}

impl Program {
    pub const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package, newer: None }
    }
}

/// What every embedded cluster needs.
const CLUSTER: [Program; 2] = [Program::new("runc", "runc"), Program::new("nft", "nftables")];

/// What a Redis store needs.
pub const REDIS: [Program; 2] =
    [Program::new("redis-server", "redis-server"), Program::new("redis-cli", "redis-tools")];

/// What a NATS store needs.
pub const NATS: [Program; 1] =
    [Program { newer: Some(pypi::NATS_SERVER), ..Program::new("nats-server", "nats-server") }];

/// Everything that running the system on an embedded cluster needs.
pub fn needed(contract: &Contract) -> Vec<Program> {
    let stores = contract.stores.iter().flat_map(|store| match store.kind {
        StoreKind::RedisCluster { .. } | StoreKind::Redis { .. } => REDIS.to_vec(),
        StoreKind::NatsJetstream { .. } => NATS.to_vec(),
    });
    let mut programs: Vec<Program> = CLUSTER.into_iter().chain(stores).collect();
    programs.sort();
    programs.dedup();
    programs
}

pub fn missing(needed: &[Program]) -> Vec<Program> {
    needed.iter().copied().filter(|program| find(program.name).is_none()).collect()
}

/// Releases that are wanted and not there: the program is absent, or older.
pub async fn outdated(needed: &[Program]) -> Vec<Release> {
    let mut outdated = Vec::new();
    for release in needed.iter().filter_map(|program| program.newer) {
        let said = version(release.program).await.unwrap_or_default();
        if !release.is_met_by(&said) {
            outdated.push(release);
        }
    }
    outdated
}

/// Their packages, each once.
pub fn packages(programs: &[Program]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = programs.iter().map(|program| program.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

pub fn find(name: &str) -> Option<PathBuf> {
    gauntlet_embedded::preflight::find_program(name)
}

/// What the programs that matter to the result say of their version.
pub async fn versions(contract: &Contract) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::from([("gauntlet".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    for program in needed(contract) {
        if let Some(said) = version(program.name).await {
            let old = program.newer.filter(|release| !release.is_met_by(&said));
            let wanted =
                old.map_or(String::new(), |release| format!(", older than {}, which was wanted", release.version));
            versions.insert(program.name.to_owned(), said + &wanted);
        }
    }
    versions
}

/// The first line of what a program says of its version; nothing of one that is not there.
pub async fn version(name: &str) -> Option<String> {
    let output = tokio::process::Command::new(find(name)?).arg("--version").kill_on_drop(true).output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_needs_the_programs_of_its_stores_once() {
        let text = include_str!("../../../../scenarios/systems/cordum/system.yaml");
        let contract = Contract::parse("c", text).unwrap();
        let names: Vec<&str> = needed(&contract).iter().map(|program| program.name).collect();
        assert_eq!(names, ["nats-server", "nft", "redis-cli", "redis-server", "runc"]);
    }
}
