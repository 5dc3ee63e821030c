//! Serving gRPC: health for every service, and the way to name a service without generated code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use super::common::Common;
use super::health::Health;

/// How long open calls may take to finish after the end was announced; a health watch never does.
const FINISH: Duration = Duration::from_secs(3);

/// Serves `grpc.health.v1.Health` and what `add` adds, until it is time to stop.
///
/// # Errors
/// The port is taken, or the listener breaks.
pub async fn serve(common: &Common, address: SocketAddr, add: impl FnOnce(Routes) -> Routes) -> Result<()> {
    let (reporter, health) = health_reporter();
    tokio::spawn(follow(common.health.clone(), reporter));
    tracing::info!(%address, "serving gRPC");
    let served = Server::builder()
        .add_routes(add(Routes::new(health)))
        .serve_with_shutdown(address, common.stop.clone().cancelled_owned());
    let too_late = async {
        common.stop.cancelled().await;
        tokio::time::sleep(FINISH).await;
    };
    tokio::select! {
        ended = served => ended.with_context(|| format!("gRPC could not be served on {address}")),
        () = too_late => Ok(()),
    }
}

/// Says over gRPC what `/health` says over HTTP.
async fn follow(health: Arc<Health>, reporter: HealthReporter) {
    let mut period = tokio::time::interval(Duration::from_millis(500));
    loop {
        period.tick().await;
        let status = if health.report().0 { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status("", status).await;
    }
}
