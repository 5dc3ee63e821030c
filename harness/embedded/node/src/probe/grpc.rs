//! Asking by the gRPC health protocol, in plain text: it succeeds when the service answers `SERVING`.

use std::time::Duration;

use embedded_apimachinery::object::str_at;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::check::{Address, Asking, Dialer, Outcome, within};

pub fn check<'a>(action: &'a Value, to: Address, network: &'a dyn Dialer, limit: Option<Duration>) -> Asking<'a> {
    Box::pin(async move {
        let attempt = async {
            let stream = to.dial(network).await.map_err(|why| {
                let why = format!("connection error: desc = \"transport: Error while dialing: {why}\"");
                Status::new(Code::Unavailable, why)
            })?;
            ask(stream, &to, str_at(action, "/service")).await
        };
        match within(limit, attempt).await {
            None => {
                let seconds = limit.unwrap_or_default().as_secs();
                Outcome::Failure(format!("timeout: health rpc did not complete within {seconds}s"))
            }
            Some(Ok(ServingStatus::Serving)) => Outcome::Success,
            Some(Ok(other)) => {
                Outcome::Failure(format!("service unhealthy (responded with {:?})", other.as_str_name()))
            }
            Some(Err(status)) => Outcome::Failure(explain(&status)),
        }
    })
}

async fn ask(stream: TcpStream, to: &Address, service: &str) -> Result<ServingStatus, Status> {
    let unavailable = |error: &dyn std::fmt::Display| Status::new(Code::Unavailable, error.to_string());
    let endpoint = Endpoint::from_shared(format!("http://{to}")).map_err(|error| unavailable(&error))?;
    // The connection is made already: it is handed over once, and never made again.
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().map(TokioIo::new).ok_or_else(|| std::io::Error::other("connection closed"));
        std::future::ready(stream)
    });
    let channel: Channel = endpoint.connect_with_connector(connector).await.map_err(|error| unavailable(&error))?;
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await?;
    Ok(answer.into_inner().status())
}

fn explain(status: &Status) -> String {
    let words = format!("rpc error: code = {:?} desc = {}", status.code(), status.message());
    match status.code() {
        Code::Unimplemented => {
            format!(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
                status.message()
            )
        }
        _ => format!("error: health rpc probe failed: {words}"),
    }
}
