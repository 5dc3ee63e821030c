//! A server alone on loopback, with a kubelet that answers from memory, and a client for it.

use std::net::TcpListener;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use embedded_apimachinery::kubelet::{Duplex, ExecOptions, ExecOutput, ExecSession, Kubelet, LogOptions, LogStream};
use embedded_apimachinery::resource::SERVICE_ACCOUNTS;
use embedded_apimachinery::{Actor, Api, Result, Status, Store};
use embedded_apiserver::{ApiServer, Options, Pki, Server, serve};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Runs until it is dropped.
pub struct TestServer {
    pub api: Arc<ApiServer>,
    pub client: kube::Client,
    _running: DropGuard,
}

pub async fn start() -> TestServer {
    let api = ApiServer::new(Arc::new(Store::default()), Options::default());
    let pki = Pki::generate("test").expect("certificates are made");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("https://{}", listener.local_addr().expect("it is bound"));
    let admin = pki.client("admin", &["system:masters"]).expect("a certificate is signed");
    let kubeconfig = Kubeconfig::from_yaml(&pki.kubeconfig("test", &url, "admin", &admin)).expect("it is YAML");
    let address = "127.0.0.1".parse().expect("an address");
    let tls = pki.server_config(&["localhost"], &[address]).expect("TLS is configured");
    let shutdown = CancellationToken::new();
    let server = Server { api: api.clone(), kubelet: Arc::new(Memory), shutdown: shutdown.clone() };
    tokio::spawn(serve(Arc::new(server), vec![listener], tls));
    let account = json!({"metadata": {"name": "default"}});
    api.create(&Actor::system("test"), &SERVICE_ACCOUNTS, "default", account).expect("the account is made");
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("it is complete");
    let client = kube::Client::try_from(config).expect("a client is made");
    TestServer { api, client, _running: shutdown.drop_guard() }
}

/// Echoes: commands print what they were given and what comes on their input, ports send back what they receive.
struct Memory;

#[async_trait]
impl Kubelet for Memory {
    async fn logs(&self, _: &Value, options: LogOptions) -> Result<LogStream> {
        let line = Ok(Bytes::from(format!("log of {}\n", options.container)));
        Ok(Box::pin(futures::stream::iter([line])))
    }

    async fn exec(&self, _: &Value, options: ExecOptions) -> Result<ExecSession> {
        if options.command.first().is_some_and(|c| c == "nosuch") {
            return Err(Status::internal("no such program"));
        }
        let (stdin, mut input) = mpsc::channel::<Bytes>(4);
        let (outputs, output) = mpsc::channel(4);
        let (exited, exit) = oneshot::channel();
        tokio::spawn(async move {
            let _ = outputs.send(ExecOutput::Stdout(options.command.join(" ").into())).await;
            if options.stdin {
                while let Some(bytes) = input.recv().await {
                    let _ = outputs.send(ExecOutput::Stdout(bytes)).await;
                }
            }
            let code = if options.command.first().is_some_and(|c| c == "false") { 1 } else { 0 };
            let _ = exited.send(Ok(code));
        });
        Ok(ExecSession { stdin: Some(stdin), output, resize: None, exit })
    }

    async fn port_forward(&self, _: &Value, port: u16) -> Result<Box<dyn Duplex>> {
        if port == 8080 {
            return Ok(Box::new(http_server()));
        }
        if port != 80 {
            return Err(Status::internal(format!("nobody listens on port {port}")));
        }
        let (near, mut far) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let mut buffer = [0; 256];
            while let Ok(count @ 1..) = far.read(&mut buffer).await {
                if far.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        });
        Ok(Box::new(near))
    }
}

/// Answers one HTTP request with its first line.
fn http_server() -> tokio::io::DuplexStream {
    let (near, far) = tokio::io::duplex(1024);
    tokio::spawn(async move {
        let mut far = tokio::io::BufReader::new(far);
        let mut first = String::new();
        let _ = far.read_line(&mut first).await;
        let first = first.trim_end();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{first}", first.len());
        let _ = far.write_all(answer.as_bytes()).await;
    });
    near
}
