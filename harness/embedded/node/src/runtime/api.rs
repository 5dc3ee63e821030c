//! What the kubelet needs of a container runtime; tests of the kubelet use one without processes.

use std::path::Path;

use async_trait::async_trait;
use embedded_apimachinery::kubelet::{ExecOptions, ExecSession, LogOptions, LogStream};
use tokio::sync::watch;

use super::config::{ContainerConfig, Exit};

#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("container {0} is not running")]
    NotRunning(String),
    /// The runtime refused: a program that does not exist, a mount that fails.
    #[error("{message}")]
    CannotRun { message: String },
    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },
}

impl RuntimeError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing: doing.into(), source }
    }
}

/// A container that runs.
#[derive(Clone, Debug)]
pub struct Started {
    /// The container's first process, in this process's PID namespace.
    pub pid: i32,
    /// `None` until it has ended.
    pub exit: watch::Receiver<Option<Exit>>,
}

#[async_trait]
pub trait ContainerRuntime: Send + Sync {
    async fn start(&self, config: &ContainerConfig) -> Result<Started, RuntimeError>;

    /// Signals the container's first process; SIGKILL ends them all. A container that is gone is no error.
    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError>;

    /// The containers that have not been removed.
    fn ids(&self) -> Vec<String>;

    /// Lets every process of the container stand still. It can still be killed. A container that is gone is no error.
    async fn freeze(&self, id: &str) -> Result<(), RuntimeError>;

    /// Lets a frozen container go on. One that is not frozen, or gone, is no error.
    async fn thaw(&self, id: &str) -> Result<(), RuntimeError>;

    /// Removes what is left of an ended container. Its log stays.
    async fn remove(&self, id: &str) -> Result<(), RuntimeError>;

    /// Runs a command inside a running container, as its user and with its limits.
    async fn exec(&self, id: &str, options: &ExecOptions) -> Result<ExecSession, RuntimeError>;

    /// What a container printed; a follower gets more until the container's end.
    async fn logs(&self, path: &Path, options: &LogOptions) -> Result<LogStream, RuntimeError>;
}
