//! Stand-ins: `listener PORTS` for any service of which only the ports are known, and those for Cordum's six services:
//! small programs that do the real work of its path, so that an acknowledged job can be lost and the loss be seen, on the
//! ports and with the metrics that its deployment document names.
//!
//! | service | ports | does |
//! |---|---|---|
//! | `gateway` | 8080 gRPC health, 8081 HTTP `/health` `/api/v1/*`, 9092 `/metrics` | checks the API key, asks the safety kernel, answers 202 once JetStream acknowledged the job |
//! | `scheduler` | 9090 `/metrics` `/health` | takes jobs from a durable consumer, asks the safety kernel, runs and ends each once; one leader reconciles |
//! | `safety-kernel` | 50051 gRPC health and `cordum.safety.v1.SafetyKernel/Evaluate` | applies `safety.yaml` |
//! | `workflow-engine` | 9093 HTTP `/health` `/metrics` | follows the ends of jobs |
//! | `context-engine` | 50070 gRPC health | keeps in touch with Redis |
//! | `dashboard` | 8080 HTTP `/`, `/api/*` proxied to the gateway | shows a page |
//!
//! | environment | used by | meaning (default) |
//! |---|---|---|
//! | `API_KEY` | gateway, dashboard | required; without it the process ends at once with exit code 1 |
//! | `NATS_URL`, `NATS_TLS_CA`, `_CERT`, `_KEY` | gateway, scheduler, workflow engine, safety kernel | servers, comma-separated (`nats://nats:4222`); PEM files |
//! | `NATS_JS_REPLICAS` | gateway, scheduler, workflow engine | replicas of `CORDUM_JOBS` (`job.>`) and `CORDUM_SYS` (`sys.>`) (1) |
//! | `REDIS_URL`, `REDIS_CLUSTER_ADDRESSES`, `REDIS_PASSWORD`, `REDIS_TLS_CA`, `_CERT`, `_KEY` | all but dashboard | one server (`redis://redis:6379`), or a cluster |
//! | `SAFETY_KERNEL_ADDR` | gateway, scheduler | `host:port` (`cordum-safety-kernel:50051`) |
//! | `GATEWAY_URL` | dashboard | (`http://cordum-api-gateway:8081`) |
//! | `POOLS_FILE`, `TIMEOUTS_FILE`, `SAFETY_FILE` | scheduler, safety kernel | (`/etc/cordum/pools.yaml`, `timeouts.yaml`, `safety.yaml`) a missing file means defaults, a malformed one exit code 1 |
//! | `JOB_DURATION_MS` | scheduler | how long the work of a job takes (20) |
//! | `HEALTH_GRACE_MS` | all | how long a dependency may be gone before health says so (60000) |
//! | `STARTUP_DEADLINE_MS` | all | how long to try to reach what is needed, before ending with exit code 1 (60000) |
//! | `DRAIN_MS` | all | how long to go on serving after TERM (2000) |
//! | `HTTP_ADDR`, `METRICS_ADDR`, `GRPC_ADDR` | all | listen elsewhere than on the documented ports |
//!
//! Ports open when everything needed was reached. `/health` serves as readiness and liveness at once, so it tells
//! apart what each needs: it answers as long as the process lives, its body names the state of every dependency, and
//! its status is 503 only when one has been gone for longer than the grace. A failover that restarted its clients
//! would be worse than one that is waited for. On TERM a service goes on serving for `DRAIN_MS`, so that those who
//! still route to it find it, then finishes what is under way. None of them writes to a file system.

mod common;
mod config;
mod context;
mod dashboard;
mod gateway;
mod gateway_api;
mod grpc;
mod health;
mod jobs;
mod leader;
mod listener;
mod metrics;
mod safety;
mod scheduler;
mod worker;
mod workflow;

use anyhow::Result;
use clap::ValueEnum;

use common::Common;
pub(crate) use common::{env, required};
pub(crate) use jobs::JobView;

/// Which service to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Service {
    Gateway,
    Scheduler,
    SafetyKernel,
    WorkflowEngine,
    ContextEngine,
    Dashboard,
    /// A service of which nothing is known but its ports.
    Listener,
}

/// Runs the service, configured by the process's environment, until TERM.
///
/// # Errors
/// A setting that is missing or malformed, a dependency that could not be reached in time, a port that is taken.
pub async fn run(service: Service, ports: &[u16]) -> Result<()> {
    let common = Common::from_process()?;
    match service {
        Service::Gateway => gateway::run(&common).await,
        Service::Scheduler => scheduler::run(&common).await,
        Service::SafetyKernel => safety::run(&common).await,
        Service::WorkflowEngine => workflow::run(&common).await,
        Service::ContextEngine => context::run(&common).await,
        Service::Dashboard => dashboard::run(&common).await,
        Service::Listener => listener::run(&common, ports).await,
    }
}

/// Whether a job in this state has ended.
pub(crate) fn is_terminal(state: &str) -> bool {
    jobs::State::is_terminal(state)
}
