//! Who is told what is being waited for. The verbs of this crate report through it and know nothing of reports.

use std::time::{Duration, Instant};

/// Hears of progress. Must not block.
pub trait Progress: Send + Sync {
    /// Something is awaited. Called when waiting begins and whenever what was last seen changes.
    fn waiting(&self, what: &str, last_seen: &str, waited: Duration, deadline: Duration);
    /// Something worth telling that changes nothing.
    fn note(&self, text: &str);
    /// Something was done to the system that is no fault of its own.
    fn acted(&self, _text: &str) {}
}

/// Tells nobody.
pub struct Quiet;

impl Progress for Quiet {
    fn waiting(&self, _: &str, _: &str, _: Duration, _: Duration) {}
    fn note(&self, _: &str) {}
}

/// Tells the log alone, where those who call know nothing of what is awaited.
pub struct Logged;

impl Progress for Logged {
    fn waiting(&self, what: &str, last_seen: &str, _: Duration, _: Duration) {
        tracing::debug!("waiting for {what}: {last_seen}");
    }

    fn note(&self, text: &str) {
        tracing::debug!("{text}");
    }
}

/// One wait: its deadline, and what was last told of it.
pub struct Waiting<'a> {
    what: String,
    progress: &'a dyn Progress,
    started: Instant,
    deadline: Duration,
    told: Option<String>,
}

impl<'a> Waiting<'a> {
    pub fn start(what: impl Into<String>, deadline: Duration, progress: &'a dyn Progress) -> Self {
        Self { what: what.into(), progress, started: Instant::now(), deadline, told: None }
    }

    /// Tells what is seen now, unless that was told already.
    pub fn seen(&mut self, last_seen: &str) {
        if self.told.as_deref() != Some(last_seen) {
            self.progress.waiting(&self.what, last_seen, self.started.elapsed(), self.deadline);
            self.told = Some(last_seen.to_owned());
        }
    }

    /// When to give up.
    pub fn until(&self) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.started + self.deadline)
    }

    /// The sentence that says what was awaited for how long and what was last seen.
    pub fn gave_up(&self) -> String {
        format!(
            "waited {} for {}; last seen: {}",
            gauntlet_core::span::Span(self.deadline),
            self.what,
            self.told.as_deref().unwrap_or("nothing yet")
        )
    }
}
