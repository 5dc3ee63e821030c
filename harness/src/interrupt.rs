//! Ctrl-C, and the signal by which others ask a program to end.

use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGINT or SIGTERM. Later ones change nothing: cleaning up goes on.
///
/// # Errors
/// The signals cannot be caught.
pub fn token() -> Result<CancellationToken, Trouble> {
    let doing = || "cannot catch signals";
    let mut interrupt = signal(SignalKind::interrupt()).or_trouble(doing)?;
    let mut terminate = signal(SignalKind::terminate()).or_trouble(doing)?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("interrupted: cleaning up");
        cancelled.cancel();
        // Goes on catching them, since the default action would end the program in the middle of cleaning up.
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    });
    Ok(token)
}
