//! The controllers of the embedded Kubernetes: one reconcile runtime, and pure decisions on top of it.
//!
//! - [`runtime`]: views, queues, the execution of plans
//! - [`workloads`]: ReplicaSet, Deployment, StatefulSet, DaemonSet, Job, CronJob
//! - [`platform`]: everything else (disruption budgets, endpoints, namespaces, garbage collection, volumes, nodes)

use std::sync::Arc;

use embedded_apimachinery::Api;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub mod platform;
pub mod runtime;
#[cfg(test)]
mod testing;
pub mod workloads;

/// Runs every controller until `shutdown`, each as a task of its own.
pub async fn run(api: Arc<dyn Api>, config: platform::Config, shutdown: CancellationToken) {
    let mut tasks = JoinSet::new();
    for controller in workloads::controllers().into_iter().chain(platform::controllers(&config)) {
        tasks.spawn(runtime::run(controller, api.clone(), shutdown.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller died");
        }
    }
}
