//! `agent idle`: stays until told to end, so that probes can be run in its place, and answers on some ports meanwhile.
//!
//! It ends by itself after a time: a container that was added to somebody's pod cannot be removed from it, and nobody may
//! be left to end it.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::net::TcpListener;

use crate::lifecycle;

#[derive(Args)]
pub struct IdleArgs {
    /// TCP ports on which connections are accepted, and closed at once.
    #[arg(long, value_delimiter = ',')]
    listen: Vec<u16>,
    /// After this many seconds it ends by itself.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Stays.
///
/// # Errors
/// A port cannot be listened on.
pub async fn run(args: IdleArgs) -> Result<()> {
    let shutdown = lifecycle::shutdown_on_signal()?;
    for port in args.listen {
        let listener =
            TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("cannot listen on {port}"))?;
        tokio::spawn(async move {
            loop {
                if let Err(error) = listener.accept().await {
                    tracing::warn!(%error, port, "a connection could not be accepted");
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(Duration::from_secs(args.seconds)) => {}
    }
    Ok(())
}
