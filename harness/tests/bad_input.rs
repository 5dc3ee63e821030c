//! Bad input: one clear error with what to do next, exit code 2, and nothing left behind.

#[allow(dead_code)] // not every test uses all of it
mod support;

use support::{Ended, Place};

/// It ended with 2, said this, and left neither a report nor any state of a cluster.
fn assert_refused(place: &Place, ended: &Ended, says: &[&str]) {
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    for expected in says {
        assert!(ended.stderr.contains(expected), "{expected:?} was not said:\n{}", ended.stderr);
    }
    assert!(!place.path("reports").exists(), "a report was begun");
    let clusters = std::fs::read_dir(place.path("state/clusters")).map_or(0, Iterator::count);
    assert_eq!(clusters, 0, "a cluster was left");
}

fn refused(arguments: &[&str], says: &[&str]) {
    let place = Place::new();
    let ended = place.gauntlet(arguments);
    assert_refused(&place, &ended, says);
}

/// A run of Cordum with its contract changed.
fn refused_contract(from: &str, to: &str, says: &[&str]) {
    let place = Place::new();
    let system = place.system(|text| {
        assert!(text.contains(from), "the contract no longer contains {from:?}");
        text.replacen(from, to, 1)
    });
    let ended = place.gauntlet(&["run", "--system", system.to_str().unwrap()]);
    assert_refused(&place, &ended, says);
}

#[test]
fn an_unknown_system_gets_the_likely_name() {
    refused(&["run", "--system", "cordun"], &["error: no system is called `cordun`", "hint: did you mean `cordum`?"]);
}

#[test]
fn an_unknown_scenario_gets_the_likely_name() {
    refused(
        &["run", "redis.failovr"],
        &["error: no scenario matches `redis.failovr`", "hint: did you mean `redis.failover`?"],
    );
}

#[test]
fn a_filter_must_be_the_whole_name_when_exact() {
    refused(&["run", "--exact", "redis"], &["no scenario matches `redis`"]);
}

#[test]
fn an_unknown_overlay_gets_the_likely_name() {
    refused(&["run", "--overlay", "prodction"], &["no overlay called `prodction`", "hint: did you mean `production`?"]);
}

#[test]
fn an_unknown_mutant_gets_the_likely_name() {
    let says = ["no mutant is called `redis.failover/no-replica`", "hint: did you mean `redis.failover/no-replicas`?"];
    refused(&["run", "--mutant", "redis.failover/no-replica"], &says);
}

#[test]
fn an_unknown_flag_gets_the_likely_one() {
    refused(&["run", "--sede", "1"], &["unexpected argument '--sede'", "--seed"]);
}

#[test]
fn a_provider_that_cannot_be_used_says_why() {
    refused(&["run", "--cluster", "kubeconfig"], &["only when its context is named", "hint: add --context NAME"]);
    refused(
        &["run", "--context", "prod"],
        &["--context names an existing cluster", "hint: use --cluster kubeconfig with it"],
    );
    refused(
        &["run", "--cluster", "kubeconfig", "--context", "prod", "--kubeconfig", "nowhere"],
        &["cannot use the kubeconfig nowhere"],
    );
    refused(
        &["run", "--cluster", "embeded"],
        &["no provider of clusters is called `embeded`", "did you mean `embedded`?"],
    );
}

#[test]
fn a_malformed_contract_is_reported_where_it_is_wrong() {
    refused_contract("document: cordum.md", "document: [", &["system.yaml:"]);
}

#[test]
fn an_unknown_key_of_a_contract_is_located() {
    refused_contract("    minReady: 2", "    minRedy: 2", &["unknown key `minRedy`", "did you mean `minReady`?"]);
}

#[test]
fn a_contradictory_contract_is_refused() {
    let says = ["wants 7 pods of `cordum-redis` available, but overlay `production` has 6"];
    refused_contract("minAvailable: 4", "minAvailable: 7", &says);
}

#[test]
fn a_run_that_is_not_there_cannot_be_reported() {
    refused(&["report", "20000101-000000-0000"], &["no run `20000101-000000-0000`"]);
}

#[test]
fn a_cluster_that_is_not_there_cannot_be_stopped() {
    refused(&["cluster", "down", "nowhere"], &["no cluster is called `nowhere`"]);
}

#[test]
fn listing_runs_nothing() {
    let place = Place::new();
    let ended = place.gauntlet(&["run", "--list", "--exact", "redis.failover"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "redis.failover: test\n"));
    assert!(!place.path("reports").exists());
}

#[test]
fn a_reader_that_stops_reading_is_no_trouble() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let list = std::process::Command::new(env!("CARGO_BIN_EXE_gauntlet")).arg("list").stdout(writer).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&list.stderr), "");
    assert!(list.status.success());
}
