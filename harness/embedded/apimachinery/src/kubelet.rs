//! What the API server asks of the node that runs a pod.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::status::Result;

/// Options of the `log` subresource.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Empty when the pod has one container.
    pub container: String,
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub tail_lines: Option<u64>,
    pub limit_bytes: Option<u64>,
    /// RFC 3339; lines before it are left out.
    pub since_time: Option<String>,
}

/// Options of the `exec` and `attach` subresources.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    pub container: String,
    pub command: Vec<String>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A running command. Dropping it ends the command.
pub struct ExecSession {
    /// Dropping the sender closes standard input.
    pub stdin: Option<mpsc::Sender<Bytes>>,
    pub output: mpsc::Receiver<ExecOutput>,
    /// Columns and rows of the terminal.
    pub resize: Option<mpsc::Sender<(u16, u16)>>,
    /// How the command ended: its exit code, or a failure to run it.
    pub exit: oneshot::Receiver<Result<i32>>,
}

#[derive(Clone, Debug)]
pub enum ExecOutput {
    Stdout(Bytes),
    Stderr(Bytes),
}

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub type LogStream = Pin<Box<dyn futures_core::Stream<Item = std::io::Result<Bytes>> + Send>>;

/// The node side of `log`, `exec`, `attach` and `portforward`, for pods on any node.
#[async_trait]
pub trait Kubelet: Send + Sync {
    async fn logs(&self, pod: &Value, options: LogOptions) -> Result<LogStream>;

    async fn exec(&self, pod: &Value, options: ExecOptions) -> Result<ExecSession>;

    /// A connection to `port` inside the pod's network namespace.
    async fn port_forward(&self, pod: &Value, port: u16) -> Result<Box<dyn Duplex>>;
}
