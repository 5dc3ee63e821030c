//! Serving HTTP until told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long open requests may take to finish after the end was announced.
const FINISH: Duration = Duration::from_secs(5);

/// Binds `address` now, so that the caller learns of a taken port at once.
///
/// # Errors
/// The address cannot be bound.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{address} could not be listened on"))
}

/// Serves until `stop`, then lets open requests finish.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> Result<()> {
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(FINISH).await;
    };
    tokio::select! {
        ended = served.into_future() => ended.context("the HTTP listener broke"),
        () = too_late => Ok(()),
    }
}
