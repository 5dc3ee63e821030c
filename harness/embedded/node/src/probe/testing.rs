//! Stand-ins for the network and the container runtime, for tests of probes.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use embedded_apimachinery::kubelet::{ExecOptions, ExecOutput, ExecSession, LogOptions, LogStream};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::check::Dialer;
use crate::runtime::{ContainerConfig, ContainerRuntime, RuntimeError, Started};

/// The test's own network.
pub struct Loopback;

#[async_trait]
impl Dialer for Loopback {
    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }
}

/// Commands that end with given codes, one after the other; afterwards there is no container any more.
pub struct Scripted {
    exit_codes: Mutex<VecDeque<i32>>,
}

impl Scripted {
    pub fn new(exit_codes: &[i32]) -> Self {
        Self { exit_codes: Mutex::new(exit_codes.iter().copied().collect()) }
    }
}

#[async_trait]
impl ContainerRuntime for Scripted {
    async fn exec(&self, id: &str, _: &ExecOptions) -> Result<ExecSession, RuntimeError> {
        let code = self.exit_codes.lock().pop_front().ok_or_else(|| RuntimeError::NotRunning(id.to_owned()))?;
        let ((printing, output), (ending, exit)) = (mpsc::channel(1), oneshot::channel());
        let _ = printing.try_send(ExecOutput::Stdout(Bytes::from(format!("exit {code}"))));
        let _ = ending.send(Ok(code));
        Ok(ExecSession { stdin: None, output, resize: None, exit })
    }

    async fn start(&self, config: &ContainerConfig) -> Result<Started, RuntimeError> {
        Err(RuntimeError::NotRunning(config.id.clone()))
    }

    async fn signal(&self, _: &str, _: i32) -> Result<(), RuntimeError> {
        Ok(())
    }

    fn ids(&self) -> Vec<String> {
        unreachable!("probes list no containers")
    }

    async fn freeze(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!("probes freeze no containers")
    }

    async fn thaw(&self, _: &str) -> Result<(), RuntimeError> {
        unreachable!("probes thaw no containers")
    }

    async fn remove(&self, _: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn logs(&self, path: &Path, _: &LogOptions) -> Result<LogStream, RuntimeError> {
        Err(RuntimeError::NotRunning(path.display().to_string()))
    }
}

/// A server that takes one connection.
pub struct Server {
    pub port: u16,
    /// What it was asked.
    pub request: oneshot::Receiver<String>,
}

impl Server {
    pub async fn answering(answer: String) -> Self {
        Self::start(Some(answer)).await
    }

    pub async fn silent() -> Self {
        Self::start(None).await
    }

    /// A port where nobody listens.
    pub async fn closed_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    }

    async fn start(answer: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, request) = oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            let _ = asked.send(String::from_utf8_lossy(&buffer[..count]).into_owned());
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
        });
        Self { port, request }
    }
}
