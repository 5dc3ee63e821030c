//! What a stand-in says of itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The state of every dependency. Healthy until one has been gone for longer than the grace.
pub struct Health {
    grace: Duration,
    dependencies: Mutex<BTreeMap<&'static str, Dependency>>,
}

struct Dependency {
    usable_at: Instant,
    error: Option<String>,
}

impl Health {
    pub fn new(grace: Duration) -> Self {
        Self { grace, dependencies: Mutex::default() }
    }

    /// A dependency answered, or did not and why.
    pub fn seen(&self, name: &'static str, outcome: Result<(), String>) {
        let mut dependencies = self.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        let dependency =
            dependencies.entry(name).or_insert_with(|| Dependency { usable_at: Instant::now(), error: None });
        if dependency.error.is_none() != outcome.is_ok() {
            match &outcome {
                Ok(()) => tracing::info!("{name} is usable again"),
                Err(error) => tracing::warn!("{name} is not usable: {error}"),
            }
        }
        if outcome.is_ok() {
            dependency.usable_at = Instant::now();
        }
        dependency.error = outcome.err();
    }

    /// Whether to be called healthy, and the details.
    pub fn report(&self) -> (bool, Value) {
        let dependencies = self.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = |dependency: &Dependency| dependency.error.is_some().then(|| dependency.usable_at.elapsed());
        let healthy = dependencies.values().filter_map(gone).all(|gone| gone <= self.grace);
        let details: BTreeMap<_, _> = dependencies
            .iter()
            .map(|(name, dependency)| {
                let gone_ms = gone(dependency).map_or(0, |gone| gone.as_millis() as u64);
                (*name, json!({"usable": gone_ms == 0 && dependency.error.is_none(), "gone_ms": gone_ms, "error": dependency.error}))
            })
            .collect();
        (healthy, json!({"status": if healthy { "ok" } else { "unavailable" }, "dependencies": details}))
    }

    /// `GET /health`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().route("/health", get(answer)).with_state(self.clone())
    }
}

async fn answer(State(health): State<Arc<Health>>) -> (StatusCode, Json<Value>) {
    let (healthy, body) = health.report();
    (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn short_outage_shows_in_the_body_and_a_long_one_in_the_status() {
        let health = Health::new(Duration::from_secs(60));
        health.seen("redis", Ok(()));
        health.seen("redis", Err("connection refused".into()));
        tokio::time::advance(Duration::from_secs(30)).await;
        let (healthy, body) = health.report();
        assert!(healthy);
        assert_eq!(body["dependencies"]["redis"]["usable"], false);
        assert_eq!(body["dependencies"]["redis"]["gone_ms"], 30_000);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(!health.report().0);
        health.seen("redis", Ok(()));
        assert!(health.report().0);
    }
}
