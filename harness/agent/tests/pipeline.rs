//! The stand-ins and the pipeline workload together, on real servers: an accepted job ends, once, whatever fails.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use gauntlet_core::checkers::{Conclusion, jobs};
use serde_json::json;
use support::agent::{PROGRAM, Workload};
use support::nats::Nats;
use support::redis::{Cluster, Single};
use support::{Process, await_that, free_port, have, strings};
use tempfile::TempDir;

/// Gateway, safety kernel and two schedulers.
struct Cordum {
    env: Vec<(String, String)>,
    schedulers: Vec<Process>,
    others: Vec<Process>,
    /// Where each listens, by name and variable.
    ports: BTreeMap<String, u16>,
    /// Last, so that the logs are still there when the processes end.
    folder: TempDir,
}

impl Cordum {
    fn start(mut env: Vec<(String, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, kernel) = (free_port(), free_port());
        env.push(("API_KEY".into(), "a-key".into()));
        env.push(("GATEWAY_URL".into(), format!("http://127.0.0.1:{gateway}")));
        env.push(("SAFETY_KERNEL_ADDR".into(), format!("127.0.0.1:{kernel}")));
        let mut cordum = Self { folder, env, schedulers: vec![], others: vec![], ports: BTreeMap::new() };
        let kernel = cordum.service("safety-kernel", "kernel", &[("GRPC_ADDR", kernel)]);
        let ports = [("HTTP_ADDR", gateway), ("METRICS_ADDR", free_port()), ("GRPC_ADDR", free_port())];
        let gateway = cordum.service("gateway", "gateway", &ports);
        cordum.others = vec![kernel, gateway];
        cordum.schedulers = ["scheduler-a", "scheduler-b"]
            .map(|name| cordum.service("scheduler", name, &[("METRICS_ADDR", free_port())]))
            .into();
        cordum
    }

    fn service(&mut self, service: &str, name: &str, ports: &[(&str, u16)]) -> Process {
        let mut env = self.env.clone();
        env.push(("HOSTNAME".into(), name.into()));
        self.ports.extend(ports.iter().map(|(variable, port)| (format!("{name} {variable}"), *port)));
        env.extend(ports.iter().map(|(variable, port)| ((*variable).to_owned(), format!("127.0.0.1:{port}"))));
        Process::start(name, self.folder.path(), PROGRAM, &strings(&["standin", service]), &env)
    }
}

#[test]
fn every_accepted_job_ends_once_though_redis_nats_and_a_scheduler_die() {
    if !have(&["redis-server", "redis-cli", "nats-server"]) {
        return;
    }
    let mut redis = Cluster::start(3, 1, true);
    let mut nats = Nats::cluster(3);
    let mut cordum = Cordum::start([redis.env(), nats.env()].concat());
    let workload = Workload::start("pipeline", &cordum.env, json!({"pause_ms": 10}));
    workload.await_ok(50, Duration::from_secs(30));

    let primary = (0..6).find(|node| redis.is_primary(*node)).unwrap();
    redis.kill(primary);
    workload.await_ok(50, Duration::from_secs(40));
    cordum.schedulers.remove(0).kill();
    let leader = nats.leader_of("CORDUM_JOBS");
    nats.kill(leader);
    workload.await_ok(50, Duration::from_secs(40));
    nats.restart(leader);
    // An end counts once a replica has it, so the shard that failed over needs one again.
    redis.restart(primary);

    let history = workload.verified_history();
    let report = jobs::check(&history, 150);
    assert_eq!(report.conclude(), Conclusion::Clean, "{report:?}");
}

#[test]
fn frozen_redis_primary_delays_jobs_and_loses_none() {
    if !have(&["redis-server", "redis-cli", "nats-server"]) {
        return;
    }
    let (redis, nats) = (Cluster::start(3, 1, true), Nats::single());
    let cordum = Cordum::start([redis.env(), nats.env()].concat());
    let workload = Workload::start("pipeline", &cordum.env, json!({"pause_ms": 10}));
    workload.await_ok(50, Duration::from_secs(30));
    let primary = (0..6).find(|node| redis.is_primary(*node)).unwrap();
    redis.nodes[primary].process.freeze();
    // Long enough for the failover, which clients see as a shard that answers again.
    await_that("the frozen primary's replica took over", Duration::from_secs(20), || {
        let other = (primary + 1) % 6;
        let nodes = redis.cli(other, &["CLUSTER", "NODES"]);
        if nodes.contains("master,fail ") && redis.cli(other, &["CLUSTER", "INFO"]).contains("cluster_state:ok") {
            Ok(())
        } else {
            Err(nodes)
        }
    });
    workload.await_ok(100, Duration::from_secs(30));
    redis.nodes[primary].process.thaw();
    let report = jobs::check(&workload.verified_history(), 150);
    assert_eq!(report.conclude(), Conclusion::Clean, "{report:?}");
}

#[test]
fn base_overlay_works_and_a_job_deleted_from_redis_is_found_lost() {
    if !have(&["redis-server", "redis-cli", "nats-server"]) {
        return;
    }
    let (redis, nats) = (Single::start(), Nats::single());
    let cordum = Cordum::start([redis.env(), nats.env()].concat());
    let workload = Workload::start("pipeline", &cordum.env, json!({"verify_timeout_ms": 8000}));
    workload.await_ok(50, Duration::from_secs(30));
    let report = jobs::check(&workload.verified_history(), 50);
    assert_eq!(report.conclude(), Conclusion::Clean, "{report:?}");

    let key = || {
        let keys = redis.cli(&["KEYS", "job:*"]);
        keys.lines().find(|key| !key.ends_with(":log") && key.contains('-')).map(str::to_owned)
    };
    let victim = key().expect("jobs were done, so there are keys");
    assert_eq!(redis.cli(&["DEL", &victim]).trim(), "1");
    let report = jobs::check(&workload.verified_history(), 50);
    assert_eq!(report.accepted.lost, 1, "{report:?}");
}

#[test]
fn every_service_answers_on_its_ports_and_ends_on_term() {
    if !have(&["redis-server", "nats-server"]) {
        return;
    }
    let (redis, nats) = (Single::start(), Nats::single());
    let mut cordum = Cordum::start([redis.env(), nats.env()].concat());
    let [dashboard, workflow, context] = [free_port(), free_port(), free_port()];
    let more = [
        cordum.service("dashboard", "dashboard", &[("HTTP_ADDR", dashboard)]),
        cordum.service("workflow-engine", "workflow", &[("HTTP_ADDR", workflow)]),
        cordum.service("context-engine", "context", &[("GRPC_ADDR", context)]),
    ];
    cordum.others.extend(more);

    // Through the dashboard, so that the proxy and the key that it adds are on the way.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = await_that("a job handed to the dashboard ends", Duration::from_secs(20), || {
        runtime.block_on(job_through(dashboard)).map_err(|error| error.to_string())
    });
    assert_eq!(ended, "SUCCEEDED");
    let metric = |port: u16, wanted: &str| {
        await_that(wanted, Duration::from_secs(10), || {
            let text = support::http_get(port, "/metrics").map_err(|error| error.to_string())?;
            if text.contains(wanted) { Ok(()) } else { Err(text) }
        });
    };
    metric(
        cordum.ports["gateway METRICS_ADDR"],
        "cordum_http_requests_total{method=\"POST\",path=\"/api/v1/jobs\",status=\"202\"}",
    );
    metric(cordum.ports["gateway METRICS_ADDR"], "cordum_safety_evaluations_total{decision=\"allow\"}");
    metric(workflow, "cordum_workflow_job_ends_total{} 1");
    for port in [cordum.ports["gateway HTTP_ADDR"], workflow, dashboard] {
        assert!(support::http_get(port, "/health").unwrap().starts_with("HTTP/1.0 200"), "port {port}");
    }
    for port in [cordum.ports["gateway GRPC_ADDR"], cordum.ports["kernel GRPC_ADDR"], context] {
        assert!(runtime.block_on(grpc_serving(port)), "gRPC on port {port}");
    }
    for process in cordum.schedulers.iter_mut().chain(&mut cordum.others) {
        assert_eq!(process.terminate(), Some(0), "{}", process.log());
    }
}

fn http_client() -> reqwest::Client {
    // An error says that it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The state in which a new job ends that is handed to this port.
async fn job_through(port: u16) -> Result<String, reqwest::Error> {
    let url = format!("http://127.0.0.1:{port}/api/v1/jobs");
    let client = http_client();
    let accepted = client.post(&url).json(&json!({"topic": "job.default"})).send().await?.error_for_status()?;
    let accepted: serde_json::Value = accepted.json().await?;
    let url = format!("{url}/{}", accepted["id"].as_str().unwrap_or_default());
    let until = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let job: serde_json::Value = client.get(&url).send().await?.json().await?;
        let state = job["state"].as_str().unwrap_or_default();
        if state == "SUCCEEDED" || std::time::Instant::now() >= until {
            return Ok(state.to_owned());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn grpc_serving(port: u16) -> bool {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let answer = client.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    answer.into_inner().status == tonic_health::ServingStatus::Serving as i32
}

#[test]
fn job_that_policy_forbids_is_refused_and_a_stranger_is_not_let_in() {
    if !have(&["redis-server", "nats-server"]) {
        return;
    }
    let (redis, nats) = (Single::start(), Nats::single());
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("safety.yaml");
    std::fs::write(&policy, "rules: [{topic: job.forbidden, decision: deny}]").unwrap();
    let setting = ("SAFETY_FILE".to_owned(), policy.display().to_string());
    let cordum = Cordum::start([redis.env(), nats.env(), vec![setting]].concat());
    let url = format!("http://127.0.0.1:{}/api/v1/jobs", cordum.ports["gateway HTTP_ADDR"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let post = |key: &str, topic: &str| {
        let request = http_client().post(&url).header("authorization", format!("Bearer {key}"));
        let request = request.json(&json!({"topic": topic}));
        runtime.block_on(async { request.send().await.map(|answer| answer.status().as_u16()) })
    };
    await_that("the gateway serves", Duration::from_secs(10), || post("a-key", "job.fine").map_err(|e| e.to_string()));
    assert_eq!(post("a-key", "job.fine").unwrap(), 202);
    assert_eq!(post("a-key", "job.forbidden").unwrap(), 403);
    assert_eq!(post("a-key", "sys.job.ended").unwrap(), 400);
    assert_eq!(post("another-key", "job.fine").unwrap(), 401);
}

#[test]
fn gateway_without_key_ends_at_once_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("API_KEY".to_owned(), String::new())];
    let mut gateway = Process::start("gateway", folder.path(), PROGRAM, &strings(&["standin", "gateway"]), &env);
    await_that("the gateway complains", Duration::from_secs(5), || {
        let log = gateway.log();
        if log.contains("API_KEY is not set") { Ok(()) } else { Err(log) }
    });
    assert_eq!(gateway.exit_code(), Some(1));
}

#[test]
fn scheduler_that_cannot_reach_redis_ends_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("REDIS_URL".to_owned(), format!("redis://127.0.0.1:{}", free_port())),
        ("STARTUP_DEADLINE_MS".to_owned(), "500".to_owned()),
    ];
    let mut scheduler = Process::start("scheduler", folder.path(), PROGRAM, &strings(&["standin", "scheduler"]), &env);
    assert_eq!(scheduler.exit_code(), Some(1));
    assert!(scheduler.log().contains("redis could not be reached within 500ms"), "{}", scheduler.log());
}
