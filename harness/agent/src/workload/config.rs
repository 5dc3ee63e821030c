//! What a workload is told to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Everything has a default; durations are in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names this client in its history; a part that tells restarts apart is added.
    pub client: String,
    /// Where the history goes; must be writable.
    pub history_dir: PathBuf,
    /// Whether to copy the history to standard output.
    pub stream: bool,
    /// Where control listens.
    pub control: SocketAddr,
    /// Whether to start without being told.
    pub autostart: bool,
    /// How long a worker pauses between two operations.
    pub pause_ms: u64,
    /// How long one operation may take before its outcome is called unknown.
    pub op_timeout_ms: u64,
    /// How long reaching the system at the start may take.
    pub start_timeout_ms: u64,
    /// How long reading the final state back may take.
    pub verify_timeout_ms: u64,
    pub redis: RedisConfig,
    pub nats: NatsConfig,
    pub pipeline: PipelineConfig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// All keys begin with it.
    pub prefix: String,
    /// Workers per shard that write plainly.
    pub plain_workers: u32,
    /// Workers per shard that follow each write by `WAIT`.
    pub wait_workers: u32,
    /// For how many replicas they wait, and for how long.
    pub wait_replicas: u32,
    pub wait_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// The stream, made where it is missing, and the subject published to.
    pub stream: String,
    pub subject: String,
    /// Publishes under way at a time: one per worker.
    pub workers: u32,
    /// A durable consumer that takes and acknowledges every message, made where it is missing; without a name nobody
    /// consumes.
    pub consumer: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineConfig {
    /// The gateway's URL; else GATEWAY_URL.
    pub gateway: Option<String>,
    pub topic: String,
    pub workers: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            client: "client".into(),
            history_dir: "/history".into(),
            stream: true,
            control: SocketAddr::from(([0, 0, 0, 0], 7070)),
            autostart: false,
            pause_ms: 20,
            op_timeout_ms: 1500,
            start_timeout_ms: 60_000,
            verify_timeout_ms: 60_000,
            redis: RedisConfig::default(),
            nats: NatsConfig::default(),
            pipeline: PipelineConfig::default(),
        }
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { prefix: "gauntlet".into(), plain_workers: 1, wait_workers: 1, wait_replicas: 1, wait_ms: 500 }
    }
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self { stream: "GAUNTLET".into(), subject: "gauntlet.data".into(), workers: 4, consumer: None }
    }
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self { gateway: None, topic: "job.default".into(), workers: 2 }
    }
}

impl Config {
    pub fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }

    pub fn op_timeout(&self) -> Duration {
        Duration::from_millis(self.op_timeout_ms)
    }

    pub fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.start_timeout_ms)
    }

    pub fn verify_timeout(&self) -> Duration {
        Duration::from_millis(self.verify_timeout_ms)
    }
}
