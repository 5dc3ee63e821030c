//! The clients and what checkers make of their histories, against single servers in containers that are stopped, paused
//! and killed: what kept its data is judged clean, what lost it is found out.

mod support;

use std::time::Duration;

use gauntlet_core::checkers::redis::Needs;
use gauntlet_core::checkers::{Conclusion, Finding, nats, redis};
use gauntlet_core::history::History;
use serde_json::json;
use support::agent::Workload;
use support::await_that;
use support::contained::{Data, Server, able};

/// How many operations of each client are enough to judge.
const ENOUGH: u64 = 100;

const SOON: Duration = Duration::from_secs(30);

/// Nobody replicates: all writes are plain ones.
const NEEDS: Needs = Needs { plain: ENOUGH, waited: 0 };

fn redis_client(server: &Server) -> Workload {
    let workload = Workload::start("redis", &server.env(), json!({}));
    workload.await_ok(ENOUGH, SOON);
    workload
}

fn nats_client(server: &Server) -> Workload {
    let workload = Workload::start("nats", &server.env(), json!({}));
    workload.await_ok(ENOUGH, SOON);
    workload
}

/// Without such requests the fault was none.
fn await_unanswered(workload: &Workload) {
    let unanswered =
        |status: &serde_json::Value| status["unknown"].as_u64().unwrap() + status["failed"].as_u64().unwrap();
    let before = unanswered(&workload.status());
    await_that("requests go without an answer", SOON, || {
        let status = workload.status();
        if unanswered(&status) > before { Ok(()) } else { Err(status.to_string()) }
    });
}

fn go_on(workload: &Workload) -> History {
    workload.await_ok(ENOUGH, SOON);
    workload.verified_history()
}

fn assert_redis_kept(history: &History) {
    let report = redis::check(history, NEEDS);
    assert_eq!(report.conclude(0.0), Conclusion::Clean, "{report:?}");
}

fn assert_nats_kept(history: &History) {
    let report = nats::check(history, "GAUNTLET", ENOUGH);
    assert_eq!(report.conclude(), Conclusion::Clean, "{report:?}");
}

#[test]
fn redis_that_is_stopped_and_started_loses_nothing() {
    if !able() {
        return;
    }
    let server = Server::redis(Data::OnDisk);
    let workload = redis_client(&server);
    server.stop();
    await_unanswered(&workload);
    server.start();
    assert_redis_kept(&go_on(&workload));
}

#[test]
fn redis_that_pauses_leaves_requests_unanswered_and_loses_nothing() {
    if !able() {
        return;
    }
    let server = Server::redis(Data::InMemory);
    let workload = redis_client(&server);
    server.pause();
    await_unanswered(&workload);
    server.unpause();
    let history = go_on(&workload);
    assert_redis_kept(&history);
    assert!(redis::check(&history, NEEDS).unknown > 0, "a server that stands still answers nothing");
}

#[test]
fn redis_that_is_killed_keeps_what_it_wrote_to_disk() {
    if !able() {
        return;
    }
    let server = Server::redis(Data::OnDisk);
    let workload = redis_client(&server);
    server.kill();
    await_unanswered(&workload);
    server.start();
    assert_redis_kept(&go_on(&workload));
}

#[test]
fn redis_that_kept_its_data_in_memory_is_found_out_when_it_is_killed() {
    if !able() {
        return;
    }
    let server = Server::redis(Data::InMemory);
    let workload = redis_client(&server);
    server.kill();
    await_unanswered(&workload);
    server.start();
    let report = redis::check(&go_on(&workload), NEEDS);
    assert!(report.plain.lost >= ENOUGH, "{report:?}");
    let Conclusion::Found(found) = report.conclude(0.05) else { panic!("no finding in {report:?}") };
    assert!(found.iter().all(|finding| matches!(finding, Finding::Lost { .. })), "{found:?}");
}

#[test]
fn nats_that_is_stopped_and_started_loses_nothing() {
    if !able() {
        return;
    }
    let server = Server::nats();
    let workload = nats_client(&server);
    server.stop();
    await_unanswered(&workload);
    server.start();
    assert_nats_kept(&go_on(&workload));
}

#[test]
fn nats_that_pauses_leaves_publishes_unanswered_and_loses_nothing() {
    if !able() {
        return;
    }
    let server = Server::nats();
    let workload = nats_client(&server);
    server.pause();
    await_unanswered(&workload);
    server.unpause();
    assert_nats_kept(&go_on(&workload));
}

#[test]
fn nats_that_is_killed_keeps_what_it_acknowledged() {
    if !able() {
        return;
    }
    let server = Server::nats();
    let workload = nats_client(&server);
    server.kill();
    await_unanswered(&workload);
    server.start();
    assert_nats_kept(&go_on(&workload));
}

#[test]
fn nats_that_comes_back_without_its_stream_is_found_out() {
    if !able() {
        return;
    }
    let mut server = Server::nats();
    let workload = nats_client(&server);
    server.kill();
    await_unanswered(&workload);
    server.start_empty();
    // A stream of that name is there again, and none of what was acknowledged.
    drop(Workload::start("nats", &server.env(), json!({"client": "other"})));
    let report = nats::check(&go_on(&workload), "GAUNTLET", ENOUGH);
    assert!(report.published.lost >= ENOUGH, "{report:?}");
    let Conclusion::Found(found) = report.conclude() else { panic!("no finding in {report:?}") };
    assert!(found.iter().any(|finding| matches!(finding, Finding::Lost { .. })), "{found:?}");
}
