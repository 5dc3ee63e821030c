//! One attempt of a probe or a lifecycle hook.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use embedded_apimachinery::object::{int_at, list_at, str_at};
use serde_json::Value;
use tokio::net::TcpStream;

use super::{exec, grpc, http};
use crate::runtime::ContainerRuntime;

/// Connections from the node to its pods. The caller sets deadlines.
#[async_trait]
pub trait Dialer: Send + Sync {
    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream>;
}

/// What is probed.
#[derive(Clone, Debug)]
pub struct ProbeTarget {
    pub pod_ip: IpAddr,
    /// As the container runtime knows it.
    pub container_id: String,
    /// Named ports of the container.
    pub ports: BTreeMap<String, u16>,
}

impl ProbeTarget {
    /// `container` is its part of the pod's spec.
    pub fn new(pod_ip: IpAddr, container_id: impl Into<String>, container: &Value) -> Self {
        let port = |port: &Value| Some((port["name"].as_str()?.to_owned(), number(port.get("containerPort")?)?));
        let ports = list_at(container, "/ports").iter().filter_map(port).collect();
        Self { pod_ip, container_id: container_id.into(), ports }
    }

    /// A port by number or by name, as `IntOrString`.
    fn port(&self, port: &Value) -> Result<u16, String> {
        let named = || self.ports.get(port.as_str()?).copied();
        let digits = || port.as_str()?.parse().ok();
        number(port).or_else(named).or_else(digits).ok_or_else(|| format!("invalid port number: {port}"))
    }
}

fn number(port: &Value) -> Option<u16> {
    port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

/// What an attempt showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// In Kubernetes' words, as they follow `Readiness probe failed: ` in an event.
    Failure(String),
    /// The attempt could not be made: it says nothing of the container.
    Errored(String),
}

/// Asks once. `handler` is a probe or a lifecycle hook: it has one of `exec`, `httpGet`, `tcpSocket`, `grpc`.
///
/// The limit is `timeoutSeconds`; without one (hooks have none) the caller sets it by dropping the future.
pub async fn check(
    handler: &Value,
    target: &ProbeTarget,
    network: &dyn Dialer,
    runtime: &dyn ContainerRuntime,
) -> Outcome {
    let limit = int_at(handler, "/timeoutSeconds").and_then(|seconds| u64::try_from(seconds).ok());
    let limit = limit.map(Duration::from_secs);
    if let Some(action) = handler.get("exec") {
        return exec::check(action, &target.container_id, runtime, limit).await;
    }
    let (action, ask): (&Value, fn(_, _, _, _) -> _) = match handler {
        _ if handler.get("httpGet").is_some() => (&handler["httpGet"], http::check),
        _ if handler.get("tcpSocket").is_some() => (&handler["tcpSocket"], tcp_boxed),
        _ if handler.get("grpc").is_some() => (&handler["grpc"], grpc::check),
        _ => return Outcome::Errored("missing probe handler".into()),
    };
    let address = match target.port(&action["port"]) {
        Ok(port) => Address { host: host(action, target.pod_ip), ip: target.pod_ip, port },
        Err(why) => return Outcome::Errored(why),
    };
    ask(action, address, network, limit).await
}

/// Where an attempt goes.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// As the handler names it; the pod's address by default.
    pub host: String,
    ip: IpAddr,
    pub port: u16,
}

impl Address {
    /// `dial tcp 10.1.2.3:80: connect: connection refused`, as Go says it.
    pub async fn dial(&self, network: &dyn Dialer) -> Result<TcpStream, String> {
        let ip = self.host.parse().unwrap_or(self.ip);
        let to = SocketAddr::new(ip, self.port);
        network.connect(to).await.map_err(|error| format!("dial tcp {to}: {}", reason(&error)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn host(action: &Value, pod_ip: IpAddr) -> String {
    match str_at(action, "/host") {
        "" => pod_ip.to_string(),
        host => host.to_owned(),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::ConnectionReset => "connect: connection reset by peer".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        _ => error.to_string(),
    }
}

/// What every way to ask looks like.
pub(super) type Asking<'a> = std::pin::Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

fn tcp_boxed<'a>(_: &'a Value, to: Address, network: &'a dyn Dialer, limit: Option<Duration>) -> Asking<'a> {
    Box::pin(async move {
        match within(limit, to.dial(network)).await {
            Some(Ok(_)) => Outcome::Success,
            Some(Err(why)) => Outcome::Failure(why),
            None => Outcome::Failure(format!("dial tcp {to}: i/o timeout")),
        }
    })
}

/// `None` when the limit came first.
pub(super) async fn within<T>(limit: Option<Duration>, attempt: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, attempt).await.ok(),
        None => Some(attempt.await),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Loopback, Scripted, Server};
    use super::*;
    use serde_json::json;

    async fn ask(handler: Value, exit_codes: &[i32]) -> Outcome {
        let target = ProbeTarget::new([127, 0, 0, 1].into(), "c", &json!({}));
        check(&handler, &target, &Loopback, &Scripted::new(exit_codes)).await
    }

    #[tokio::test]
    async fn http_is_judged_by_its_status() {
        for (status, expected) in [
            ("200 OK", Outcome::Success),
            ("302 Found", Outcome::Success),
            ("503 Service Unavailable", Outcome::Failure("HTTP probe failed with statuscode: 503".into())),
        ] {
            let server = Server::answering(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
            let headers = json!([{"name": "X-Probe", "value": "yes"}]);
            let get = json!({"httpGet": {"port": server.port, "path": "/health?a=b", "httpHeaders": headers}});
            assert_eq!(ask(get, &[]).await, expected);
            let request = server.request.await.unwrap().to_ascii_lowercase();
            assert!(request.starts_with("get /health?a=b http/1.1\r\n"), "{request}");
            assert!(request.contains("x-probe: yes\r\n") && request.contains("user-agent: kube-probe/"), "{request}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_whatever_asks() {
        let port = Server::closed_port().await;
        let refused = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
        assert_eq!(ask(json!({"tcpSocket": {"port": port}}), &[]).await, Outcome::Failure(refused.clone()));
        assert_eq!(
            ask(json!({"httpGet": {"port": port, "path": "/x"}}), &[]).await,
            Outcome::Failure(format!("Get \"http://127.0.0.1:{port}/x\": {refused}"))
        );
        let Outcome::Failure(grpc) = ask(json!({"grpc": {"port": port}}), &[]).await else { panic!("no failure") };
        assert!(grpc.starts_with("error: health rpc probe failed: rpc error: code = Unavailable"), "{grpc}");
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_a_failure() {
        let server = Server::silent().await;
        let get = json!({"httpGet": {"port": server.port}, "timeoutSeconds": 1});
        let Outcome::Failure(why) = ask(get, &[]).await else { panic!("no failure") };
        assert!(why.ends_with("context deadline exceeded (Client.Timeout exceeded while awaiting headers)"), "{why}");
    }

    #[tokio::test]
    async fn open_ports_pass() {
        let server = Server::silent().await;
        assert_eq!(ask(json!({"tcpSocket": {"port": server.port}}), &[]).await, Outcome::Success);
    }

    #[tokio::test]
    async fn grpc_health_is_judged_by_its_status() {
        let (reporter, service) = tonic_health::server::health_reporter();
        reporter.set_service_status("well", tonic_health::ServingStatus::Serving).await;
        reporter.set_service_status("ill", tonic_health::ServingStatus::NotServing).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        let grpc = |service: &str| json!({"grpc": {"port": port, "service": service}, "timeoutSeconds": 5});
        assert_eq!(ask(grpc("well"), &[]).await, Outcome::Success);
        let ill = "service unhealthy (responded with \"NOT_SERVING\")";
        assert_eq!(ask(grpc("ill"), &[]).await, Outcome::Failure(ill.into()));
        let Outcome::Failure(unknown) = ask(grpc("unknown"), &[]).await else { panic!("no failure") };
        assert!(unknown.contains("code = NotFound"), "{unknown}");
    }

    #[tokio::test]
    async fn commands_are_judged_by_their_exit_code() {
        let command = || json!({"exec": {"command": ["x"]}, "timeoutSeconds": 1});
        assert_eq!(ask(command(), &[0]).await, Outcome::Success);
        assert_eq!(ask(command(), &[3]).await, Outcome::Failure("exit 3".into()));
        assert!(matches!(ask(command(), &[]).await, Outcome::Errored(_)));
    }

    #[test]
    fn ports_are_found_by_number_and_by_name() {
        let container = json!({"ports": [{"name": "web", "containerPort": 8080}]});
        let target = ProbeTarget::new([10, 0, 0, 1].into(), "c", &container);
        assert_eq!(target.port(&json!(80)), Ok(80));
        assert_eq!(target.port(&json!("web")), Ok(8080));
        assert_eq!(target.port(&json!("81")), Ok(81));
        assert!(target.port(&json!("nope")).is_err());
        assert!(target.port(&json!(0)).is_err());
    }
}
