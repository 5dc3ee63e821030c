//! Which programs a system needs on this machine, and which package of the distribution has each.

use gauntlet_core::Contract;
use gauntlet_core::contract::store::StoreKind;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    pub name: &'static str,
    pub package: &'static str,
}

/// What every embedded cluster needs.
const CLUSTER: [Program; 2] = [Program { name: "runc", package: "runc" }, Program { name: "nft", package: "nftables" }];

const REDIS: [Program; 2] =
    [Program { name: "redis-server", package: "redis-server" }, Program { name: "redis-cli", package: "redis-tools" }];

const NATS: [Program; 1] = [Program { name: "nats-server", package: "nats-server" }];

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

pub fn missing(contract: &Contract) -> Vec<Program> {
    needed(contract).into_iter().filter(|program| find(program.name).is_none()).collect()
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
        let Some(path) = find(program.name) else { continue };
        let output = tokio::process::Command::new(path).arg("--version").kill_on_drop(true).output().await;
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        if let Some(line) = text.lines().next() {
            versions.insert(program.name.to_owned(), line.trim().to_owned());
        }
    }
    versions
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
