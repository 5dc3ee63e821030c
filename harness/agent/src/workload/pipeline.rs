//! Hands jobs to the gateway and sees to it that each accepted one ends, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, stream};
use gauntlet_core::history::{Dump, Observation, Operation, Outcome, Reply};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::recorder::{Completion, Recorder};
use super::runner::Workers;
use crate::standin::{JobView, env, is_terminal, required};
use crate::{http_client, lifecycle};

const GROUP: &str = "gateway";

/// Jobs looked up at a time.
const AT_ONCE: usize = 16;

pub struct PipelineWorkload {
    http: Client,
    gateway: String,
    api_key: String,
    topic: String,
    workers: u32,
    pause: Duration,
    verify_timeout: Duration,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

impl PipelineWorkload {
    /// Takes `API_KEY`, and `GATEWAY_URL` unless configured, from the environment.
    ///
    /// # Errors
    /// No API key.
    pub fn new(config: &Config) -> Result<Self> {
        let http = http_client::client(|builder| {
            builder
                .connect_timeout(config.op_timeout())
                .timeout(config.op_timeout() * 4)
                .pool_idle_timeout(Duration::from_secs(1))
                .no_proxy()
        })?;
        let gateway = config.pipeline.gateway.clone().or_else(|| env("GATEWAY_URL"));
        let gateway = gateway.unwrap_or_else(|| "http://cordum-api-gateway:8081".into());
        Ok(Self {
            http,
            gateway: gateway.trim_end_matches('/').to_owned(),
            api_key: required("API_KEY")?,
            topic: config.pipeline.topic.clone(),
            workers: config.pipeline.workers,
            pause: config.pause(),
            verify_timeout: config.verify_timeout(),
        })
    }

    /// Waits until the gateway answers, then starts the workers.
    ///
    /// # Errors
    /// Not in time.
    pub async fn start(
        self: Arc<Self>,
        recorder: Arc<Recorder>,
        running: CancellationToken,
        timeout: Duration,
    ) -> Result<Workers> {
        lifecycle::reach("the gateway", timeout, &running, || async {
            let answer = self.http.get(format!("{}/health", self.gateway)).send().await.context("no answer")?;
            ensure!(answer.status().is_success(), "it answers {}", answer.status());
            Ok(())
        })
        .await?;
        let mut workers = Workers::new();
        for process in 0..self.workers {
            workers.spawn(self.clone().work(recorder.clone(), process, running.clone()));
        }
        Ok(workers)
    }

    async fn work(self: Arc<Self>, recorder: Arc<Recorder>, process: u32, running: CancellationToken) -> Result<()> {
        let mut number = 0_u64;
        while !running.is_cancelled() {
            number += 1;
            // Doubles as the idempotency key, which has no colons.
            let name = format!("{}-{process}-{number}", recorder.client());
            let id = recorder.invoke(process, GROUP, Operation::JobSubmit { name: name.clone() })?;
            let completion = self.submit(&name).await;
            recorder.complete(id, completion)?;
            tokio::time::sleep(self.pause).await;
        }
        Ok(())
    }

    async fn submit(&self, name: &str) -> Completion {
        let request = self
            .http
            .post(format!("{}/api/v1/jobs", self.gateway))
            .header("x-api-key", &self.api_key)
            .header("idempotency-key", name)
            .json(&json!({"topic": self.topic, "payload": {"name": name}}));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Completion::failed(chain(&error)),
            Err(error) => return Completion::unknown(chain(&error)),
        };
        let status = answer.status();
        if status == StatusCode::ACCEPTED {
            return match answer.json::<Accepted>().await {
                Ok(accepted) => Completion::ok(Reply::JobSubmit { job: accepted.id }),
                Err(error) => Completion::unknown(format!("accepted, but the answer broke off: {error}")),
            };
        }
        let text = answer.text().await.unwrap_or_default();
        if status.is_client_error() {
            Completion::failed(format!("{status}: {text}"))
        } else {
            // The gateway may have handed the job on before it gave up.
            Completion::unknown(format!("{status}: {text}"))
        }
    }

    /// Looks every job up until all of them ended.
    ///
    /// # Errors
    /// The gateway could not tell of all of them in time. A job that it knows and that has not ended by then, or that
    /// it does not know, is no error but an observation.
    pub async fn verify(&self, recorder: &Recorder) -> Result<()> {
        let deadline = Instant::now() + self.verify_timeout;
        let mut left: BTreeMap<String, Look> = jobs(recorder)?;
        let (mut count, mut last) = (0, String::from("no answer"));
        loop {
            if let Some(error) = self.look_all_up(&mut left, deadline).await {
                last = error;
            }
            let over = Instant::now() >= deadline;
            let done = |look: &Look| look.is_final() || over && look.seen.is_some();
            let (settled, rest): (BTreeMap<_, _>, _) = left.into_iter().partition(|(_, look)| done(look));
            left = rest;
            for (job, look) in settled {
                recorder.observe(observation(&job, look.seen.flatten()))?;
                count += 1;
            }
            // A submission of unknown outcome may have made no job.
            if left.values().all(|look| look.seen.is_some() && !look.accepted) {
                return recorder.observe(Observation::DumpComplete { dump: Dump::Jobs, count });
            }
            if over {
                let error = format!("{} jobs could not be looked up; last seen: {last}", left.len());
                recorder.observe(Observation::DumpFailed { dump: Dump::Jobs, error: error.clone() })?;
                bail!(error);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Looks up what is left, and gives the last error.
    async fn look_all_up(&self, left: &mut BTreeMap<String, Look>, deadline: Instant) -> Option<String> {
        let jobs: Vec<String> = left.keys().cloned().collect();
        let mut answers = stream::iter(jobs)
            .map(async |job| {
                let view = self.look_up(&job).await;
                (job, view)
            })
            .buffer_unordered(AT_ONCE);
        let mut last = None;
        while let Ok(Some((job, view))) = tokio::time::timeout_at(deadline, answers.next()).await {
            match (view, left.get_mut(&job)) {
                (Ok(view), Some(look)) => look.seen = Some(view),
                (Err(error), _) => last = Some(format!("{error:#}")),
                (Ok(_), None) => {}
            }
        }
        last
    }

    async fn look_up(&self, job: &str) -> Result<Option<JobView>> {
        let request = self.http.get(format!("{}/api/v1/jobs/{job}", self.gateway)).header("x-api-key", &self.api_key);
        let answer = request.send().await.context("the gateway does not answer")?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.json().await.context("the gateway's answer is no job")?)),
            StatusCode::NOT_FOUND => Ok(None),
            status => bail!("the gateway answers {status}: {}", answer.text().await.unwrap_or_default()),
        }
    }
}

/// What is known of one job while its end is awaited.
#[derive(Clone)]
struct Look {
    /// Whether the gateway promised it.
    accepted: bool,
    /// The last answer; the inner absence means that the gateway does not know the job.
    seen: Option<Option<JobView>>,
}

impl Look {
    fn is_final(&self) -> bool {
        matches!(&self.seen, Some(Some(view)) if is_terminal(&view.state))
    }
}

/// Jobs that were accepted, and those that may have been.
fn jobs(recorder: &Recorder) -> Result<BTreeMap<String, Look>> {
    let history = recorder.history().context("the history cannot be read")?;
    let mut jobs = BTreeMap::new();
    for attempt in history.attempts {
        match (attempt.op, attempt.outcome, attempt.reply) {
            (_, Outcome::Ok, Some(Reply::JobSubmit { job })) => jobs.insert(job, Look { accepted: true, seen: None }),
            (Operation::JobSubmit { name }, Outcome::Unknown, _) => {
                jobs.insert(name, Look { accepted: false, seen: None })
            }
            _ => None,
        };
    }
    Ok(jobs)
}

fn observation(job: &str, view: Option<JobView>) -> Observation {
    match view {
        Some(view) => Observation::JobState {
            job: job.into(),
            terminal: is_terminal(&view.state),
            state: Some(view.state),
            ends: view.ends,
        },
        None => Observation::JobState { job: job.into(), state: None, terminal: false, ends: 0 },
    }
}

/// An error with its causes, which reqwest does not show by itself.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
