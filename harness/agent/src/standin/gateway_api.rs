//! The gateway's HTTP interface.
//!
//! `POST /api/v1/jobs` takes `{"topic", "payload"}`; the job's id is the `Idempotency-Key` header or a new one, so
//! that sending a request again cannot make a second job. 202 means that JetStream acknowledged the job; every other
//! status means that nobody promised anything. `GET /api/v1/jobs/{id}` tells how a job stands.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream;
use async_nats::jetstream::message::PublishMessage;
use axum::body::Bytes;
use axum::extract::{MatchedPath, Path, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::jobs::{Job, Jobs, State, now_ms};
use super::metrics::Metrics;
use super::safety::SafetyClient;
use crate::nats_link::stored;

/// How long noting a job in Redis may delay its acceptance; the scheduler notes it again.
const REGISTER: Duration = Duration::from_millis(200);

/// How long to try to have a job acknowledged, and the pause between two attempts.
const PUBLISH: Duration = Duration::from_secs(3);
const PUBLISH_AGAIN: Duration = Duration::from_millis(200);

pub struct Gateway {
    pub api_key: String,
    pub jobs: Jobs,
    pub js: jetstream::Context,
    pub safety: SafetyClient,
    pub metrics: Arc<Metrics>,
}

#[derive(Deserialize)]
struct Submission {
    #[serde(default = "default_topic")]
    topic: String,
    #[serde(default)]
    payload: serde_json::Value,
}

fn default_topic() -> String {
    "job.default".into()
}

/// The routes below `/api/v1`, for holders of the API key.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/api/v1/jobs", post(submit))
        .route("/api/v1/jobs/{id}", get(show))
        .layer(middleware::from_fn_with_state(gateway.clone(), guard))
        .with_state(gateway)
}

/// Lets holders of the key in, and counts every request.
async fn guard(Shared(gateway): Shared<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("unmatched".to_owned(), |path| path.as_str().into());
    let method = request.method().to_string();
    let response = if presents(request.headers(), &gateway.api_key) {
        next.run(request).await
    } else {
        refuse(StatusCode::UNAUTHORIZED, "the API key is missing or wrong (X-API-Key, or Authorization: Bearer)")
    };
    let status = response.status().as_u16().to_string();
    let labels = [("method", &*method), ("path", &*path), ("status", &*status)];
    gateway.metrics.count("cordum_http_requests_total", &labels);
    response
}

fn presents(headers: &HeaderMap, api_key: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    [text("x-api-key"), bearer].into_iter().flatten().any(|key| same(key.as_bytes(), api_key.as_bytes()))
}

/// Compares without telling by its duration where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn refuse(status: StatusCode, error: impl std::fmt::Display) -> Response {
    (status, Json(json!({"error": error.to_string()}))).into_response()
}

async fn submit(
    Shared(gateway): Shared<Arc<Gateway>>,
    headers: HeaderMap,
    Json(submission): Json<Submission>,
) -> Response {
    let id = match headers.get("idempotency-key").map(|key| key.to_str()) {
        Some(Ok(key)) if is_word(key) && key.len() <= 128 => key.to_owned(),
        Some(_) => return refuse(StatusCode::BAD_REQUEST, "Idempotency-Key must be letters, digits, '-' or '_'"),
        None => uuid::Uuid::new_v4().to_string(),
    };
    if !is_topic(&submission.topic) {
        return refuse(StatusCode::BAD_REQUEST, "topic must be job.NAME, of letters, digits, '-' or '_'");
    }
    let job = Job { id, topic: submission.topic, payload: submission.payload, submitted_ms: now_ms() };
    match gateway.accept(&job).await {
        Ok(true) => (StatusCode::ACCEPTED, Json(json!({"id": job.id, "state": State::Pending.name()}))).into_response(),
        Ok(false) => refuse(StatusCode::FORBIDDEN, "the safety kernel denies this topic"),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")),
    }
}

async fn show(Shared(gateway): Shared<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    if !is_word(&id) {
        return refuse(StatusCode::BAD_REQUEST, "no job has such an id");
    }
    match gateway.jobs.view(&id).await {
        Ok(Some(view)) => Json(view).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "there is no such job"),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_topic(text: &str) -> bool {
    text.strip_prefix("job.").is_some_and(|rest| rest.split('.').all(is_word))
}

impl Gateway {
    /// Hands the job to JetStream. Gives false where the safety kernel denies it.
    async fn accept(&self, job: &Job) -> Result<bool> {
        let decision = self.safety.evaluate(&job.id, &job.topic).await?;
        let label = if decision.allowed { "allow" } else { "deny" };
        self.metrics.count("cordum_safety_evaluations_total", &[("decision", label)]);
        if !decision.allowed {
            return Ok(false);
        }
        self.publish(job).await?;
        // The job is safe. That Redis knows of it already is a courtesy to those who ask at once.
        if let Ok(Err(error)) = tokio::time::timeout(REGISTER, self.jobs.register(job)).await {
            tracing::warn!("job {} is accepted, but not noted yet: {error:#}", job.id);
        }
        Ok(true)
    }

    /// Publishes until JetStream acknowledges: under one id, publishing again cannot store the job twice.
    async fn publish(&self, job: &Job) -> Result<()> {
        let body = Bytes::from(serde_json::to_vec(job).context("the job cannot be written as JSON")?);
        let until = Instant::now() + PUBLISH;
        loop {
            match self.publish_once(job, body.clone()).await {
                Err(error) if Instant::now() >= until => {
                    return Err(error).context("JetStream did not acknowledge the job");
                }
                Err(_) => tokio::time::sleep(PUBLISH_AGAIN).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn publish_once(&self, job: &Job, body: Bytes) -> Result<()> {
        let message = PublishMessage::build().payload(body).message_id(&job.id);
        stored(self.js.send_publish(job.topic.clone(), message).await?.await?).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_taken_from_either_header() {
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            presents(&headers, "secret")
        };
        assert!(with("x-api-key", "secret") && with("authorization", "Bearer secret"));
        assert!(!with("x-api-key", "secre") && !with("x-api-key", "secreT") && !with("authorization", "secret"));
        assert!(!presents(&HeaderMap::new(), "secret"));
    }

    #[test]
    fn topic_and_id_cannot_reach_other_subjects_or_keys() {
        assert!(is_topic("job.default") && is_topic("job.a.b-1"));
        assert!(["job.", "job", "sys.x", "job.*", "job.>", "job.a b"].into_iter().all(|topic| !is_topic(topic)));
        assert!(!is_word("a}b") && !is_word(""));
    }
}
