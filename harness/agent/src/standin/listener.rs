//! A service of which nothing is known but its ports: it answers every HTTP request, and says over gRPC that it is well.

use std::net::SocketAddr;

use anyhow::Result;
use futures::future::try_join_all;
use tonic::service::Routes;
use tonic_health::server::health_reporter;

use super::common::Common;
use crate::http_server;

/// Answers on the ports until TERM; without any it only stays.
///
/// # Errors
/// A port that is taken.
pub async fn run(common: &Common, ports: &[u16]) -> Result<()> {
    tracing::info!(?ports, "a stand-in: nothing is done here but to answer");
    if ports.is_empty() {
        common.stop.cancelled().await;
        return Ok(());
    }
    try_join_all(ports.iter().map(|port| serve(common, *port))).await.map(drop)
}

async fn serve(common: &Common, port: u16) -> Result<()> {
    let listener = http_server::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    // A service without a name is serving from the beginning.
    let (_reporter, health) = health_reporter();
    let router = Routes::new(health).into_axum_router().fallback(|| async { "a stand-in: nothing is done here\n" });
    http_server::serve(listener, router, common.stop.clone()).await
}
