//! The Redis workload against real servers, and what the checker makes of its history.

mod support;

use std::time::Duration;

use gauntlet_core::checkers::availability;
use gauntlet_core::checkers::redis::{Needs, check};
use gauntlet_core::checkers::{Conclusion, Finding};
use serde_json::json;
use support::agent::{self, Workload};
use support::have;
use support::redis::{Cluster, Single};

const NEEDS: Needs = Needs { plain: 100, waited: 100 };

#[test]
fn failover_loses_no_confirmed_write_and_shows_as_a_gap_of_one_shard() {
    if !have(&["redis-server", "redis-cli"]) {
        return;
    }
    let mut cluster = Cluster::start(3, 1, true);
    let workload = Workload::start("redis", &cluster.env(), json!({}));
    workload.await_ok(100, Duration::from_secs(20));
    let victim = (0..6).find(|node| cluster.is_primary(*node)).unwrap();
    cluster.kill(victim);
    workload.await_ok(100, Duration::from_secs(30));
    let view = agent::json(&["redis-cluster-view"], &cluster.env());
    assert!(view["nodes"][victim]["error"].is_string() && view["writable_slots"] == 16_384, "{view:#}");
    let history = workload.verified_history();

    let report = check(&history, NEEDS);
    assert_eq!(report.waited.lost, 0, "{report:?}");
    assert!(report.phantoms.is_empty() && report.insufficient.is_empty(), "{report:?}");
    let (from, to) = (history.attempts[0].invoked.wall_us, history.attempts.last().unwrap().invoked.wall_us);
    let availability = availability::check(&history, from, to, 100, |_| true);
    assert!(availability.insufficient.is_empty(), "{:?}", availability.insufficient);
    assert_eq!(availability.groups.len(), 3);
    let mut gaps: Vec<_> = availability.groups.values().map(|group| group.longest_gap.length_us() / 1000).collect();
    gaps.sort_unstable();
    // Nobody notices a death before the node timeout (1 s here) has passed.
    assert!((1000..15_000).contains(&gaps[2]), "longest gaps per shard in ms: {gaps:?}");
}

#[test]
fn frozen_primary_that_comes_back_takes_no_confirmed_write_with_it() {
    if !have(&["redis-server", "redis-cli"]) {
        return;
    }
    let cluster = Cluster::start(3, 1, true);
    let workload = Workload::start("redis", &cluster.env(), json!({}));
    workload.await_ok(100, Duration::from_secs(20));
    let victim = (0..6).find(|node| cluster.is_primary(*node)).unwrap();
    cluster.nodes[victim].process.freeze();
    // Every shard, so the frozen primary's replica took over.
    workload.await_ok(100, Duration::from_secs(30));
    cluster.nodes[victim].process.thaw();
    support::await_that("the old primary follows the new one", Duration::from_secs(20), || {
        let role = cluster.cli(victim, &["ROLE"]);
        if role.starts_with("slave") && role.contains("connected") { Ok(()) } else { Err(role) }
    });
    let history = workload.verified_history();
    let report = check(&history, NEEDS);
    assert_eq!(report.waited.lost, 0, "{report:?}");
    assert!(report.phantoms.is_empty() && report.insufficient.is_empty(), "{report:?}");
    assert!(report.unknown > 0, "a frozen server leaves writes without answer");
}

#[test]
fn view_tells_links_timeouts_and_what_writes_come_to() {
    if !have(&["redis-server", "redis-cli"]) {
        return;
    }
    let mut cluster = Cluster::start(3, 1, false);
    let view = agent::json(&["redis-cluster-view"], &cluster.env());
    assert_eq!(view["writable_slots"], 16_384, "{view:#}");
    let nodes = view["nodes"].as_array().unwrap();
    assert!(nodes.iter().all(|node| node["cluster_state"] == "ok" && node["node_timeout_ms"] == 1000), "{view:#}");
    let up = nodes.iter().filter(|node| node["role"] == "slave" && node["master_link_status"] == "up").count();
    assert_eq!((nodes.len(), up), (6, 3));

    let replica = (0..6).find(|node| !cluster.is_primary(*node)).unwrap();
    let primary = (0..6).find(|node| cluster.is_primary(*node)).unwrap();
    cluster.kill(replica);
    cluster.kill(primary);
    let view = agent::json(&["redis-cluster-view"], &cluster.env());
    assert!(view["writable_slots"].as_u64().unwrap() < 16_384, "{view:#}");
    assert!(view["nodes"][primary]["error"].as_str().unwrap().contains("cannot be connected to"), "{view:#}");
}

#[test]
fn primary_that_forgets_is_found_out() {
    if !have(&["redis-server", "redis-cli"]) {
        return;
    }
    let mut cluster = Cluster::start(3, 0, false);
    let workload = Workload::start("redis", &cluster.env(), json!({}));
    workload.await_ok(100, Duration::from_secs(20));
    cluster.kill(0);
    cluster.restart(0);
    workload.await_ok(50, Duration::from_secs(30));
    let history = workload.verified_history();

    let report = check(&history, NEEDS);
    // Nobody replicates, so no WAIT was met, and every write is a plain one.
    assert_eq!(report.waited.acked, 0);
    assert!(report.plain.lost >= 100, "{:?} of which lost", report.plain);
    let share = report.plain.share_lost().unwrap();
    assert!(share < 0.7, "two shards of three kept theirs, yet {share} is lost");
    let Conclusion::Found(found) = report.conclude(0.05) else { panic!("no finding in {report:?}") };
    assert!(found.iter().all(|finding| matches!(finding, Finding::Lost { found: None, .. })), "{found:?}");
}

#[test]
fn single_server_works_and_ends_on_term_with_a_summary() {
    if !have(&["redis-server"]) {
        return;
    }
    let redis = Single::start();
    let mut workload = Workload::start("redis", &redis.env(), json!({}));
    workload.await_ok(100, Duration::from_secs(20));
    let report = check(&workload.verified_history(), Needs { plain: 100, waited: 0 });
    assert_eq!(report.conclude(0.0), Conclusion::Clean, "{report:?}");
    assert_eq!(workload.process.terminate(), Some(0));
    assert!(workload.process.log().lines().any(|line| line.starts_with("{\"summary\":")), "{}", workload.process.log());
}

#[test]
fn keys_of_an_earlier_client_of_the_same_name_are_no_phantoms_but_a_strange_one_is() {
    if !have(&["redis-server", "redis-cli"]) {
        return;
    }
    let redis = Single::start();
    let needs = Needs { plain: 20, waited: 0 };
    let earlier = Workload::start("redis", &redis.env(), json!({}));
    earlier.await_ok(20, Duration::from_secs(20));
    drop(earlier);
    let workload = Workload::start("redis", &redis.env(), json!({}));
    workload.await_ok(20, Duration::from_secs(20));
    let report = check(&workload.verified_history(), needs);
    assert_eq!(report.conclude(0.0), Conclusion::Clean, "{report:?}");

    let key = format!("gauntlet:{}:0:999999", workload.status()["client"].as_str().unwrap());
    assert_eq!(redis.cli(&["SET", &key, "v"]).trim(), "OK");
    let report = check(&workload.verified_history(), needs);
    assert!(matches!(&report.phantoms[..], [Finding::Phantom { .. }]), "{report:?}");
}

#[test]
fn lost_server_makes_a_final_state_that_cannot_be_read_not_a_loss() {
    if !have(&["redis-server"]) {
        return;
    }
    let mut redis = Single::start();
    let workload = Workload::start("redis", &redis.env(), json!({"verify_timeout_ms": 1500}));
    workload.await_ok(50, Duration::from_secs(20));
    redis.process.kill();
    let complaint = workload.say("verify").unwrap_err();
    assert!(complaint.contains("could not be read back"), "{complaint}");
    let history = gauntlet_core::history::History::parse(&workload.say("history").unwrap()).unwrap();
    let report = check(&history, Needs { plain: 10, waited: 0 });
    assert_eq!(report.plain.lost, 0);
    assert!(matches!(report.conclude(0.0), Conclusion::Insufficient(_)), "{report:?}");
}
