//! The dashboard: a page, and a proxy to the gateway.

use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};

use super::common::{Common, env, required};
use crate::http_client;

const PAGE: &str = "<!doctype html><title>Cordum</title><h1>Cordum</h1><p>Dashboard stand-in.</p>";

#[derive(Clone)]
struct Proxy {
    client: reqwest::Client,
    gateway: String,
    api_key: String,
}

/// Runs the dashboard until TERM. It does not wait for the gateway: a page can be shown without it.
///
/// # Errors
/// `API_KEY` missing, or a port that is taken.
pub async fn run(common: &Common) -> Result<()> {
    let client = http_client::client(|builder| builder.timeout(Duration::from_secs(15)))?;
    let gateway = env("GATEWAY_URL").unwrap_or_else(|| "http://cordum-api-gateway:8081".into());
    let proxy = Proxy { client, gateway: gateway.trim_end_matches('/').into(), api_key: required("API_KEY")? };
    let router = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/api/{*rest}", any(forward))
        .with_state(proxy)
        .merge(common.health.router());
    common.serve(common.address("HTTP_ADDR", 8080)?, router).await
}

async fn forward(State(proxy): State<Proxy>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = proxy.client.request(method, format!("{}{path}", proxy.gateway)).body(body);
    for name in ["content-type", "idempotency-key"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    match request.header("x-api-key", &proxy.api_key).send().await {
        Ok(answer) => {
            let status = answer.status();
            let kind = answer.headers().get("content-type").cloned();
            let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
            *response.status_mut() = status;
            if let Some(kind) = kind {
                response.headers_mut().insert("content-type", kind);
            }
            response
        }
        Err(error) => (StatusCode::BAD_GATEWAY, format!("the gateway cannot be reached: {error}\n")).into_response(),
    }
}
