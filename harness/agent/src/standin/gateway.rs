//! The gateway: accepts jobs once JetStream has them, and tells how they stand.

use std::sync::Arc;

use anyhow::Result;

use super::common::{Common, required};
use super::gateway_api::{self, Gateway};
use super::grpc;
use super::jobs::Jobs;
use super::safety::SafetyClient;

/// Runs the gateway until TERM.
///
/// # Errors
/// `API_KEY` missing, Redis or NATS out of reach, or a port that is taken.
pub async fn run(common: &Common) -> Result<()> {
    // Before anything else, so that a missing Secret is told at once.
    let api_key = required("API_KEY")?;
    let (redis, settings) = common.redis().await?;
    let js = common.jetstream("cordum-api-gateway").await?;
    let gateway = Gateway {
        api_key,
        jobs: Jobs::new(redis.clone(), redis, &common.instance, u32::from(settings.is_cluster())),
        js,
        safety: SafetyClient::from_env()?,
        metrics: common.metrics.clone(),
    };
    let api = gateway_api::router(Arc::new(gateway)).merge(common.health.router());
    tokio::try_join!(
        common.serve(common.address("HTTP_ADDR", 8081)?, api),
        common.serve(common.address("METRICS_ADDR", 9092)?, common.metrics.router()),
        grpc::serve(common, common.address("GRPC_ADDR", 8080)?, |routes| routes),
    )?;
    Ok(())
}
