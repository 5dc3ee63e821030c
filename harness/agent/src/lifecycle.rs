//! Beginning and end of a process: logging, cryptography, the TERM signal, and reaching what it depends on.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Logs go to standard error, so that standard output is free for records. `RUST_LOG` chooses how much, else `level`.
pub fn init_logging(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Already initialised where the harness runs an agent within its own process.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}

/// Chooses ring for every TLS connection of the process.
pub fn init_crypto() {
    // An error says that a provider was chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A token that is cancelled by TERM or INT.
///
/// # Errors
/// Where the handlers cannot be installed.
pub fn shutdown_on_signal() -> Result<CancellationToken> {
    let mut term = signal(SignalKind::terminate()).context("no handler could be installed for TERM")?;
    let mut int = signal(SignalKind::interrupt()).context("no handler could be installed for INT")?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("TERM received, finishing"),
            _ = int.recv() => tracing::info!("INT received, finishing"),
        }
        cancelled.cancel();
    });
    Ok(token)
}

/// Between attempts to reach something: doubled each time, up to the latter.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Tries until it works, the deadline passes or the process is told to end.
///
/// # Errors
/// `what`, how long it was tried, and the last error.
pub async fn reach<T, E, F>(
    what: &str,
    deadline: Duration,
    shutdown: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let mut pause = FIRST_PAUSE;
    let until = Instant::now() + deadline;
    let mut last = String::from("no attempt was finished");
    loop {
        let tried = tokio::select! {
            tried = tokio::time::timeout_at(until, attempt()) => tried,
            () = shutdown.cancelled() => bail!("told to end while reaching {what}; last seen: {last}"),
        };
        match tried {
            Ok(Ok(reached)) => return Ok(reached),
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => {}
        }
        if Instant::now() >= until {
            bail!("{what} could not be reached within {deadline:?}; last seen: {last}");
        }
        tracing::debug!(%last, "{what} is not reachable yet");
        tokio::time::sleep_until((Instant::now() + pause).min(until)).await;
        // Many wait for the same servers: those that come up late must not be kept busy with greetings.
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reaching_in_vain_ends_at_the_deadline_with_the_last_error() {
        let shutdown = CancellationToken::new();
        let error = reach("redis", Duration::from_secs(3), &shutdown, || async { Err::<(), _>("refused") })
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(error, "redis could not be reached within 3s; last seen: refused");
    }

    #[tokio::test(start_paused = true)]
    async fn reaching_succeeds_once_the_other_side_is_there() {
        let mut left = 3;
        let shutdown = CancellationToken::new();
        let reached = reach("redis", Duration::from_secs(3), &shutdown, || {
            left -= 1;
            let there = left == 0;
            async move { if there { Ok(7) } else { Err("refused") } }
        });
        assert_eq!(reached.await.unwrap(), 7);
    }
}
