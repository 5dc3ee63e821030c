//! The subsets of `nats` and `redis_exporter` against real servers.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use support::agent::{PROGRAM, Workload};
use support::nats::Nats;
use support::redis::Cluster;
use support::{Process, await_that, free_port, have, strings};

/// `agent nats ARGS…` as a backup script calls it.
fn nats(servers: &Nats, args: &[&str]) -> Output {
    Command::new(PROGRAM).arg("nats").args(servers.options()).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn info(servers: &Nats, stream: &str) -> serde_json::Value {
    let output = nats(servers, &["stream", "info", stream]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn backup_and_restore(servers: &Nats) {
    let workload = Workload::start("nats", &servers.env(), serde_json::json!({"pause_ms": 0}));
    workload.await_ok(500, Duration::from_secs(30));
    workload.say("stop").unwrap();
    let before = info(servers, "GAUNTLET");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("GAUNTLET.snapshot");
    let path = path.to_str().unwrap();

    let saved = nats(servers, &["stream", "backup", "GAUNTLET", path]);
    assert!(saved.status.success(), "{}", said(&saved));
    assert!(Path::new(path).join("backup.json").is_file());

    let there = nats(servers, &["stream", "restore", "GAUNTLET", path]);
    assert!(!there.status.success(), "a stream that is there was restored over");

    assert!(nats(servers, &["stream", "rm", "GAUNTLET", "--force"]).status.success());
    assert!(!said(&nats(servers, &["stream", "ls"])).contains("GAUNTLET"));
    let restored = nats(servers, &["stream", "restore", "GAUNTLET", path]);
    assert!(restored.status.success(), "{}", said(&restored));
    let after = info(servers, "GAUNTLET");
    for part in ["messages", "first_seq", "last_seq"] {
        assert_eq!(after["state"][part], before["state"][part], "{part}");
    }
    assert_eq!(after["config"]["num_replicas"], before["config"]["num_replicas"]);
}

#[test]
fn stream_comes_back_from_its_backup_on_one_server() {
    if have(&["nats-server"]) {
        backup_and_restore(&Nats::single());
    }
}

#[test]
fn stream_comes_back_from_its_backup_on_a_cluster_with_tls() {
    if have(&["nats-server"]) {
        backup_and_restore(&Nats::cluster(3));
    }
}

#[test]
fn backup_of_a_stream_that_is_not_there_fails_and_says_so() {
    if !have(&["nats-server"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let output = nats(&Nats::single(), &["stream", "snapshot", "NOWHERE", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("stream not found"), "{}", said(&output));
    assert!(!path.join("backup.json").exists());
}

#[test]
fn exporter_tells_of_a_server_with_tls_and_of_its_death() {
    if !have(&["redis-server", "redis-cli"]) {
        return;
    }
    let mut redis = Cluster::start(3, 0, false);
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let args = strings(&["redis-exporter", "--web.listen-address", &format!("127.0.0.1:{port}")]);
    let _exporter = Process::start("exporter", folder.path(), PROGRAM, &args, &redis.exporter_env(0));
    let scrape = |wanted: &str| {
        await_that(wanted, Duration::from_secs(10), || {
            let text = support::http_get(port, "/metrics").map_err(|error| error.to_string())?;
            if text.lines().any(|line| line == wanted) { Ok(text) } else { Err(text) }
        })
    };
    let text = scrape("redis_up 1");
    assert!(text.contains("redis_cluster_state 1\n") && text.contains("redis_cluster_slots_ok 16384\n"), "{text}");
    redis.kill(0);
    scrape("redis_up 0");
}

#[test]
fn server_under_another_name_is_not_trusted() {
    if !have(&["redis-server", "redis-cli"]) {
        return;
    }
    let redis = Cluster::start(3, 0, false);
    let mut env = redis.env();
    // The servers listen there too, but their certificates name localhost and 127.0.0.1 only.
    for (name, value) in &mut env {
        if name == "REDIS_CLUSTER_ADDRESSES" {
            *value = value.replace("localhost", "127.0.0.2");
        }
    }
    let output = Command::new(PROGRAM).arg("redis-cluster-view").envs(env).output().unwrap();
    let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(view["writable_slots"], 0, "{view:#}");
    let error = view["nodes"][0]["error"].as_str().unwrap();
    assert!(error.contains("certificate not valid for name"), "{error}");
}

#[test]
fn bad_command_line_is_told_apart_from_failure() {
    for (args, wanted, code) in [
        (&["standin", "gatway"][..], "gateway", 2),
        (&["nonsense"][..], "unrecognized subcommand", 2),
        (&["probe", "--help"][..], "--tcp", 0),
        (&["workload", "redis", "--config", "/nowhere.json"][..], "/nowhere.json could not be read", 1),
    ] {
        let output = Command::new(PROGRAM).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(said(&output).contains(wanted), "{args:?}: {}", said(&output));
    }
}

#[test]
fn workload_goes_on_and_ends_well_though_nobody_reads_its_output() {
    if !have(&["redis-server"]) {
        return;
    }
    let redis = support::redis::Single::start();
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let config = serde_json::json!({
        "client": "c", "history_dir": folder.path(), "control": format!("127.0.0.1:{port}"),
        "pause_ms": 1, "autostart": true,
    });
    let child = Command::new(PROGRAM)
        .args(["workload", "redis"])
        .envs(redis.env())
        .env("GAUNTLET_WORKLOAD", config.to_string())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut child = support::Guarded(child);
    drop(child.0.stdout.take());
    let succeeded = || {
        let status = support::http_get(port, "/status").map_err(|error| error.to_string())?;
        let (_, body) = status.split_once("\r\n\r\n").ok_or("no body")?;
        let status: serde_json::Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        if status["ok"].as_u64() >= Some(100) && status["stream_dropped"].as_u64() > Some(0) {
            Ok(())
        } else {
            Err(status.to_string())
        }
    };
    await_that("the workload works without a reader", Duration::from_secs(20), succeeded);
    let pid = nix::unistd::Pid::from_raw(child.0.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

#[test]
fn http_works_where_there_are_no_certificate_authorities() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let nowhere = folder.path().join("none").display().to_string();
    let env = [
        ("SSL_CERT_FILE", nowhere.clone()),
        ("SSL_CERT_DIR", nowhere),
        ("API_KEY", "key".to_owned()),
        ("HTTP_ADDR", format!("127.0.0.1:{port}")),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value));
    let arguments = strings(&["standin", "dashboard"]);
    let mut dashboard = Process::start("dashboard", folder.path(), PROGRAM, &arguments, &env);
    await_that("the dashboard listens", Duration::from_secs(10), || {
        dashboard.assert_running();
        std::net::TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
    });
    let asked = Command::new(PROGRAM)
        .args(["control", "status", "--addr", &format!("127.0.0.1:{}", free_port())])
        .envs(env)
        .output()
        .unwrap();
    assert!(said(&asked).contains("no workload answers"), "{}", said(&asked));
}
