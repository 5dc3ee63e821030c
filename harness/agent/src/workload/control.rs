//! How a workload is told what to do: HTTP, and a client for it that can be run by exec.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::runner::Runner;
use crate::{http_client, http_server, output};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Word {
    Start,
    Stop,
    Verify,
    Status,
    History,
    Peers,
}

#[derive(Args)]
pub struct ControlArgs {
    /// What to say to the workload.
    word: Word,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:7070")]
    addr: SocketAddr,
    /// How long it may take to answer, in seconds.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

/// Serves control until `shutdown`.
///
/// # Errors
/// The port is taken, or the listener breaks.
pub async fn serve(address: SocketAddr, runner: Arc<Runner>, shutdown: CancellationToken) -> Result<()> {
    let router = Router::new()
        .route("/start", post(start))
        .route("/stop", post(stop))
        .route("/verify", post(verify))
        .route("/status", get(|State(runner): State<Arc<Runner>>| async move { Json(runner.status()) }))
        .route("/history", get(history))
        .route("/peers", get(peers))
        .with_state(runner);
    http_server::serve(http_server::bind(address).await?, router, shutdown).await
}

async fn start(State(runner): State<Arc<Runner>>) -> Response {
    let started = runner.start().await;
    answer(&runner, started)
}

async fn stop(State(runner): State<Arc<Runner>>) -> Response {
    runner.stop().await;
    answer(&runner, Ok(()))
}

async fn verify(State(runner): State<Arc<Runner>>) -> Response {
    let verified = runner.verify().await;
    answer(&runner, verified)
}

fn answer(runner: &Runner, outcome: Result<()>) -> Response {
    match outcome {
        Ok(()) => Json(runner.status()).into_response(),
        Err(error) => {
            let body = json!({"error": format!("{error:#}"), "status": runner.status()});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn history(State(runner): State<Arc<Runner>>) -> Response {
    match runner.history() {
        Ok(text) => ([("content-type", "application/jsonl")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

async fn peers(State(runner): State<Arc<Runner>>) -> Response {
    match runner.peers().await {
        Ok(peers) => Json(peers).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response(),
    }
}

pub async fn say(args: ControlArgs) -> Result<ExitCode> {
    let (word, is_order) = match args.word {
        Word::Start => ("start", true),
        Word::Stop => ("stop", true),
        Word::Verify => ("verify", true),
        Word::Status => ("status", false),
        Word::History => ("history", false),
        Word::Peers => ("peers", false),
    };
    let client = http_client::plain(|builder| builder.timeout(Duration::from_secs(args.timeout)).no_proxy())?;
    let url = format!("http://{}/{word}", args.addr);
    let request = if is_order { client.post(&url) } else { client.get(&url) };
    let answer = request.send().await.with_context(|| format!("no workload answers at {}", args.addr))?;
    let agreed = answer.status().is_success();
    let body = answer.text().await.context("the workload's answer broke off")?;
    output::line(body.trim_end())?;
    Ok(if agreed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
