//! The JetStream workload against real servers, and what the checker makes of its history.

mod support;

use std::time::Duration;

use gauntlet_core::checkers::{Conclusion, Finding, availability, nats, nats_consumer};
use serde_json::json;
use support::agent::Workload;
use support::have;
use support::nats::Nats;

#[test]
fn death_of_the_streams_leader_loses_nothing_that_was_acknowledged() {
    if !have(&["nats-server"]) {
        return;
    }
    let mut servers = Nats::cluster(3);
    let workload = Workload::start("nats", &servers.env(), json!({}));
    workload.await_ok(200, Duration::from_secs(20));
    let leader = servers.leader_of("GAUNTLET");
    servers.kill(leader);
    workload.await_ok(200, Duration::from_secs(40));
    servers.restart(leader);
    let history = workload.verified_history();

    let report = nats::check(&history, "GAUNTLET", 400);
    assert_eq!(report.conclude(), Conclusion::Clean, "{report:?}");
    let (from, to) = (history.attempts[0].invoked.wall_us, history.attempts.last().unwrap().invoked.wall_us);
    let gap = availability::check(&history, from, to, 400, |_| true).overall.longest_gap;
    assert!(gap.length_us() > 500_000, "nobody was elected, so nothing died: {gap:?}");
}

#[test]
fn durable_consumer_gets_every_message_though_the_streams_leader_dies() {
    if !have(&["nats-server"]) {
        return;
    }
    let mut servers = Nats::cluster(3);
    let workload = Workload::start("nats", &servers.env(), json!({"nats": {"consumer": "taker"}}));
    workload.await_ok(40, Duration::from_secs(20));
    let leader = servers.leader_of("GAUNTLET");
    // What a leader confirms in its last moments its peers need not know.
    let from_us = now_us() - 1_000_000;
    servers.kill(leader);
    let unsure = nats::Span { from_us, to_us: now_us() };
    workload.await_ok(40, Duration::from_secs(40));
    servers.restart(leader);
    let peers = support::await_that("all replicas are current", Duration::from_secs(30), || {
        let peers: serde_json::Value =
            serde_json::from_str(&workload.say("peers")?).map_err(|error| error.to_string())?;
        let stream = peers["streams"][0].clone();
        let followers = stream["group"]["followers"].as_array().cloned().unwrap_or_default();
        let current = followers.iter().filter(|peer| peer["current"] == true).count();
        if current == 2 { Ok(peers) } else { Err(stream.to_string()) }
    });
    assert_eq!(peers["streams"][0]["replicas"], 3, "{peers}");
    assert_eq!(peers["streams"][0]["consumers"][0]["name"], "taker", "{peers}");
    let names: Vec<_> = peers["servers"].as_array().unwrap().iter().map(|server| server["name"].as_str()).collect();
    assert_eq!(names, [Some("n0"), Some("n1"), Some("n2")]);
    let history = workload.verified_history();

    let report = nats_consumer::check(&history, "GAUNTLET", "taker", 100, &[unsure]);
    assert_eq!(report.conclude(), Conclusion::Clean, "{report:?}");
}

#[test]
fn without_quorum_nothing_is_acknowledged() {
    if !have(&["nats-server"]) {
        return;
    }
    let mut servers = Nats::cluster(3);
    let workload = Workload::start("nats", &servers.env(), json!({}));
    workload.await_ok(50, Duration::from_secs(20));
    servers.kill(0);
    servers.kill(1);
    let from_us = now_us();
    // The first timeout after the kill shows that the clients have met the lack of quorum.
    let before = workload.status()["unknown"].as_u64().unwrap() + workload.status()["failed"].as_u64().unwrap();
    support::await_that("publishes fail without quorum", Duration::from_secs(20), || {
        let status = workload.status();
        let bad = status["unknown"].as_u64().unwrap() + status["failed"].as_u64().unwrap();
        if bad >= before + 8 { Ok(()) } else { Err(status.to_string()) }
    });
    let to_us = now_us();
    servers.restart(0);
    servers.restart(1);
    workload.await_ok(50, Duration::from_secs(40));
    let history = workload.verified_history();

    let span = nats::Span { from_us, to_us };
    assert_eq!(nats::acked_without_quorum(&history, "GAUNTLET", &[span]), vec![]);
    let report = nats::check(&history, "GAUNTLET", 100);
    assert_eq!(report.conclude(), Conclusion::Clean, "{report:?}");
}

#[test]
fn messages_of_another_client_in_the_same_stream_are_not_judged() {
    if !have(&["nats-server"]) {
        return;
    }
    let servers = Nats::single();
    let other = Workload::start("nats", &servers.env(), json!({"client": "other"}));
    other.await_ok(20, Duration::from_secs(20));
    drop(other);
    let workload = Workload::start("nats", &servers.env(), json!({}));
    workload.await_ok(20, Duration::from_secs(20));
    let report = nats::check(&workload.verified_history(), "GAUNTLET", 20);
    assert_eq!(report.conclude(), Conclusion::Clean, "{report:?}");
}

#[test]
fn message_taken_from_the_stream_is_found_lost() {
    if !have(&["nats-server"]) {
        return;
    }
    let servers = Nats::single();
    let workload = Workload::start("nats", &servers.env(), json!({}));
    workload.await_ok(100, Duration::from_secs(20));
    workload.say("stop").unwrap();
    delete_message(&servers.env()[0].1, 50);
    let history = workload.verified_history();
    let report = nats::check(&history, "GAUNTLET", 100);
    assert_eq!(report.published.lost, 1);
    assert!(matches!(&report.findings[..], [Finding::Lost { .. }]), "{report:?}");
}

fn now_us() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64
}

fn delete_message(server: &str, sequence: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server).await.unwrap();
        let stream = async_nats::jetstream::new(client).get_stream("GAUNTLET").await.unwrap();
        assert!(stream.delete_message(sequence).await.unwrap());
    });
}
