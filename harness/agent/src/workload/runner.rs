//! The phases of a workload.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::nats::NatsWorkload;
use super::pipeline::PipelineWorkload;
use super::recorder::Recorder;
use super::redis::RedisWorkload;

/// The workers of a running workload. One that ends with an error could not go on recording.
pub type Workers = JoinSet<Result<()>>;

pub enum Workload {
    Redis(Arc<RedisWorkload>),
    Nats(Arc<NatsWorkload>),
    Pipeline(Arc<PipelineWorkload>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Idle,
    Starting,
    Running,
    Stopped,
    Verifying,
    Verified,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Verifying => "verifying",
            Self::Verified => "verified",
        }
    }
}

/// One workload and its phase.
pub struct Runner {
    workload: Workload,
    recorder: Arc<Recorder>,
    start_timeout: Duration,
    state: Mutex<State>,
    /// Held while workers are started, stopped or waited for.
    workers: tokio::sync::Mutex<Option<(CancellationToken, Workers)>>,
}

struct State {
    phase: Phase,
    error: Option<String>,
}

impl Runner {
    pub fn new(workload: Workload, recorder: Arc<Recorder>, config: &Config) -> Self {
        Self {
            workload,
            recorder,
            start_timeout: config.start_timeout(),
            state: Mutex::new(State { phase: Phase::Idle, error: None }),
            workers: tokio::sync::Mutex::new(None),
        }
    }

    /// Reaches the system and starts the workers. Does nothing where they run.
    ///
    /// # Errors
    /// The system could not be reached in time.
    pub async fn start(&self) -> Result<()> {
        let mut workers = self.workers.lock().await;
        if workers.is_some() {
            return Ok(());
        }
        self.enter(Phase::Starting, None);
        let running = CancellationToken::new();
        let recorder = self.recorder.clone();
        let started = match &self.workload {
            Workload::Redis(redis) => redis.clone().start(recorder, running.clone(), self.start_timeout).await,
            Workload::Nats(nats) => nats.clone().start(recorder, running.clone(), self.start_timeout).await,
            Workload::Pipeline(pipeline) => pipeline.clone().start(recorder, running.clone(), self.start_timeout).await,
        };
        match started {
            Ok(started) => {
                *workers = Some((running, started));
                self.enter(Phase::Running, None);
                Ok(())
            }
            Err(error) => {
                self.enter(Phase::Idle, Some(format!("{error:#}")));
                Err(error)
            }
        }
    }

    /// Lets every operation under way come to its end, and starts no more.
    pub async fn stop(&self) {
        let mut workers = self.workers.lock().await;
        let Some((running, mut set)) = workers.take() else { return };
        running.cancel();
        let mut trouble = None;
        while let Some(ended) = set.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => trouble = Some(format!("a worker ended early: {error:#}")),
                Err(error) => trouble = Some(format!("a worker broke: {error}")),
            }
        }
        self.enter(Phase::Stopped, trouble);
    }

    /// Stops, then reads the final state back into the history.
    ///
    /// # Errors
    /// It could not be read to its end; the history says so too.
    pub async fn verify(&self) -> Result<()> {
        self.stop().await;
        let _alone = self.workers.lock().await;
        self.enter(Phase::Verifying, self.error());
        let verified = match &self.workload {
            Workload::Redis(redis) => redis.verify(&self.recorder).await,
            Workload::Nats(nats) => nats.verify(&self.recorder).await,
            Workload::Pipeline(pipeline) => pipeline.verify(&self.recorder).await,
        };
        match verified {
            Ok(()) => self.enter(Phase::Verified, self.error()),
            Err(error) => {
                self.enter(Phase::Stopped, Some(format!("{error:#}")));
                return Err(error);
            }
        }
        if let Some(error) = self.error() {
            bail!("the final state was read, but the history has a hole: {error}");
        }
        Ok(())
    }

    /// Phase, counters, and the last trouble of the workload itself.
    pub fn status(&self) -> Value {
        let mut status = self.recorder.status();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        status["phase"] = json!(state.phase.name());
        status["error"] = json!(state.error);
        status
    }

    /// What the store says of its peers.
    ///
    /// # Errors
    /// It does not answer, or has no peers that vote.
    pub async fn peers(&self) -> Result<Value> {
        match &self.workload {
            Workload::Nats(nats) => nats.peers().await,
            Workload::Redis(_) | Workload::Pipeline(_) => bail!("this workload uses nothing whose peers vote"),
        }
    }

    /// The whole history, JSON lines.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn history(&self) -> Result<String> {
        self.recorder.text()
    }

    fn error(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).error.clone()
    }

    fn enter(&self, phase: Phase, error: Option<String>) {
        tracing::info!("the workload is {}", phase.name());
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { phase, error };
    }
}
